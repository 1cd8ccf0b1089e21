"""What to call a token where people read it."""

import re

from onedecoder.core import TextVocabulary, Vocabulary

SPECIAL = re.compile(r"<\|.*?\|>")
# Control characters have no shape: they are shown by their codes.
VISIBLE = {**{code: f"\\x{code:02x}" for code in (*range(32), 127)}, ord("\n"): "⏎", ord("\t"): "⇥"}


def token_names(vocabulary: Vocabulary, size: int) -> list[str]:
    """A name for each id from 0 to `size` - 1: of special tokens themselves, of events what they do, of text itself.

    A leading space is shown as ·, a line break as ⏎, another control character as
    its code. An id that is no token is called by its number.
    """
    names = [f"[{index}]" for index in range(size)]
    for token, index in vocabulary.tokens.items():
        if index < size:
            names[index] = _name(vocabulary, token)
    return names


def _name(vocabulary: Vocabulary, token: str) -> str:
    if special := SPECIAL.match(token):
        return special.group()
    if not isinstance(vocabulary, TextVocabulary):
        return _event(token) or (vocabulary.words(token) if token.endswith("_None") else token)
    name = vocabulary.words(token).translate(VISIBLE)
    return "·" + name[1:] if name.startswith(" ") else name


def _event(token: str) -> str | None:
    """A music event in words: `note-on C4`, `note-off C4`, `velocity 64`, `length 250 ms`, `wait 120 ms`; None for any
    other token."""
    kind, _, value = token.partition("_")
    if kind in NOTES:
        return f"{NOTES[kind]} {PITCHES[int(value) % 12]}{int(value) // 12 - 1}"
    if kind == "Velocity":
        return f"velocity {value}"
    if kind in TIMES:
        beats, ticks, in_a_beat = map(int, value.split("."))
        return f"{TIMES[kind]} {round((beats * in_a_beat + ticks) * 500 / in_a_beat)} ms"
    return None


NOTES = {"NoteOn": "note-on", "Pitch": "note-on", "NoteOff": "note-off"}
TIMES = {"TimeShift": "wait", "Duration": "length"}
PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
