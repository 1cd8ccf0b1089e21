"""Train a decoder to write the lead of a Wikipedia article, which is its summary.

python recipes/summarization.py
python recipes/summarization.py --train_file train.jsonl --test_file test.jsonl
"""

from shared.runs.recipe import start
from tasks import TASKS

if __name__ == "__main__":
    start(TASKS, "summarization")
