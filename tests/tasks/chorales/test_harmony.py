"""A soprano is harmonised: its lines, the constraint, and parallels."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from symusic import Score

from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.generate import n_best
from tasks.chorales.grid import HARMONIZE, REST, VOICES, ChoraleVocabulary
from tasks.chorales.harmony import SopranoConstraint, parallels
from tasks.chorales.task import LONGEST, ChoraleArguments, ChoraleRequestArguments, Chorales
from tasks.midi.codec import save

VOCABULARY = ChoraleVocabulary()
SEPARATOR = VOCABULARY.tokens[HARMONIZE]
RNG = np.random.default_rng(0)
CHORALE = np.sort(RNG.integers(40, 80, (30, VOICES)), axis=1)[:, ::-1].ravel().tolist()


def chorales(*job, asked=None, **arguments):
    asked = ChoraleRequestArguments(job=asked)
    return Chorales(ChoraleArguments(job=list(job), **arguments), VOCABULARY, asked)


def test_lines_hold_the_soprano_and_then_all_voices():
    lines = chorales("harmonize").sequences({"events": CHORALE}, 52, training=True)
    assert [len(line.context) for line in lines] == [11, 11, 11]
    assert [voice for line in lines for voice in line.target if voice <= REST] == CHORALE
    for line in lines:
        assert line.context[-1] == SEPARATOR
        assert line.context[:-1] == line.target[:-1:VOICES]
        assert line.target[-1] == VOCABULARY.end
        assert len(line) <= 52
    scored = chorales("harmonize", "compose").sequences({"events": CHORALE}, 52, training=False)
    assert [voice for line in scored for voice in line.target] == CHORALE
    assert len(chorales("harmonize", "compose").sequences({"events": CHORALE}, 52, training=True)) == 6


def test_the_given_soprano_is_not_counted_among_what_is_predicted():
    rows = Dataset.from_dict({"events": [CHORALE]})
    scores = chorales("harmonize").score_likelihood(60.0, len(CHORALE), rows, rows)
    assert scores["nll_per_token"] == 60 / 120 and scores["nll_per_lower_voice"] == 60 / 90
    assert "nll_per_lower_voice" not in chorales("compose", "harmonize").score_likelihood(60.0, 120, rows, rows)


def test_whatever_is_drawn_has_the_given_soprano_and_ends_with_it():
    constraint = SopranoConstraint(VOCABULARY, 64)
    state = constraint.new_state(3, "cpu")
    sopranos = [CHORALE[:40:VOICES], CHORALE[: 8 * VOICES : VOICES], []]
    for row, soprano in enumerate(sopranos[:2]):
        constraint.begin(state, row, [*soprano, SEPARATOR], 60)
    constraint.begin(state, 2, [VOCABULARY.tokens["<|compose|>_None"]], 60)
    assert constraint.allowed(state)[2].all()
    generator, written = torch.Generator().manual_seed(0), []
    for _ in range(42):
        allowed = constraint.allowed(state)
        assert allowed.any(-1).all()
        tokens = torch.rand(allowed.shape, generator=generator).masked_fill(~allowed, -1).argmax(-1)
        constraint.advance(state, tokens)
        written.append(tokens)
    for soprano, row in zip(sopranos[:2], torch.stack(written, 1).tolist(), strict=False):
        line = row[: row.index(VOCABULARY.end)]
        assert line[::VOICES] == soprano
        assert len(line) == VOICES * len(soprano)
        assert max(line) <= REST
    again = constraint.new_state(1, "cpu")
    constraint.begin(again, 0, [*sopranos[0], SEPARATOR], 20, written=[1] * 8)
    assert constraint.allowed(again)[0].nonzero().tolist() == [[sopranos[0][2]]]


def test_beams_sing_the_given_soprano_and_end_with_it(new_decoder):
    """Where the soprano is due, all beams of a chorale have one token."""
    decoder = new_decoder(len(VOCABULARY.tokens), context=64)
    sopranos = [CHORALE[:20:VOICES], CHORALE[20:52:VOICES]]
    settings = GenerationArguments(num_beams=4, max_new_tokens=60)
    constraint = SopranoConstraint(VOCABULARY, 64)
    found = n_best(
        decoder, [[*soprano, SEPARATOR] for soprano in sopranos], settings, VOCABULARY, constraint=constraint
    )
    for soprano, hypotheses in zip(sopranos, found, strict=True):
        assert len({tuple(each.ids) for each in hypotheses}) == 4
        for each in hypotheses:
            assert each.ids[::VOICES] == soprano and each.length == VOICES * len(soprano) + 1


def test_no_step_asks_for_a_value():
    constraint = SopranoConstraint(VOCABULARY, 64)
    state = constraint.new_state(2, "meta")
    constraint.advance(state, torch.zeros(2, dtype=torch.long, device="meta"))
    assert constraint.allowed(state).shape == (2, len(VOCABULARY.tokens))


def test_parallels_are_counted_where_both_voices_move():
    def grid(*steps):
        return np.array(steps)

    assert parallels(grid([67, 60], [69, 62])) == 100  # fifths
    assert parallels(grid([72, 60], [74, 62])) == 100  # octaves
    assert parallels(grid([67, 60], [67, 60], [71, 62])) == 0  # held, then to a sixth
    assert parallels(grid([67, 60], [79, 60])) == 0  # one voice alone
    assert parallels(grid([64, 60], [65, 62])) == 0  # thirds
    assert parallels(grid([67, 60], [REST, REST])) == 0
    assert parallels(grid([67, 64, 60], [69, 65, 62])) == pytest.approx(100 / 3)


def test_a_file_is_harmonised_or_continued_as_asked(tmp_path):
    save(VOCABULARY.decode(CHORALE), tmp_path / "song.mid")
    song = str(tmp_path / "song.mid")
    task = chorales("compose", "harmonize", asked="harmonize")
    row = task.request(song)
    assert row["soprano"] == CHORALE[::VOICES]
    prompt = task.prompt(row, 128, 64)
    assert prompt.context == [*CHORALE[: 16 * VOICES : VOICES], SEPARATOR]
    assert prompt.cut == 14
    assert "soprano" not in chorales("compose", "harmonize").request(song)
    assert chorales("compose", "harmonize").request("") == {"primer": []}
    task.write_outputs([CHORALE], [row], tmp_path / "out")
    tracks = Score(tmp_path / "out" / "piece-1.mid").tracks
    assert [track.name for track in tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    with pytest.raises(UserError, match="no soprano"):
        task.request("")
    with pytest.raises(UserError, match="has learned to compose"):
        chorales("compose", asked="harmonize").request(song)
    rows = Dataset.from_dict({"events": [CHORALE] * 3})
    assert chorales("harmonize", num_samples=2).requests(rows) == [{"primer": [], "soprano": CHORALE[::VOICES]}] * 2


def test_a_soprano_is_no_longer_than_what_is_harmonised_at_most():
    task = chorales("harmonize")
    prompt = task.prompt({"soprano": [60] * 5000}, 40_000, 20_000)
    assert prompt.cut == 5000 - LONGEST // VOICES
    constraint = task.constraint()
    constraint.begin(constraint.new_state(1, "cpu"), 0, prompt.context, LONGEST)


@pytest.mark.parametrize("job", [[], ["sing"], ["compose", "compose"]])
def test_jobs_that_cannot_be_meant(job):
    with pytest.raises(ValueError, match="--job"):
        ChoraleArguments(job=job)


def test_a_separator_among_the_voices_moves_none_of_them():
    stray = [*CHORALE[:5], SEPARATOR, *CHORALE[5:]]
    assert VOCABULARY.grid(stray).flatten().tolist() == CHORALE
    assert VOCABULARY.grid(CHORALE[:-1])[-1].tolist() == [*CHORALE[-VOICES:-1], REST]
    rows = Dataset.from_dict({"path": ["a"], "title": ["A"], "events": [CHORALE]})
    found = chorales("compose").score([stray], rows, rows)
    assert found["generated_parallels"] == found["real_parallels"]
