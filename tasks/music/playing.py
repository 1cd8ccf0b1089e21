"""A decoder that plays along: phrase by phrase it answers what is played, or accompanies it.

    heard     notes … ─────────────────────────┐ silence ┌ notes of the answer … ──> the next phrase
    read      └ each as soon as it is certain ─┘    │    │
    written                                         └ ahead of time
    sent                                                 └ each when it is due

One thread does all of it, one token at a time, so that nothing that comes or is due waits longer than one step of the
decoder. The line that the decoder reads is what was heard, pauses and its own answers included:

    <|compose|> phrase, silence, answer, phrase, silence …         of a run that composes
    phrase, silence, answer, phrase, silence … <|continue|> …      of a run that continues
    <|compose|> the last phrase's melody <|accompany|> …           of a run that accompanies

A note that says its length is certain when it has ended, and then all up to the next one that sounds. What the pedal
still holds when the answer begins ends there.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.generation.stream import Stream
from tasks.midi.codec import TICKS_PER_SECOND, waits
from tasks.midi.latency import Latencies
from tasks.midi.vocabulary import COMPOSE, MusicVocabulary
from tasks.music.grammar import Grammar
from tasks.music.hearing import Heard, Message, settled, strikes
from tasks.music.jobs import JOBS
from tasks.music.lengths import LengthsConstraint
from tasks.music.melody import first_onset, from_its_first_note, skyline
from tasks.music.single_row import SingleRowConstraint

PAUSE = 0.001  # seconds between two looks where there is nothing to do
READ, WRITTEN, FIRST, LATER, STOPPED = (
    "a message in, its events read",
    "an answer begun, its first note written",
    "the silence over, the first note out",
    "a later note due, and out",
    "a key struck, the answer silent",
)


class Clock(Protocol):
    """Seconds that pass."""

    def now(self) -> float:
        """The time."""

    def sleep(self, seconds: float) -> None:
        """Let it pass."""


class MessageSource(Protocol):
    """Where messages come from."""

    @property
    def ended(self) -> bool:
        """Whether no more will come."""

    def take(self, now: float) -> Sequence[tuple[float, Message]]:
        """The messages that have come, each with its time."""


class Output(Protocol):
    """Where notes go."""

    def note(self, pitch: int, velocity: int) -> None:
        """Strike a key, or let it go (velocity 0)."""


@dataclass
class Manner:
    """How to play along: the `job`, the `silence` in seconds that ends a phrase, the longest melody to accompany."""

    job: str
    silence: float
    most_tokens: int = 1024  # of an answer
    context: int = 1024  # tokens of a line
    segment: float = 15.0
    all_keys: bool = False
    pitch_top_p: float = 1.0
    seed: int = 0


@dataclass
class Answer:
    """What is written after a phrase; its `notes` are those that are written and not sent."""

    asked: float  # when what it follows began to be read to the end
    due: float  # when the silence is over
    tick: int  # the same in ticks of the session, to which those of its own notes are added
    # A heap: the tick, whether a note begins then (and does not end), its pitch and velocity.
    notes: list[tuple[int, bool, int, int]] = field(default_factory=list)
    now: int = 0
    struck: int = -1  # the last key
    written: int = 0  # notes
    sent: int = 0
    whole: bool = False
    begun: bool = False
    origin: float = 0.0  # when it began

    def take(self, kind: str, value: int) -> bool:
        """One more event is written; whether it makes the first note whole."""
        if kind == "TimeShift":
            self.now += value
        elif kind == "NoteOn":
            self.struck = value
        elif kind == "NoteOff":
            heapq.heappush(self.notes, (self.now, False, value, 0))
        elif kind == "Duration":
            heapq.heappush(self.notes, (self.now + value, False, self.struck, 0))
        elif kind == "Velocity":
            heapq.heappush(self.notes, (self.now, True, self.struck, value))
            self.written += 1
            return self.written == 1
        return False


def grammar(
    vocabulary: MusicVocabulary, seconds: float | None = None, all_keys: bool = False, pitch_top_p: float = 1.0
) -> Grammar:
    """What an answer of about so many seconds is written under."""
    kind = LengthsConstraint if vocabulary.says_lengths else SingleRowConstraint
    return kind(vocabulary, seconds, all_keys, filled=True, pitch_top_p=pitch_top_p)


class Player:
    """Hears, reads, writes and plays; `answers` counts what it has said."""

    def __init__(
        self, stream: Stream, vocabulary: MusicVocabulary, manner: Manner, output: Output, clock: Clock
    ) -> None:
        self.stream, self.vocabulary, self.manner = stream, vocabulary, manner
        self.output, self.clock = output, clock
        self.heard, self.latencies = Heard(pedal=manner.job != "accompany"), Latencies()
        self.start = clock.now()
        self.phrase: int | None = None  # the tick at which the present phrase began
        self.quiet = self.start  # when the last key was let go
        self.answer: Answer | None = None
        self.answers = 0
        self.unread: deque[tuple[float, int]] = deque()  # times and ticks of messages whose events are not read yet
        self.stale = False  # whether something was heard since all was read
        self.separator = vocabulary.tokens[JOBS[manner.job]]

    def play(self, source: MessageSource) -> None:
        """Play along until the source ends and the last phrase is answered; whatever ends it, no note sounds on."""
        try:
            while self.turn(source):
                pass
        finally:
            self.hush(self._tick(self.clock.now()))

    def turn(self, source: MessageSource) -> bool:
        """Look once what has come, what is due, and what can be done meanwhile; whether there is more to come."""
        now = self.clock.now()
        for at, message in source.take(now):
            self.hear(message, at)
        self.send()
        if self.work(now):
            return True
        if source.ended and self.phrase is None:
            return False
        self.clock.sleep(PAUSE)
        return True

    def _tick(self, time: float) -> int:
        return round((time - self.start) * TICKS_PER_SECOND)

    def hear(self, message: Message, at: float) -> None:
        """Take in a message that came `at` this time. To strike a key ends the answer."""
        tick, begins = self._tick(at), strikes(message)
        if begins and self.answer and self.answer.begun:
            self.hush(tick)
            self.latencies.add(STOPPED, self.clock.now() - at)
        if begins and self.phrase is None:
            self.phrase = tick
            if self.manner.job == "accompany":
                self.heard.forget()
        if self.heard.hear(message, tick) and self.phrase is not None and not (self.answer and self.answer.begun):
            self.answer = None  # if there was one, it was written ahead of time, after what was not the phrase's end
            self.quiet = at
            self.unread.append((at, tick))
            self.stale = True

    def hush(self, tick: int) -> None:
        """End the answer, and all of its notes that sound."""
        for pitch in [pitch for pitch, note in self.heard.sounding.items() if note.written]:
            self.output.note(pitch, 0)
            self.heard.end([pitch], tick)
        if self.answer and self.answer.begun:
            self.answer, self.phrase, self.stale = None, None, True

    def send(self) -> None:
        """Let an answer begin whose time has come, and send those of its notes that are due."""
        answer, now = self.answer, self.clock.now()
        if not answer:
            return
        if not answer.begun:
            if now < answer.due or not (answer.notes or answer.now or answer.whole):
                return
            answer.begun, answer.origin = True, now
            self.heard.end([*self.heard.sounding], answer.tick)  # what the pedal alone has held
        while answer.notes and answer.origin + answer.notes[0][0] / TICKS_PER_SECOND <= (now := self.clock.now()):
            tick, begins, pitch, velocity = heapq.heappop(answer.notes)
            if begins:
                # Known before it sounds: whatever happens meanwhile, it will be ended.
                self.heard.strike(pitch, velocity, answer.tick + tick, written=True)
                self.output.note(pitch, velocity)
                start, kind = (answer.origin, LATER) if answer.sent else (answer.due, FIRST)
                self.latencies.add(kind, now - start - tick / TICKS_PER_SECOND)
                answer.sent += 1
            else:
                self.output.note(pitch, 0)
                self.heard.end([pitch], answer.tick + tick)
        if answer.whole and not answer.notes:
            self.answers += 1
            self.answer, self.phrase, self.stale = None, None, True

    def work(self, now: float) -> bool:
        """Do one thing that needs no waiting; False if there is none."""
        if self.answer:
            return self.write(self.answer)
        silent = self.phrase is not None and not self.heard.down
        if silent and now - self.quiet >= self.manner.silence / 2:
            self.answer = self.prepare(self.phrase or 0)
            return True
        tick = self._tick(now)
        if not self.stale or (self.unread and self.unread[0][1] >= tick):  # whose tick is not over: more may come in it
            return False
        self.read(self.line(self.events(tick)), tick)
        self.stale = bool(self.unread)
        return not self.stale

    def write(self, answer: Answer) -> bool:
        """Write one token more of the answer, if it is not whole."""
        if answer.whole:
            return False
        token = self.stream.write()
        if token is None:
            answer.whole = True
        elif answer.take(*self.vocabulary.meaning[token]):
            self.latencies.add(WRITTEN, self.clock.now() - answer.asked)
        return True

    def prepare(self, phrase: int) -> Answer:
        """Read what is lacking of the line that an answer follows, if the phrase that began at this tick is over."""
        manner, asked, due = self.manner, self.clock.now(), self.quiet + self.manner.silence
        over = self._tick(due)
        line = self.line(self.events(over, ended=True))
        prompt = line if manner.job == "compose" else [*line, self.separator]
        self.read(prompt[:-1], over)
        seconds = max(1, self._tick(self.quiet) - phrase) / TICKS_PER_SECOND
        constraint = grammar(self.vocabulary, seconds, manner.all_keys, manner.pitch_top_p)
        most = min(manner.most_tokens, manner.context - len(prompt))
        self.stream.begin(prompt, most, constraint, (manner.seed, self.answers))
        return Answer(asked, due, over)

    def read(self, line: list[int], tick: int) -> None:
        """Read what is lacking of a line that holds all events before a tick."""
        self.stream.read(line)
        while self.unread and self.unread[0][1] < tick:
            self.latencies.add(READ, self.clock.now() - self.unread.popleft()[0])

    def line(self, events: list[int]) -> list[int]:
        """The events after what stands where a piece or a melody begins; those before a continuation are none."""
        begins = self.manner.job == "compose" or (self.manner.job == "accompany" and events)
        return [self.vocabulary.tokens[COMPOSE], *events] if begins else events

    def events(self, until: int, ended: bool = False) -> list[int]:
        """The events before a tick, as many as fill half of the context: what is older is forgotten.

        With `ended`, what sounds ends at that tick, and the wait up to there belongs to the line (not to a melody).
        """
        heard, room, vocabulary = self.heard, self.manner.context // 2 - 1, self.vocabulary
        while True:
            score, ticks, remembered = heard.score(until), until - heard.first, len(heard.notes)
            if self.manner.job == "accompany":
                melody = skyline(score)
                ticks -= first_onset(melody) or 0
                score = from_its_first_note(melody, round(self.manner.segment * TICKS_PER_SECOND))
            events = vocabulary.encode(score) if ended else settled(score, ticks, vocabulary)
            if self.manner.job == "accompany":
                return vocabulary.clocked(events)[: room - 1]  # one is for what stands before them
            if ended:
                events += waits(ticks - int(vocabulary.ticks[events].sum()), vocabulary.shifts)
            if len(events) > room:
                heard.forget(0.5)
            if len(heard.notes) == remembered:
                return vocabulary.ending(events, room)
