"""Playing along with a keyboard in memory and a clock that goes only when it is waited for."""

import math

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from shared.generation.stream import Stream
from tasks.midi.codec import columns, one_piano, waits
from tasks.midi.vocabulary import COMPOSE, LengthsVocabulary, MusicVocabulary
from tasks.music.constraint import EventConstraint
from tasks.music.jobs import JOBS
from tasks.music.lengths import LengthsConstraint
from tasks.music.melody import skyline
from tasks.music.playing import FIRST, LATER, READ, STOPPED, Manner, Player

# Each with its grammar, and the seed of random weights that write some notes in each job.
VOCABULARIES = {MusicVocabulary(): (EventConstraint, 11), LengthsVocabulary(): (LengthsConstraint, 65)}
CONTEXT, MOST, SILENCE = 192, 60, 50  # tokens, tokens, ticks
GREEDY = GenerationArguments(max_new_tokens=MOST)
# Onset, offset, pitch, velocity: what hands can do, a key that is struck again among it.
PHRASE = [(0, 40, 60, 63), (0, 35, 67, 79), (50, 90, 62, 63), (90, 130, 62, 67), (95, 160, 72, 91)]


class Clock:
    """Seconds that pass only while they are waited for."""

    def __init__(self):
        self.time = 100.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


class Keyboard:
    """Phrases of notes, each at a tick, as messages; then perhaps Ctrl+C."""

    def __init__(self, clock, *phrases, pedal=(), interrupted=math.inf):
        self.interrupted, start = interrupted, clock.now()
        events = [(at + tick, order, message) for at, notes in phrases for tick, order, message in struck(notes)]
        events += [(tick, 2, mido.Message("control_change", control=64, value=value)) for tick, value in pedal]
        events.sort(key=lambda event: event[:2])
        self.waiting = [(start + tick / 100 + 1e-6, message) for tick, _, message in events]
        self.start = start

    @property
    def ended(self):
        return not self.waiting

    def take(self, now):
        if now - self.start > self.interrupted:
            raise KeyboardInterrupt
        taken = [each for each in self.waiting if each[0] <= now]
        self.waiting = self.waiting[len(taken) :]
        return taken


def struck(notes):
    for onset, offset, pitch, velocity in notes:
        yield onset, 1, mido.Message("note_on", note=pitch, velocity=velocity)
        yield offset, 0, mido.Message("note_off", note=pitch)


class Sound:
    """What is heard: (ticks since the start, pitch, velocity); after `fails` notes, Ctrl+C while one is sent."""

    def __init__(self, clock, fails=math.inf):
        self.clock, self.fails, self.start, self.sent = clock, fails, clock.now(), []

    def note(self, pitch, velocity):
        self.sent.append((round(100 * (self.clock.now() - self.start)), pitch, velocity))
        self.fails -= velocity > 0
        if self.fails < 0:
            self.fails = math.inf
            raise KeyboardInterrupt

    def sounding(self):
        keys = set()
        for _, pitch, velocity in self.sent:
            (keys.add if velocity else keys.discard)(pitch)
        return keys


@pytest.fixture(scope="module", params=VOCABULARIES, ids=["note_off", "with_note"])
def vocabulary(request):
    return request.param


@pytest.fixture(scope="module")
def decoder(new_decoder, vocabulary):
    seed = VOCABULARIES[vocabulary][1]
    return new_decoder(len(vocabulary.tokens), CONTEXT, relative_attention=20, spread=0.4, seed=seed)


@pytest.fixture
def player(decoder, vocabulary):
    """A player of some job, with its clock and sound; each token may take some seconds."""

    def new(job="compose", takes=0.0, fails=math.inf, **manner):
        clock = Clock()
        stream = Stream(decoder, GREEDY, vocabulary)
        step = stream.decode

        class Slow:
            """The step, which takes time."""

            cache, logits_dtype, read = step.cache, step.logits_dtype, step.read

            def __call__(self, *given):
                clock.sleep(takes)
                return step(*given)

        stream.decode = Slow()
        told = Manner(job, SILENCE / 100, most_tokens=MOST, context=CONTEXT, **manner)
        return Player(stream, vocabulary, told, Sound(clock, fails), clock)

    return new


def piece(notes):
    return one_piano(*np.array(notes).T)


@pytest.fixture
def prompt_of(vocabulary):
    """What a decoder goes on from at tick `until`, all of it read at once; a melody has no silence behind it."""

    def prompt(job, notes, until):
        separator = vocabulary.tokens[JOBS[job]]
        if job == "accompany":
            begin = vocabulary.tokens[COMPOSE]
            return [begin, *vocabulary.clocked(vocabulary.encode(skyline(piece(notes)))), separator]
        line = vocabulary.encode(piece(notes))
        line += waits(until - int(vocabulary.ticks[line].sum()), vocabulary.shifts)
        return [separator, *line] if job == "compose" else [*line, separator]

    return prompt


@pytest.fixture
def continuation(decoder, vocabulary, prompt_of):
    """The notes of the plain generator's greedy answer at tick `until`, of about so many ticks."""

    def continued(job, notes, until, ticks):
        prompt, kind = prompt_of(job, notes, until), VOCABULARIES[vocabulary][0]
        constraint = kind(vocabulary, ticks / 100, filled=True)
        allowed = GenerationArguments(max_new_tokens=min(MOST, CONTEXT - len(prompt)))
        (written,) = generate(decoder, [prompt], allowed, vocabulary, constraint=constraint)
        return columns(vocabulary.decode(written)).T.tolist()

    return continued


def messages(notes, start):
    return sorted(
        (start + tick, pitch, velocity)
        for onset, offset, pitch, touch in notes
        for tick, velocity in ((onset, touch), (offset, 0))
    )


@pytest.mark.parametrize("job", ["compose", "continue", "accompany"])
def test_an_answer_is_the_plain_generator_s_continuation_in_time(player, continuation, job):
    one = player(job)
    one.play(Keyboard(one.clock, (30, PHRASE)))
    answer = continuation(job, PHRASE, 160 + SILENCE, 160)
    assert len(answer) > 1 and one.answers == 1
    assert sorted(one.output.sent) == messages(answer, 30 + 160 + SILENCE)


@pytest.mark.parametrize("job", ["compose", "continue"])
def test_what_was_played_and_answered_is_remembered(player, continuation, job):
    one = player(job)
    second = 900
    one.play(Keyboard(one.clock, (0, PHRASE), (second, PHRASE[:3])))
    first = continuation(job, PHRASE, 160 + SILENCE, 160)
    heard = PHRASE + [(a + 160 + SILENCE, b + 160 + SILENCE, *rest) for a, b, *rest in first]
    heard += [(a + second, b + second, *rest) for a, b, *rest in PHRASE[:3]]
    answer = continuation(job, heard, second + 90 + SILENCE, 90)
    assert [each for each in sorted(one.output.sent) if each[0] > second] == messages(answer, second + 90 + SILENCE)


def test_an_accompaniment_remembers_nothing(player, continuation):
    one = player("accompany")
    one.play(Keyboard(one.clock, (0, PHRASE), (900, PHRASE[2:])))
    answer = continuation("accompany", [(a - 50, b - 50, *rest) for a, b, *rest in PHRASE[2:]], 0, 110)
    assert [each for each in sorted(one.output.sent) if each[0] > 900] == messages(answer, 900 + 160 + SILENCE)


def test_events_are_read_as_they_come(player, vocabulary):
    """When a hand lets go of the last key, all else of the phrase is in the cache."""
    one = player("continue")
    keyboard = Keyboard(one.clock, (0, PHRASE))
    line = vocabulary.encode(piece(PHRASE))
    read = []
    while one.clock.now() - one.start < 1.62:
        one.turn(keyboard)
        read.append(len(one.stream.held))
        assert one.stream.held == line[: len(one.stream.held)]
    assert len({*read}) > 5 and sorted(read) == read and read[-1] == len(line)


def test_a_key_that_is_struck_silences_the_answer(player, continuation):
    one = player()
    written = continuation("compose", PHRASE, 160 + SILENCE, 160)
    answer, at = messages(written, 160 + SILENCE), written[3][0] + 1 + 160 + SILENCE
    one.play(Keyboard(one.clock, (0, PHRASE), (at, PHRASE[:3])))
    before = [each for each in one.output.sent if each[0] <= at]
    ended = [each for each in before if each[0] == at]
    assert ended and all(velocity == 0 for _, _, velocity in ended)
    assert sorted(before[: len(before) - len(ended)]) == [each for each in answer if each[0] < at]
    assert min(tick for tick, *_ in one.output.sent if tick > at) == at + 90 + SILENCE  # the next answer
    assert one.latencies.seconds[STOPPED] == pytest.approx([0], abs=0.002) and one.answers == 1


@pytest.mark.parametrize("at", [20, 260, 900])  # in the phrase, in its answer, long after
def test_drums_neither_begin_a_phrase_nor_end_an_answer(player, at):
    alone, beside_drums = player(), player()
    alone.play(Keyboard(alone.clock, (0, PHRASE)))
    keyboard = Keyboard(beside_drums.clock, (0, PHRASE))
    for message in (mido.Message("note_on", channel=9, note=38), mido.Message("note_off", channel=9, note=38)):
        keyboard.waiting.append((keyboard.start + at / 100, message))
    keyboard.waiting.sort(key=lambda each: each[0])
    beside_drums.play(keyboard)
    assert beside_drums.output.sent == alone.output.sent and beside_drums.answers == 1


def test_what_the_pedal_holds_ends_with_the_phrase(player, continuation):
    one = player()
    one.play(Keyboard(one.clock, (0, PHRASE[:2]), pedal=[(10, 127)]))
    held = [(a, 40 + SILENCE, *rest) for a, _, *rest in PHRASE[:2]]
    assert sorted(one.output.sent) == messages(continuation("compose", held, 40 + SILENCE, 40), 40 + SILENCE)


def test_a_pause_within_a_phrase_leaves_nothing_behind(player, continuation):
    """Though the answer was begun ahead of time in it."""
    one, pause = player(), SILENCE - 5
    later = [(a + 160 + pause, b + 160 + pause, *rest) for a, b, *rest in PHRASE]
    one.play(Keyboard(one.clock, (0, PHRASE + later)))
    answer = continuation("compose", PHRASE + later, 320 + pause + SILENCE, 320 + pause)
    assert sorted(one.output.sent) == messages(answer, 320 + pause + SILENCE)


@given(st.floats(0, 9), st.sampled_from(["compose", "accompany"]))
@settings(max_examples=15)
def test_no_note_sounds_on_after_ctrl_c(decoder, vocabulary, seconds, job):
    clock = Clock()
    told = Manner(job, SILENCE / 100, most_tokens=MOST, context=CONTEXT)
    one = Player(Stream(decoder, GREEDY, vocabulary), vocabulary, told, Sound(clock), clock)
    keyboard = Keyboard(clock, (0, PHRASE), (600, PHRASE), interrupted=seconds)
    try:
        one.play(keyboard)
    except KeyboardInterrupt:
        assert clock.now() - keyboard.start >= seconds
    assert not one.output.sounding()


@pytest.mark.parametrize("fails", range(4))
def test_nor_one_that_was_being_sent(player, fails):
    one = player(fails=fails)
    with pytest.raises(KeyboardInterrupt):
        one.play(Keyboard(one.clock, (0, PHRASE)))
    assert len(one.output.sent) > fails and not one.output.sounding()


def test_long_sessions_fit_the_context(player):
    one = player("continue")
    phrases = [(number * 700, PHRASE) for number in range(12)]
    one.play(Keyboard(one.clock, *phrases))
    assert one.answers == 12 and not one.output.sounding()
    assert len(one.heard.notes) < len(one.heard.all)
    long = player()
    many = [(20 * number, 20 * number + 15, 50 + number % 30, 64) for number in range(120)]
    long.play(Keyboard(long.clock, (0, many)))
    assert long.answers == 1 and not long.output.sounding()


def test_latencies_are_those_of_the_clock(player):
    takes = 0.004
    one = player(takes=takes)
    one.play(Keyboard(one.clock, (0, PHRASE)))
    found = one.latencies.seconds
    assert len(found[READ]) == 2 * len(PHRASE) and takes < min(found[READ]) and max(found[READ]) < 15 * takes
    assert len(found[FIRST]) == 1 and found[FIRST][0] <= 2 * takes  # written ahead of time
    assert max(found[LATER]) <= 2 * takes
    slow = player(takes=0.2)
    slow.play(Keyboard(slow.clock, (0, PHRASE)))
    assert slow.latencies.seconds[FIRST][0] > 0.1 and not slow.output.sounding()
