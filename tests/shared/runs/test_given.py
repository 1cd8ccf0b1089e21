"""Outputs that are there already, read back."""

import json

import pytest

from shared.runs.given import read_outputs

TEXTS = ["one\u2028line", "a\x0cpage\x0bof\x85it", "", "the last"]


@pytest.mark.parametrize("name", ["outputs.txt", "outputs.jsonl"])
def test_only_line_feeds_end_a_line(tmp_path, name):
    lines = TEXTS if name.endswith("txt") else [json.dumps({"output": text}, ensure_ascii=False) for text in TEXTS]
    (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert read_outputs(tmp_path / name) == TEXTS
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())  # the mark of some editors
    assert read_outputs(tmp_path / name) == TEXTS
