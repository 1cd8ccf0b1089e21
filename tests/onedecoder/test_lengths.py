"""A decoder of music whose notes say their lengths: it composes, goes on and is looked into; the page refuses it."""

import pytest

from onedecoder import UserError, load
from onedecoder.arcs import _strike, arcs, notes
from onedecoder.engine import Engine
from onedecoder.export import export
from onedecoder.looking import look
from tasks.midi.codec import columns
from tests.onedecoder.conftest import new_run


@pytest.fixture(scope="module")
def lengthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "lengthy"
    arguments = {"job": ["compose", "continue"], "lengths": "with_note"}
    return load(new_run(folder, "music", context=128, arguments=arguments), device="cpu")


def test_it_composes_in_its_own_events(lengthy):
    piece = lengthy.compose(seconds=5)
    assert len(piece.score.tracks[0].notes)
    assert piece.events == lengthy.task.vocabulary.encode(piece.score)


def test_it_goes_on_from_the_primers_last_onset(lengthy, primer):
    whole = lengthy.compose(primer, seconds=5, min_new_tokens=9)
    alone = lengthy.compose(primer, seconds=5, write_prime=False, min_new_tokens=9)
    found, own = columns(whole.score), columns(alone.score)
    assert found[2:, :2].tolist() == [[60, 64], [39, 99]] and own.shape[1] >= 2
    assert (found[0, -own.shape[1] :] - own[0]).tolist() == [60] * own.shape[1]


def test_its_arcs_read_notes_by_their_lengths(lengthy, primer, tmp_path):
    trace, vocabulary = lengthy.trace(primer, max_new_tokens=12), lengthy.task.vocabulary
    assert notes(trace, vocabulary)[:2].tolist() == [[0, 0.5, 60, 0], [0.6, 0.9, 64, 4]]
    assert _strike(trace.ids, 0, vocabulary) == [0, 1, 2]
    assert tmp_path / "arcs.svg" in look(lengthy, trace, tmp_path, 0, 3, "svg")
    assert arcs(trace, 0, vocabulary).axes[0].patches


def test_the_page_refuses_it_in_one_line(lengthy, tmp_path):
    for refused in (lambda: export([lengthy], tmp_path / "page.html"), lambda: Engine(lengthy)):
        with pytest.raises(
            UserError, match="was trained with --lengths with_note, which the page does not read"
        ) as error:
            refused()
        assert "\n" not in str(error.value)


def test_a_run_of_note_offs_is_no_partner(lengthy, run_folders):
    with pytest.raises(UserError, match="has another vocabulary"):
        load(lengthy.name, device="cpu", ensemble=[run_folders["music"]])
