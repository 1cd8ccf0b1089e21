"""What is heard message by message against the codec's reading of a file of the same."""

from dataclasses import replace

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.midi.codec import columns, encode, one_piano, performance
from tasks.midi.vocabulary import LengthsVocabulary, MusicVocabulary
from tasks.music.hearing import Heard, settled

keys = st.tuples(st.just("key"), st.integers(60, 66), st.booleans(), st.integers(1, 127))
pedals = st.tuples(st.just("pedal"), st.integers(0, 127))
# Ticks since the message before, and what comes.
sessions = st.lists(st.tuples(st.integers(1, 300), st.one_of(keys, keys, keys, pedals)), min_size=1, max_size=40)


def message(what):
    if what[0] == "pedal":
        return mido.Message("control_change", control=64, value=what[1])
    _, pitch, strikes, velocity = what
    return mido.Message("note_on" if strikes else "note_off", note=pitch, velocity=velocity)


@given(sessions)
def test_a_session_is_the_performance_of_its_file(tmp_path_factory, session):
    """Of one in which every key is let go before it is struck again, and the pedal in the end."""
    heard, now, down, track = Heard(), 0, set(), mido.MidiTrack()
    end = [(5, ("key", pitch, False, 1)) for pitch in range(60, 67)] + [(5, ("pedal", 0))]
    waited = 0
    for wait, what in [*session, *end]:
        now, waited = now + wait, waited + wait
        if what[0] == "key" and (what[1] in down) == what[2]:
            continue
        if what[0] == "key":
            (down.add if what[2] else down.remove)(what[1])
        assert heard.hear(message(what), now)
        track.append(message(what).copy(time=10 * waited))
        waited = 0
    if not heard.all:
        return
    path = tmp_path_factory.mktemp("session") / "session.mid"
    mido.MidiFile(ticks_per_beat=500, tracks=[track]).save(path)  # 500 ticks of half a second: 1 ms each
    assert encode(heard.score(now)) == encode(performance(path))


notes = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 250), st.integers(60, 70), st.integers(1, 127)), min_size=1
)


@pytest.mark.parametrize("vocabulary", [MusicVocabulary(), LengthsVocabulary()], ids=["note_off", "with_note"])
@given(notes, st.lists(st.integers(0, 560), min_size=2, max_size=6))
def test_what_is_settled_stays_whatever_comes(vocabulary, rows, times):
    """The events up to any moment, as they are then known, are the beginning of those of the whole."""
    first = min(onset for onset, *_ in rows)
    spans = [(onset - first, onset - first + length, *rest) for onset, length, *rest in rows]
    score = one_piano(*np.array(spans).T)
    onset, offset, pitch, velocity = columns(score)
    messages = [(tick, True, *rest) for tick, *rest in zip(onset, pitch, velocity, strict=True)]
    messages += [(tick, False, key, 0) for tick, key in zip(offset, pitch, strict=True)]
    messages.sort(key=lambda each: (each[0], each[1]))
    whole = vocabulary.encode(score)
    for now in sorted(times):
        heard = Heard()
        for tick, strikes, key, touch in messages:
            if tick < now:
                heard.hear(message(("key", int(key), strikes, int(touch) or 1)), int(tick))
        known = settled(heard.score(now), now - heard.first, vocabulary)
        assert known == whole[: len(known)]
    assert settled(score, 10**6, vocabulary) == whole


def test_a_length_is_certain_when_its_note_has_ended_and_all_before_it():
    heard, vocabulary = Heard(), LengthsVocabulary()
    for tick, pitch, strikes in ((0, 60, True), (10, 64, True), (40, 64, False), (90, 60, False)):
        heard.hear(message(("key", pitch, strikes, 80)), tick)
    low, high = vocabulary.encode(heard.score(90))[:3], vocabulary.encode(heard.score(90))[3:]

    def known(now):
        seen = Heard()
        seen.notes = [
            replace(note, offset=note.offset if note.offset < now else None) for note in heard.notes if note.onset < now
        ]
        return settled(seen.score(now), now, vocabulary)

    assert [known(now) for now in (1, 50, 90, 91)] == [low[:2], low[:2], low[:2], low + high]


def test_the_answers_notes_are_not_ended_by_hands_or_pedal():
    heard = Heard()
    heard.strike(60, 80, 10, written=True)
    heard.hear(message(("pedal", 127)), 20)
    heard.hear(message(("key", 60, False, 1)), 30)
    heard.hear(message(("pedal", 0)), 40)
    assert 60 in heard.sounding
    heard.hear(message(("key", 60, True, 80)), 50)  # to strike the key does end it
    assert [note.offset for note in heard.all] == [50, None]
    heard.end([60], 60)
    played, written = heard.tracks().values()
    assert columns(played)[:2, 0].tolist() == [40, 50] and columns(written)[:2, 0].tolist() == [0, 40]


def test_each_channel_has_hands_and_a_pedal_of_its_own():
    def says(kind, channel, value, tick, key=60):
        if kind == "pedal":
            sent = mido.Message("control_change", channel=channel, control=64, value=value)
        else:
            sent = mido.Message("note_on", channel=channel, note=key, velocity=value)
        assert heard.hear(sent, tick)

    heard = Heard()
    says("key", 0, 80, 0)
    says("key", 1, 80, 1)  # in unison
    says("key", 0, 0, 10)
    assert 60 in heard.sounding and heard.down == {(1, 60)}
    says("pedal", 0, 127, 20)
    says("key", 1, 0, 30)
    assert not heard.sounding  # the pedal is that of the other channel
    says("key", 0, 80, 40, key=64)
    says("key", 0, 0, 50, key=64)
    says("pedal", 1, 0, 60)
    assert 64 in heard.sounding
    says("pedal", 0, 0, 70)
    assert [note.offset for note in heard.all] == [1, 30, 70]


def test_what_is_no_music_is_not_heard():
    heard = Heard()
    for other in (
        mido.Message("clock"),
        mido.Message("pitchwheel", pitch=3),
        mido.Message("control_change", control=7, value=3),
        mido.Message("note_on", channel=9, note=36),
        mido.MetaMessage("set_tempo"),
    ):
        assert not heard.hear(other, 0)
    assert not heard.all
    melody = Heard(pedal=False)
    melody.hear(message(("pedal", 127)), 0)
    melody.hear(message(("key", 60, True, 80)), 1)
    melody.hear(message(("key", 60, False, 1)), 9)
    assert not melody.sounding


def test_half_of_the_notes_is_forgotten_but_none_that_sounds():
    heard = Heard()
    heard.hear(message(("key", 50, True, 80)), 0)
    for tick in range(1, 8):
        heard.hear(message(("key", 60, True, 80)), 10 * tick)
        heard.hear(message(("key", 60, False, 80)), 10 * tick + 5)
    heard.forget(0.5)
    assert [note.onset for note in heard.notes] == [0, 40, 50, 60, 70] and len(heard.all) == 8
    heard.forget()
    assert [note.onset for note in heard.notes] == [0]
