"""Train a decoder to write the lead of a Wikipedia article, which is its summary.

python recipes/summarization.py
python recipes/summarization.py --train_file train.jsonl --test_file test.jsonl
"""

from shared.runs.cli import run
from shared.runs.recipe import recipe
from tasks.summarization import Summarization

if __name__ == "__main__":
    run(recipe(Summarization))
