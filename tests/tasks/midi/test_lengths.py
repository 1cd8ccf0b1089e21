"""Events with lengths in place of note-offs, beside those of MidiTok's TSD."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from miditok import TSD

from tasks.midi import codec
from tasks.midi.codec import columns, one_piano
from tasks.midi.lengths import LENGTHS, MEANING, TOKENIZER, decode, encode, length, rounded
from tasks.midi.vocabulary import LengthsVocabulary

VOCABULARY = LengthsVocabulary()


def ids(*tokens):
    return [TOKENIZER[token] for token in tokens]


def played(rows):
    onset, lasting, pitch, velocity = np.array(rows, dtype=int).reshape(-1, 4).T
    return one_piano(onset, onset + lasting, pitch, velocity)


velocity = st.sampled_from([1, 60, 64, 65, 127])
note = st.tuples(st.integers(0, 900), st.integers(1, 2500), st.integers(40, 90), velocity)
performances = st.lists(note).map(played)


def test_a_length_comes_with_its_note_and_waits_lead_from_onset_to_onset():
    chord = played([(0, 50, 60, 64), (0, 300, 64, 64), (130, 20, 67, 70)])
    written = ids("Pitch_60", "Velocity_63", "Duration_1.0.50", "Pitch_64", "Velocity_63", "Duration_6.0.5")
    written += ids("TimeShift_2.0.10", "TimeShift_0.30.50", "Pitch_67", "Velocity_71", "Duration_0.20.50")
    assert encode(chord) == written
    assert decode(written) == chord


def test_the_special_tokens_are_those_of_the_other_vocabularies():
    special = {token: index for token, index in codec.TOKENIZER.vocab.items() if token.endswith("_None")}
    assert {token: TOKENIZER[token] for token in special} == special
    assert VOCABULARY.end == TOKENIZER["<|endoftext|>_None"]


@given(performances)
def test_what_is_read_back_differs_in_long_notes_alone_and_is_written_the_same(performance):
    events = encode(performance)
    found, wanted = columns(decode(events)), columns(performance)
    assert encode(decode(events)) == events
    assert found[[0, 2, 3]].tolist() == wanted[[0, 2, 3]].tolist()
    lasting, asked = found[1] - found[0], wanted[1] - wanted[0]
    for place, (onset, _, pitch, _) in enumerate(wanted.T):
        again = wanted[0][(wanted[2] == pitch) & (wanted[0] > onset)]
        near = rounded(asked[place : place + 1])[0]
        if again.size and onset + near > again.min():  # then the longest that leaves the key free
            near = LENGTHS[again.min() - onset >= LENGTHS].max()
        assert lasting[place] == near


def test_lengths_are_exact_up_to_a_second_and_within_a_twentieth_above():
    lengths = np.arange(1, 2001)
    found = rounded(lengths)
    assert (found[:100] == lengths[:100]).all()
    assert (np.abs(found - lengths) <= 0.05 * lengths).all()
    assert MEANING[length(2500)] == ("Duration", 2000) and MEANING[length(103)] == ("Duration", 105)


steps = st.tuples(st.integers(0, 100), st.sampled_from([1, 7, 50, 100, 105, 480, 500, 2000]), st.integers(40, 90))


@given(st.lists(steps, min_size=1), velocity)
def test_they_are_miditoks_own_where_no_wait_is_longer_than_a_second(rows, loud):
    onsets = np.cumsum([wait for wait, _, _ in rows])
    performance = decode(encode(played([(at, *row[1:], loud) for at, row in zip(onsets, rows, strict=True)])))
    (theirs,) = TOKENIZER.encode(performance)
    assert theirs.ids == encode(performance)


def test_plain_miditok_loads_the_saved_file_and_plays_the_same(tmp_path):
    VOCABULARY.save(tmp_path)
    tokenizer = TSD.from_pretrained(tmp_path)
    assert tokenizer.vocab == TOKENIZER.vocab
    performance = played([(0, 50, 60, 64), (350, 300, 64, 64)])
    heard = tokenizer.decode([encode(performance)])
    notes = [(n.time, n.duration, n.pitch, n.velocity) for n in heard.resample(50).tracks[0].notes]
    assert notes == [(n.time, n.duration, n.pitch, n.velocity) for n in performance.tracks[0].notes]


@given(st.lists(st.integers(0, len(TOKENIZER) + 5), max_size=200))
@example(ids("Pitch_60", "Velocity_63"))
@example(ids("Pitch_60", "Velocity_63", "TimeShift_2.0.10", "Duration_1.0.50", "Pitch_61"))
def test_any_ids_describe_a_performance(events):
    performance = decode(events)
    assert encode(decode(encode(performance))) == encode(performance)


def test_a_key_that_is_struck_again_ends_its_note():
    again = ("Velocity_63", "Duration_2.0.10", "TimeShift_1.0.50")
    onset, offset, _, _ = columns(decode(ids("Pitch_60", *again, "Pitch_60", *again)))
    assert (onset.tolist(), offset.tolist()) == ([0, 50], [50, 150])


@given(performances)
def test_the_end_of_a_piece_is_of_whole_notes(performance):
    events = VOCABULARY.encode(performance)
    for room in (4, 7, 11):
        kept = VOCABULARY.ending(events, room)
        assert events[len(events) - len(kept) :] == kept and len(kept) >= min(room - 2, len(events))
        assert not kept or MEANING[kept[0]][0] in ("NoteOn", "TimeShift")


def test_events_are_named_in_english():
    names = ("Pitch_60", "Velocity_63", "Duration_1.25.50", "TimeShift_2.0.10", "<|compose|>_None")
    expected = ["play the note C4", "loudness 63", "hold it for 750 milliseconds", "wait 1000 milliseconds", "compose"]
    assert [VOCABULARY.words(name) for name in names] == expected
