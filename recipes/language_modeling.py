"""Train a decoder on plain text; other recipes can start from it.

python recipes/language_modeling.py
python recipes/language_modeling.py --train_file train.jsonl --test_file test.jsonl
"""

from shared.runs.cli import run
from shared.runs.recipe import recipe
from tasks.language_modeling import LanguageModeling

if __name__ == "__main__":
    run(recipe(LanguageModeling))
