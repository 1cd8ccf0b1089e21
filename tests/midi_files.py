"""What a MIDI file that was made holds, as a program that opens it finds it."""

from io import BytesIO

from symusic import Score


def opened(file):
    """A file of mido's, read by symusic."""
    written = BytesIO()
    file.save(file=written)
    return Score.from_midi(written.getvalue())
