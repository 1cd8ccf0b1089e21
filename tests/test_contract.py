"""Every task of `TASKS` keeps the contract: a new one is held to it without a line here."""

from inspect import signature

import pytest

from shared.data.arguments import DataArguments
from tasks import TASKS
from tests.contract import Case, TaskContract


@pytest.fixture(scope="session")
def small_data(midi_dir, jsb_file):
    """Arguments in place of an embedded sample that takes long to read."""
    return {"music": {"midi_dir": str(midi_dir)}, "chorales": {"jsb_file": str(jsb_file)}}


class TestEveryTask(TaskContract):
    @pytest.fixture(scope="class", params=TASKS)
    def case(self, request, small_data):
        kind = TASKS[request.param]
        return Case.of(kind, kind.Arguments(**small_data.get(request.param, {})))


def swapped(self, row, max_length, new_tokens):
    return self.sequences({"source": row["target"][::-1], "target": row["source"]}, max_length, False)[0]


# What a task gets wrong, and the test that it fails.
MISTAKES = {
    "a prompt that was never learned": ({"prompt": swapped}, "test_a_prompt_is_the_context_of_its_sequence"),
    "a score by another name": ({"output_metrics": ("equal",)}, "test_any_ids_are_an_output"),
    "a score where lower is better": ({"score": lambda *_: {"exact": 1.0}}, "test_its_scores_of_outputs_are_those"),
    "a likelihood it does not give": ({"likelihood_metrics": ("bits",)}, "test_its_scores_of_likelihood_are_those"),
    "an output that is not its target": ({"decode": lambda *_: "dog"}, "test_a_target_decodes_to_its_reference"),
    "an unknown default": ({"generation_defaults": {"beams": 2}}, "test_it_says_what_it_is"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_task_that_breaks_the_contract_fails(task, mistake, tmp_path):
    changes, name = MISTAKES[mistake]
    kept, broken = (
        Case.of(type("Broken", (type(task),), {"__doc__": "One.", **members}), DataArguments())
        for members in ({}, changes)
    )
    tests = [getattr(TaskContract(), test) for test in dir(TaskContract) if test.startswith(name)]
    for test in tests:
        more = [tmp_path / "kept"] if "tmp_path" in signature(test).parameters else []
        test(kept, *more)
        with pytest.raises(AssertionError):
            test(broken, *more)
