"""What every task uses, ignorant of any task's name."""

import sys
from pathlib import Path

# `python recipes/evaluate.py` puts recipes/ first on the import path, where it would hide the library `evaluate`.
_recipes = str(Path(__file__).parent.parent / "recipes")
sys.path[:] = [path for path in sys.path if path != _recipes]
