"""Train a decoder to compose piano music, event by event.

python recipes/music.py
python recipes/music.py --midi_dir maestro-v3.0.0 --size medium --max_length 2048
"""

from shared.runs.recipe import start
from tasks import TASKS

if __name__ == "__main__":
    start(TASKS, "music")
