"""Train a decoder to translate.

    python recipes/translation.py
    python recipes/translation.py --train_file train.jsonl --validation_file validation.jsonl \
        --test_file test.jsonl --source_lang en --target_lang de --output_dir outputs/en-de
"""

from shared.runs.recipe import start
from tasks import TASKS

if __name__ == "__main__":
    start(TASKS, "translation")
