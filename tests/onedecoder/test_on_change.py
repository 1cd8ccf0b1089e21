"""A decoder of music whose velocities come on change: it composes, goes on and is looked into."""

import pytest

from onedecoder import UserError, load
from onedecoder.arcs import arcs
from onedecoder.looking import look
from shared.runs.folder import Run
from tasks import TASKS
from tasks.midi.codec import columns
from tasks.music.arguments import MusicArguments
from tests.onedecoder.conftest import new_run


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "sparse"
    arguments = {"job": ["compose", "continue"], "velocity": "on_change"}
    return load(new_run(folder, "music", context=128, arguments=arguments), device="cpu")


def test_it_composes_in_its_own_events(sparse):
    piece = sparse.compose(seconds=5)
    assert len(piece.score.tracks[0].notes) > 3
    assert sorted(piece.events) == sorted(sparse.task.vocabulary.encode(piece.score))


def test_it_goes_on_from_the_primers_velocity(sparse, primer):
    whole = sparse.compose(primer, seconds=5)
    alone = sparse.compose(primer, seconds=5, write_prime=False)
    found, own = columns(whole.score), columns(alone.score)
    assert found[2:, :2].tolist() == [[60, 64], [39, 99]]
    assert own[2:].tolist() == found[2:, -own.shape[1] :].tolist()


def test_its_arcs_count_the_velocity_before_a_note(sparse, primer, tmp_path):
    trace = sparse.trace(primer, max_new_tokens=12)
    assert tmp_path / "arcs.svg" in look(sparse, trace, tmp_path, 0, 3, "svg")
    assert arcs(trace, 0, sparse.task.vocabulary).axes[0].patches


def test_it_is_not_scored_as_if_its_events_were_others(sparse):
    run = Run.open(sparse.name)
    same = run.task(TASKS, MusicArguments(job=["continue"], velocity="on_change"))
    assert type(same.vocabulary) is type(sparse.task.vocabulary)
    with pytest.raises(UserError, match=r"with --velocity note its tokens would .* in its run.yaml") as error:
        run.task(TASKS, MusicArguments())
    assert "\n" not in str(error.value)


def test_it_is_not_scored_for_what_it_has_not_learned(run_folders):
    run = Run.open(str(run_folders["music"]))
    run.task(TASKS, MusicArguments(job=["accompany"]))
    with pytest.raises(UserError, match="has not learned --job infill; give compose or continue or accompany"):
        run.task(TASKS, MusicArguments(job=["compose", "infill"]))


def test_a_run_that_writes_velocities_otherwise_is_no_partner(sparse, run_folders):
    with pytest.raises(UserError, match="has another vocabulary"):
        load(sparse.name, device="cpu", ensemble=[run_folders["music"]])
