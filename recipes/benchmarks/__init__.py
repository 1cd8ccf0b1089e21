"""The cases of recipes/benchmark.py: ours and transformers' in turn, each measured the same way."""
