"""What the grammars of events have in common: which ids say what, the clock, and how much may still come.

A grammar reads a prompt into a state (`begin`), says which ids may come next (`allowed`), and takes in the one that was
chosen (`advance`). For example, with an event of its own for each note's end (`tasks.music.constraint`):

    prompt          NoteOn 60, Velocity 63, TimeShift 50, <|continue|>       a C, half a second ago, which still sounds
      state         now 0, silence 50, sounding {60}, struck[60] -50, shifted
      may come      NoteOff 60, or NoteOn of any other key of the piano; no TimeShift, as one of less than a second was
                    the last; no end, as a key sounds
    NoteOn 64       begun 64, silence 0, velocity, sounding {60, 64}, struck[64] 0
      may come      any Velocity
    Velocity 63     velocity is no longer due
      may come      NoteOn 65 and higher, or TimeShift: what ends at a tick ends before anything begins there
    TimeShift 100   now 100, silence 100, begun -1
      may come      NoteOff 60 or 64, NoteOn of any other key, or TimeShift
    NoteOff 60, 64  sounding {}
      may come      the end, any NoteOn, or TimeShift
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from shared.writing import Constraint
from tasks.midi.codec import PIANO, TICKS_PER_SECOND
from tasks.midi.vocabulary import ACCOMPANY, COMPOSE, CONTINUE, INFILL, MusicVocabulary
from tasks.music.columns import PITCHES, Columns
from tasks.music.infilling import length_of_hole, ringing

LONGEST_SILENCE = 10 * TICKS_PER_SECOND
NEVER = 2**40  # later than any tick
RINGING = TICKS_PER_SECOND  # after the last note may begin

KINDS = ("NoteOn", "NoteOff", "Velocity", "TimeShift", "special", "Duration", "Time")
NOTE_ON, NOTE_OFF, VELOCITY, TIME_SHIFT, _, DURATION, TIME = range(len(KINDS))


@dataclass
class Line:
    """What the events of a line have come to; all times in ticks of 10 ms.

    `struck` and `ends`, by pitch, say when a key that sounds was struck and when it is silent, where events say so
    beforehand; `origin` is the time at which the prompt ended. Where times are said, `clocked`, the last one was
    `said` at this tick.
    """

    now: int = 0
    origin: int = 0
    silence: int = 0
    begun: int = -1
    latest: str = ""
    shifted: bool = False
    owing: bool = False
    clocked: bool = False
    said: int = -NEVER
    struck: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)

    def take(self, kind: str, value: int) -> None:
        """Go on by one event."""
        if kind == "TimeShift":
            self.now, self.silence, self.begun = self.now + value, self.silence + value, -1
            self.owing |= not self.struck
        elif kind == "Time":
            self.said, self.owing = self.now, True
        elif kind == "NoteOff":
            self.struck.pop(value, None)
        elif kind == "NoteOn":
            self.struck[value], self.begun, self.silence, self.owing = self.now, value, 0, False
            self.said = self.now
        elif kind == "Duration" and self.struck.pop(self.begun, None) is not None:
            self.ends[self.begun] = self.now + value
        self.latest, self.shifted = kind, kind == "Time" or (kind == "TimeShift" and value < TICKS_PER_SECOND)


class Grammar(Constraint):
    """What may come next of the events of a performance.

    With `seconds`, no note begins so long after the prompt, and all end within a second more. Where they are to be
    `filled`, the end comes in the last of them or later. Keys are those of a piano, unless `all_keys` may be struck. Of
    the keys that may be, only the likeliest are drawn from, those that have `pitch_top_p` of their probability.

    A prompt is read as far as it goes: `<|continue|>` goes on from what sounds, all others begin in silence. What is
    composed (or continued, after no primer) has a note at least, and begins with it. What fills a hole begins within
    it, in at most `hole` ticks where the prompt does not say how long it is, and may end behind it.

    The state, for R rows. A tick takes 10 ms. Ticks are counted from the end of the prompt: those of the prompt are
    negative. `hole`, `until` and `said` are about `NEVER` ticks away where there is none.

        now        [R]       int64  the tick at which the next event comes
        silence    [R]       int64  ticks since a note began
        begun      [R]       int64  the pitch of the last note that began at this tick; -1 where none has
        velocity   [R]       bool   whether a velocity is due; where one stands before its note: whether the note is
        shifted    [R]       bool   whether no shift may follow
        owing      [R]       bool   whether a note must come before the end
        ended      [R]       bool   whether the end has come
        left       [R]       int64  how many tokens may still be written
        hole       [R]       int64  the tick at which what comes behind a hole begins: no note begins from there on
        until      [R]       int64  the tick at which another window is read: no end comes before it
        paused     [R]       bool   whether `until` has come

    of `EventConstraint`, and so of `SingleRowConstraint` and `OnChangeConstraint`, also

        sounding   [R, 128]  bool   by pitch, whether the key sounds
        struck     [R, 128]  int64  by pitch, the tick at which a key that sounds was struck

    of `OnChangeConstraint` also

        last       [R]       int64  the last velocity, 1 to 127; 0 before the first

    of `LengthsConstraint` also

        ends       [R, 128]  int64  by pitch, the tick from which on the key is silent
        length     [R]       bool   whether a length is due
        clocked    [R]       bool   whether times are said before notes, as they are beside a melody
        start      [R]       int64  the tick from which the window that is read counts the times that are said
        said       [R]       int64  the tick at which a time was said last, or a note that needed none began
    """

    columns: ClassVar[Columns]  # of the mask that `allowed` computes before it says of each id whether that may come

    def __init__(
        self,
        vocabulary: MusicVocabulary,
        seconds: float | None = None,
        all_keys: bool = False,
        filled: bool = False,
        hole: int = NEVER,
        pitch_top_p: float = 1.0,
    ):
        size = max(vocabulary.tokens.values()) + 1
        super().__init__(size)
        self.vocabulary, self.hole = vocabulary, hole
        self.limit = NEVER if seconds is None else max(1, round(seconds * TICKS_PER_SECOND))
        self.earliest_end = self.limit - TICKS_PER_SECOND if filled and seconds is not None else 0
        kinds, values = np.full(size, KINDS.index("special")), np.zeros(size, dtype=int)
        columns = np.full(size, self.columns.other)
        for index, (kind, value) in vocabulary.meaning.items():
            kinds[index], values[index] = KINDS.index(kind), value
            columns[index] = self.columns.of_event(kind, value)
        columns[vocabulary.end] = self.columns.end
        self.kind, self.value, self.column = map(torch.from_numpy, (kinds, values, columns))  # each by id, [V]
        self._redirect(self.stands_for.numpy())
        self.kinds = self.kind == (found := self.kind.unique())[:, None]
        if pitch_top_p < 1:
            self.narrowed = found.tolist().index(NOTE_ON), pitch_top_p
        self.pitches, self.ticks = torch.arange(PITCHES), torch.arange(1, TICKS_PER_SECOND + 1)
        low, high = (0, PITCHES) if all_keys else PIANO
        self.playable = (low <= self.pitches) & (self.pitches <= high)

    @abstractmethod
    def _redirect(self, targets: np.ndarray) -> None:
        """Set in `targets` [V], in place, where the probability of a forbidden id goes; at first, to no other id."""

    @abstractmethod
    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        """Bool [R, V]. Whatever is allowed leaves tokens and time enough to end all that then sounds."""

    def new_state(self, slots: int, device: torch.device | str) -> dict[str, Tensor]:
        self.to(device)
        return {
            name: torch.tensor(value, device=device).expand(slots, *torch.tensor(value).shape).clone()
            for name, value in self._read([], 0).items()
        }

    def begin(
        self, state: dict[str, Tensor], slot: int, prompt: Sequence[int], new_tokens: int, written: Sequence[int] = ()
    ) -> None:
        for name, value in self._read(prompt, new_tokens, written).items():
            state[name][slot] = torch.tensor(value)

    def _read(self, prompt: Sequence[int], new_tokens: int, written: Sequence[int] = ()) -> dict[str, Any]:
        """The state after `written`, one row of it: `advance` for a whole line, without tensors."""
        tokens = self.vocabulary.tokens
        compose, continue_, accompany, infill = (tokens[name] for name in (COMPOSE, CONTINUE, ACCOMPANY, INFILL))
        start = max((place for place, token in enumerate(prompt) if token in (compose, accompany, infill)), default=-1)
        from_nothing = (start >= 0 and prompt[start] == compose) or list(prompt) == [continue_]
        clocked = start >= 0 and prompt[start] == accompany and TIME in self.kind
        line = Line(shifted=from_nothing, owing=from_nothing, clocked=clocked)
        if start >= 0 and prompt[start] == infill:
            line.ends = ringing(prompt, self.vocabulary)
        for place, token in enumerate([*prompt, *written][start + 1 :], start + 1):
            if place == len(prompt):
                line.origin = line.now
            if token in self.vocabulary.meaning:
                line.take(*self.vocabulary.meaning[token])
        if not written:
            line.origin = line.now
        hole = length_of_hole(prompt, self.vocabulary) if start >= 0 and prompt[start] == infill else None
        return {
            "until": NEVER,
            "paused": False,
            "hole": min(self.hole, NEVER if hole is None else hole) - line.origin,
            "now": line.now - line.origin,
            "silence": line.silence,
            "begun": line.begun,
            "velocity": line.latest == "NoteOn",
            "shifted": line.shifted,
            "owing": line.owing,
            "ended": False,
            "left": new_tokens,
            **self._sounding(line),
        }

    @abstractmethod
    def _sounding(self, line: Line) -> dict[str, Any]:
        """The entries of a row's state that a subclass adds: what sounds after a line."""

    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        kind, value = self.kind[tokens], self.value[tokens]
        on, shift = kind == NOTE_ON, kind == TIME_SHIFT
        ticks = torch.where(shift, value, 0)
        state["begun"].copy_(torch.where(shift, -1, torch.where(on, value, state["begun"])))
        state["now"].add_(ticks)
        state["silence"].add_(ticks).masked_fill_(on, 0)
        self._sound(state, kind, value, on, shift)
        state["velocity"].copy_(on)
        state["shifted"].copy_((shift & (value < TICKS_PER_SECOND)) | (kind == TIME))
        state["paused"].logical_or_(shift & (state["now"] >= state["until"]))
        state["ended"].logical_or_(tokens == self.vocabulary.end)
        state["left"].sub_(1)

    @abstractmethod
    def _sound(self, state: dict[str, Tensor], kind: Tensor, value: Tensor, on: Tensor, shift: Tensor) -> None:
        """Take in events [R] in what sounds, and in whether a note is owed, in place; their time has passed.

        `on` and `shift` [R] say which of them are of these kinds.
        """
