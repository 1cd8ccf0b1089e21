"""Train a decoder to compose piano music, event by event.

accelerate launch recipes/music.py
accelerate launch recipes/music.py --midi_dir maestro-v3.0.0 --size medium --max_length 2048
"""

from shared.runs.cli import run
from shared.runs.flags import recipe
from tasks.music import Music

if __name__ == "__main__":
    run(recipe(Music))
