"""Train a decoder to write four-part chorales, 16th by 16th and voice by voice.

python recipes/chorales.py
python recipes/chorales.py --config recipes/configs/chorales/jsb.yaml --jsb_file jsb16.json.xz
"""

from shared.runs.recipe import start
from tasks import TASKS

if __name__ == "__main__":
    start(TASKS, "chorales")
