"""A decoder of music whose notes say their lengths: it composes, goes on and is looked into."""

import copy
import json

import numpy as np
import pytest

from onedecoder import UserError, load
from onedecoder.about import about
from onedecoder.arcs import _strike, arcs, notes
from onedecoder.engine import Engine
from onedecoder.export import exported
from onedecoder.looking import look
from tasks.midi.codec import columns, one_piano
from tasks.midi.vocabulary import COMPOSE
from tests.onedecoder.conftest import new_run
from tests.onedecoder.quantised import with_quantised_weights


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


def test_its_events_are_named_in_words(lengthy):
    names = lengthy.names
    assert {"note-on C4", "velocity 63", "length 250 ms", "length 20000 ms", "wait 250 ms"} <= {*names}
    assert not any(name.startswith(("Pitch", "Duration", "TimeShift")) for name in names)


def test_a_line_longer_than_the_context_is_read_on_from_a_whole_note(lengthy, javascript, numbers):
    """By both engines alike, of which no one reads a part of a note alone."""
    same = copy.copy(lengthy)
    same.model = with_quantised_weights(lengthy.model)
    engine, context, vocabulary = Engine(same), same.model.context, same.task.vocabulary
    events = vocabulary.encode(one_piano(*np.array([[tick, tick + 9, 60, 40] for tick in range(0, 900, 10)]).T))
    lines = [[vocabulary.tokens[COMPOSE], *events[shift:]] for shift in range(4)]  # cut before, in and after a note
    cut = [line[:length] for line in lines for length in (context - 1, context, context + 7, 2 * context)]
    code = """
    import { LocalEngine } from "onedecoder/engine/local.js";
    const engine = new LocalEngine(data.page);
    result = [];
    for (const line of data.lines) result.push((await engine.next(line, 1)).logits);
    """
    found = javascript(code, {"page": json.loads(exported(lengthy)), "lines": cut})
    for line, logits in zip(cut, found, strict=True):
        np.testing.assert_allclose(numbers(logits), engine.next(line, 1)[0], atol=1e-3)
        first = next(reversed(engine.lines.lines.values())).ids[0]
        assert len(line) < context or vocabulary.pitches[first] >= 0 or vocabulary.ticks[first]


def test_the_page_offers_no_hole_to_fill(tmp_path):
    both, alone = (
        load(new_run(tmp_path / str(len(jobs)), "music", arguments={"job": jobs, "lengths": "with_note"}), device="cpu")
        for jobs in (["accompany", "infill", "compose"], ["infill"])
    )
    assert about(both, "int8")["jobs"] == ["compose", "accompany"]  # the page begins with what needs nothing
    with pytest.raises(UserError, match="has learned to infill alone, which the page does not: give"):
        exported(alone)


def test_a_run_of_note_offs_is_no_partner(lengthy, run_folders):
    with pytest.raises(UserError, match="has another vocabulary"):
        load(lengthy.name, device="cpu", ensemble=[run_folders["music"]])
