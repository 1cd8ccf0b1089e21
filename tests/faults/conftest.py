"""The run that nothing happened to, which all others are compared with."""

import time

import pytest

from tests.faults.harness import training


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """Its folder; the file `seconds` beside it says how long it took."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    start = time.monotonic()
    child = training(folder)
    assert child.end() == 0, child.printed()
    (folder.parent / "seconds").write_text(str(time.monotonic() - start))
    return folder
