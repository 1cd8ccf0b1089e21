"""Which event may come next, so that whatever is written is a performance, complete and playable as it stands.

The language is that of `codec.encode`: what this grammar lets through is what `encode` gives for the performance that
`decode` makes of it, event by event, but for the order in which notes end at one tick.

- A key is struck only where it is silent, and released only where it sounds; a velocity follows each note-on.
- Within one tick, notes end before others begin, and what begins goes upward. So no note ends in the tick in which it
  began. (`encode` releases those struck first before others. A decoder that has passed over one may still release it:
  held to the order, it forgot such notes, and they sounded on.)
- Time is shifted by whole seconds first, then by the rest; a shift leads to a note's beginning or end.
- The end comes when nothing sounds.

And it is kept from running on: no note sounds longer than 20 s, no 10 s pass without a new one (in a performance they
may), and everything is released before the tokens are used up. Where seconds are asked for, no note begins later. To
forbid long waits as they run out would leave the decoder nothing but to strike keys, all at once: so what still sounds
may ring on for a second, and a silence within the last second is the end.

What it forbids is not simply left out: a decoder that has lost track of what sounds wants to release a silent key, and
the probability of other note-offs is small then, so that notes would sound on and on. So a sounding key that is struck
is released, and what else is forbidden goes to its own kind of event: an off of a silent key to the offs of sounding
ones, a shift that is too long to shorter ones.
"""

from collections.abc import Sequence as Tokens
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.midi.codec import LONGEST_NOTE, MEANING, PIANO, TICKS_PER_SECOND, ids_of
from tasks.midi.vocabulary import ACCOMPANY, COMPOSE, CONTINUE, INFILL, MusicVocabulary
from tasks.music.infilling import length_of_hole

LONGEST_SILENCE = 10 * TICKS_PER_SECOND
PITCHES = 128
NEVER = 2**40  # later than any tick
RINGING = TICKS_PER_SECOND  # after the last note may begin
WHOLE_NOTE = 4  # tokens of a note from silence: NoteOn and Velocity, TimeShift, NoteOff
VELOCITIES = 2 * PITCHES  # the column that says whether any may come

KINDS = ("NoteOn", "NoteOff", "Velocity", "TimeShift", "special")
NOTE_ON, NOTE_OFF, VELOCITY, TIME_SHIFT, _ = range(len(KINDS))


class EventConstraint:
    """A `shared.writing.Constraint`.

    With `seconds`, no note begins so long after the prompt, and all end within a second more. Where they are to be
    `filled`, the end comes in the last of them or later. Keys are those of a piano, unless `all_keys` may be struck.

    A prompt is read as far as it goes: `<|continue|>` goes on from what sounds, all others begin in silence. What is
    composed (or continued, after no primer) has a note at least, and begins with it. What fills a hole begins within
    it, in at most `hole` ticks where the prompt does not say how long it is, and may end behind it.

    The state, for R rows: `sounding` bool [R, 128] and when each key was `struck` [R, 128], in ticks of 10 ms as `now`
    is, which starts from 0 with the first new token; `silence`, ticks since a note began; `begun`, the pitch of the
    last that began in this tick; `velocity`, whether one is due; `shifted`, whether no further shift may follow;
    `owing`, whether a note must come before the end; `ended`; `left`, tokens that may still be written; `hole`, the
    tick where what comes behind a hole begins; `until`, the tick where another window is read, before which there is no
    end, and `paused`, whether that has come.
    """

    note_takes = WHOLE_NOTE  # tokens from a note-on to the note's release, at least

    def __init__(
        self,
        vocabulary: MusicVocabulary,
        seconds: float | None = None,
        all_keys: bool = False,
        filled: bool = False,
        hole: int = NEVER,
    ):
        self.removed, self.tokens = 0.0, 0
        self.vocabulary, self.hole = vocabulary, hole
        self.limit = NEVER if seconds is None else max(1, round(seconds * TICKS_PER_SECOND))
        self.earliest_end = self.limit - TICKS_PER_SECOND if filled and seconds is not None else 0
        size = max(vocabulary.tokens.values()) + 1
        kinds, values = np.full(size, KINDS.index("special")), np.zeros(size, dtype=int)
        # `allowed` says it in columns: 128 keys to strike, 128 to release, velocities, shifts, the end, all else.
        columns = np.full(size, VELOCITIES + 1 + TICKS_PER_SECOND + 1)
        first = {"NoteOn": 0, "NoteOff": PITCHES, "TimeShift": VELOCITIES}  # a shift has one tick at least
        for index, (kind, value) in MEANING.items():
            kinds[index], values[index] = KINDS.index(kind), value
            columns[index] = VELOCITIES if kind == "Velocity" else first[kind] + value
        columns[vocabulary.end] = VELOCITIES + 1 + TICKS_PER_SECOND
        self.kind, self.value, self.column = map(torch.from_numpy, (kinds, values, columns))
        self.stands_for = torch.arange(size)
        self.stands_for[ids_of("NoteOn")] = torch.from_numpy(ids_of("NoteOff"))
        self.kinds = self.kind == torch.arange(len(KINDS))[:, None]
        self.pitches, self.ticks = torch.arange(PITCHES), torch.arange(1, TICKS_PER_SECOND + 1)
        low, high = (0, PITCHES) if all_keys else PIANO
        self.playable = (low <= self.pitches) & (self.pitches <= high)

    def new_state(self, slots: int, device: torch.device | str) -> dict[str, Tensor]:
        for name in ("kind", "value", "column", "pitches", "playable", "ticks", "stands_for", "kinds"):
            setattr(self, name, getattr(self, name).to(device))
        return {
            name: torch.tensor(value, device=device).expand(slots, *torch.tensor(value).shape).clone()
            for name, value in self._read([], 0).items()
        }

    def begin(
        self, state: dict[str, Tensor], slot: int, prompt: Tokens[int], new_tokens: int, written: Tokens[int] = ()
    ) -> None:
        for name, value in self._read(prompt, new_tokens, written).items():
            state[name][slot] = torch.tensor(value)

    def _read(self, prompt: Tokens[int], new_tokens: int, written: Tokens[int] = ()) -> dict[str, Any]:
        """The state after `written`, one row of it: `advance` for a whole line, without tensors."""
        tokens = self.vocabulary.tokens
        compose, continue_, accompany, infill = (tokens[name] for name in (COMPOSE, CONTINUE, ACCOMPANY, INFILL))
        start = max((place for place, token in enumerate(prompt) if token in (compose, accompany, infill)), default=-1)
        from_nothing = (start >= 0 and prompt[start] == compose) or list(prompt) == [continue_]
        struck: dict[int, int] = {}
        now = origin = silence = 0
        begun, velocity, shifted, owing = -1, False, from_nothing, from_nothing
        for place, token in enumerate([*prompt, *written][start + 1 :], start + 1):
            if place == len(prompt):
                origin = now
            kind, value = MEANING.get(token, (None, 0))
            if kind == "TimeShift":
                now, silence, begun = now + value, silence + value, -1
                owing |= not struck
            elif kind == "NoteOff" and value in struck:
                struck.pop(value)
            elif kind == "NoteOn":
                struck[value], begun, silence, owing = now, value, 0, False
            if kind:
                velocity, shifted = kind == "NoteOn", kind == "TimeShift" and value < TICKS_PER_SECOND
        if not written:
            origin = now
        hole = length_of_hole(prompt, self.vocabulary) if start >= 0 and prompt[start] == infill else None
        return {
            "until": NEVER,
            "paused": False,
            "hole": min(self.hole, NEVER if hole is None else hole) - origin,
            "sounding": [pitch in struck for pitch in range(PITCHES)],
            "struck": [struck.get(pitch, now) - origin for pitch in range(PITCHES)],
            "now": now - origin,
            "silence": silence,
            "begun": begun,
            "velocity": velocity,
            "shifted": shifted,
            "owing": owing,
            "ended": False,
            "left": new_tokens,
        }

    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        """Bool [R, V]. Whatever is allowed leaves tokens and time enough to release all that then sounds."""
        sounding, now, left, begun = (state[name] for name in ("sounding", "now", "left", "begun"))
        notes = sounding.sum(-1)
        silent = notes == 0
        order = self._order(state)
        oldest = order.amin(-1)
        age = now - oldest // PITCHES
        # After one has begun notes have to wait for the next tick to be released: that takes a shift.
        waiting = ~silent & (begun >= 0)
        begin_by = state["hole"].clamp(max=self.limit)
        late = (age >= LONGEST_NOTE) | (now >= self.limit + RINGING)
        # Then the oldest ends first.
        in_order = late | (state["silence"] >= LONGEST_SILENCE) | (left <= notes)

        note_off = sounding & (begun < 0)[:, None]
        note_off &= ~in_order[:, None] | (order == oldest[:, None])
        # What a note-on takes: itself, its velocity, a shift, and the release of its note and all others.
        can_begin = ~late & (left >= notes + self.note_takes) & (now < begin_by)
        note_on = ~sounding & self.playable & (self.pitches > begun[:, None]) & can_begin[:, None]
        # Where nothing sounds, a shift leads to a note.
        last = torch.where(silent, begin_by - 1, (now + LONGEST_NOTE - age).clamp(max=self.limit + RINGING))
        room = torch.minimum(last - now, LONGEST_SILENCE - state["silence"])
        can_shift = waiting | (left > torch.where(silent, WHOLE_NOTE, notes))
        room = torch.where(can_shift & ~state["shifted"], torch.maximum(room, waiting.long()), 0)
        shift = self.ticks <= room[:, None]
        may_end = (state["until"] == NEVER) & (now >= self.earliest_end)
        end = (silent & ~state["owing"] & may_end)[:, None]

        columns = torch.cat([note_on, note_off, torch.zeros_like(end), shift, end, torch.zeros_like(end)], -1)
        # The fallback below makes an end of these, also before `until`.
        over = silent & ~state["owing"] & (now > 0) & (now >= self.limit - TICKS_PER_SECOND)
        columns &= ~over[:, None]
        self._give_velocities(columns, state)
        columns &= ~(state["ended"] | (left <= 0))[:, None]
        columns[:, -2] |= ~columns.any(-1)  # a row that is over, or has no room for the note it owes
        return columns[:, self.column]

    def _give_velocities(self, columns: Tensor, state: dict[str, Tensor]) -> None:
        """Where one is due, allow in the columns [R, C] velocities and nothing else, in place."""
        columns &= ~state["velocity"][:, None]
        columns[:, VELOCITIES] = state["velocity"]

    def _order(self, state: dict[str, Tensor]) -> Tensor:
        """[R, 128]: the order in which sounding notes were struck; `NEVER` for silent keys."""
        return torch.where(state["sounding"], state["struck"] * PITCHES + self.pitches, NEVER)

    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        kind, value = self.kind[tokens], self.value[tokens]
        on, off, shift = kind == NOTE_ON, kind == NOTE_OFF, kind == TIME_SHIFT
        key = self.pitches == value[:, None]
        ticks = torch.where(shift, value, 0)
        state["begun"].copy_(torch.where(shift, -1, torch.where(on, value, state["begun"])))
        state["now"].add_(ticks)
        state["silence"].add_(ticks).masked_fill_(on, 0)
        state["sounding"].logical_or_(key & on[:, None]).logical_and_(~(key & off[:, None]))
        state["struck"].copy_(torch.where(key & on[:, None], state["now"][:, None], state["struck"]))
        state["owing"].logical_or_(shift & ~state["sounding"].any(-1)).logical_and_(~on)
        state["velocity"].copy_(on)
        state["shifted"].copy_(shift & (value < TICKS_PER_SECOND))
        state["paused"].logical_or_(shift & (state["now"] >= state["until"]))
        state["ended"].logical_or_(tokens == self.vocabulary.end)
        state["left"].sub_(1)
