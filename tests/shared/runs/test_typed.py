"""Settings that are values: each has the type of its field, and nothing stands for anything else."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from shared.errors import UserError
from shared.runs.typed import settled


@dataclass
class Settings:
    files: list[str] | None = None
    beams: int = 1
    rate: float = 0.1
    mask: Literal["causal", "prefix"] | None = None
    draw: bool = False

    def __post_init__(self):
        if self.beams < 1:
            raise ValueError("--beams: give 1 or more\nand more of this")


def test_values_of_the_fields_types_are_taken_as_they_are():
    given = {"files": ("a", "b"), "beams": np.int32(3), "rate": 2, "mask": "prefix", "draw": True}
    assert settled(Settings, given) == Settings(("a", "b"), 3, 2, "prefix", True)
    assert settled(Settings, {"files": None, "mask": None}) == settled(Settings, {}) == Settings()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"files": "a"}, "files='a' is of another type: give a list of str or None"),
        ({"files": ["a", 1]}, "files=['a', 1] is of another type: give a list of str or None"),
        ({"beams": 2.0}, "beams=2.0 is of another type: give int"),
        ({"beams": True}, "beams=True is of another type: give int"),
        ({"rate": "0.1"}, "rate='0.1' is of another type: give float"),
        ({"mask": "both"}, "mask='both' is of another type: give 'causal' or 'prefix' or None"),
        ({"draw": 1}, "draw=1 is of another type: give bool"),
        ({"beam": 1}, "unknown setting 'beam': did you mean 'beams'?"),
        ({"beams": 0}, "--beams: give 1 or more"),
    ],
)
def test_all_else_is_named_in_one_line(given, said):
    with pytest.raises(UserError) as caught:
        settled(Settings, given)
    assert str(caught.value) == said
