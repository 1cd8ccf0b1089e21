"""Train a decoder on plain text; other recipes can start from it.

python recipes/language_modeling.py
python recipes/language_modeling.py --train_file train.jsonl --test_file test.jsonl
"""

from shared.runs.recipe import start
from tasks import TASKS

if __name__ == "__main__":
    start(TASKS, "language_modeling")
