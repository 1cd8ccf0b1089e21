"""Train a decoder to write four-part chorales, 16th by 16th and voice by voice.

python recipes/chorales.py
python recipes/chorales.py --config recipes/configs/chorales/jsb.yaml --jsb_file jsb16.json.xz
"""

from shared.runs.cli import run
from shared.runs.recipe import recipe
from tasks.chorales import Chorales

if __name__ == "__main__":
    run(recipe(Chorales))
