"""What can be asked wrongly of a decoder ends in one line that names it, and leaves the run as it was."""

import io
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes import generate
from shared.errors import UserError
from shared.files import check_writable
from tests.faults.harness import FULL
from tests.onedecoder.conftest import new_run

SAMPLED = ("--do_sample", "true")
BEAMS = ("--num_beams", "2")
HUGE = "1000000000000"
# What follows "a dog" on the command line of a translation, and what the line says.
OF_FLAGS = [
    *(((*SAMPLED, "--temperature", value), "--temperature") for value in ("1e-40", "0", "-1", "nan", "inf", "1e400")),
    *((("--max_new_tokens", value), "--max_new_tokens") for value in ("0", "-5", "1.5", "many", "")),
    *((("--min_new_tokens", value), "--min_new_tokens") for value in ("-1", "x")),
    *((("--num_beams", value), "--num_beams") for value in ("0", "-2", HUGE, "2.0")),
    *(((*BEAMS, "--length_penalty", value), "--length_penalty") for value in ("nan", "inf", "-5000", "long")),
    *(((*SAMPLED, "--top_k", value), "--top_k") for value in ("-1", "0.5")),
    *(((*SAMPLED, "--top_p", value), "--top_p") for value in ("0", "-1", "1.1", "nan")),
    *((("--no_repeat_ngram_size", value), "--no_repeat_ngram_size") for value in ("-1", "nan")),
    *(((*SAMPLED, "--num_candidates", value), "--num_candidates") for value in ("0", HUGE)),
    (("--num_candidates", "3"), "--do_sample true"),
    *((flag, "does nothing without --do_sample true") for flag in (("--temperature", "0.7"), ("--top-p=0.9",))),
    *((flag, "does nothing without --num_beams") for flag in (("--length_penalty", "2"), ("--early_stopping",))),
    *((("--generation_batch_size", value), "--generation_batch_size") for value in ("0", "-1")),
    *((("--num_samples", value), "--num_samples") for value in ("0", "-3", HUGE)),
    ((*BEAMS, *SAMPLED), "exclude each other"),
    (("--do_sample", "maybe"), "--do_sample"),
    (("--target_lang", "fr"), "--target_lang fr"),
    (("--seed", "now"), "--seed"),
    (("--nun_beams", "2"), "did you mean 'num_beams'"),
    (("--seconds", "3"), "unknown flag '--seconds'"),
    *(((*BEAMS, "--rerank_reverse", value), "--rerank_reverse is") for value in ("-1", "nan", "inf")),
    (("--config", "nowhere.yaml"), "nowhere.yaml"),
    (("--input_file", "nowhere.txt"), "nowhere.txt"),
]
# Inputs of a translation, instead of "a dog".
OF_INPUTS = [
    (("",), b"", "nothing to write for"),
    ((" \t",), b"", "nothing to write for"),
    (("a dog", ""), b"", "nothing to write for"),
    (("\udcff",), b"", "no Unicode"),
    (("a \ud800 dog",), b"", "no Unicode"),
    (("-",), b"\xff\xfe\x00a", "standard input: 'utf-8'"),
    ((), b"\x80", "standard input: 'utf-8'"),
    (("-",), b"", "nothing to write for"),
    ((), b" \n\n", "nothing to write for"),
]
# Contents of a file that is given as input.
OF_FILES = [(b"", "nothing to write for"), (b" \n", "nothing to write for"), (b"\xff\xfe\x00", "give a text file")]
OF_MUSIC = [
    *((("--seconds", value), "--seconds") for value in ("0", "-1", "nan", "inf", "1e300", "x")),
    *((("--prime_seconds", value), "--prime_seconds") for value in ("0", "nan")),
    (("--job", "dance"), "--job dance"),
    (("--job", "accompany"), "no melody"),
    *((("--from", "1", "--to", value), "--from 1 --to") for value in ("inf", "1e300", "nan", "0")),
    ((*SAMPLED, "--num_candidates", "3"), "chooses by a melody"),
    (("--do_sample", "false", *BEAMS), "--num_beams 1"),
    (("--do_sample", "false", *BEAMS, "--num_return_sequences", "2"), "window after window"),
    (("--prime", "nowhere.mid"), "nowhere.mid"),
    (("nowhere.mid",), "nowhere.mid"),
    (("--target_lang", "de"), "unknown flag '--target_lang'"),
]


def shown(value):
    """A case's name: its flags."""
    return " ".join(value)[:40] if isinstance(value, tuple) else ""


def some(cases):
    """All of them, or for a quick look every third."""
    return cases if FULL else cases[::3]


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """The folder of a run of a task."""
    made = {}

    def run_of(task, **shape):
        if task not in made:
            made[task] = new_run(tmp_path_factory.mktemp("runs") / task, task, **shape)
        return made[task]

    return run_of


@pytest.fixture
def write_for(monkeypatch, tmp_path):
    """Call generate.py in an empty folder with standard input's bytes; the run may not change."""
    monkeypatch.chdir(tmp_path)

    def write_for(run, *arguments, given=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        try:
            generate.main([str(run), *arguments])
        finally:
            assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before

    return write_for


@pytest.fixture
def refused(write_for):
    """The one line in which it ends."""

    def refused(run, *arguments, given=b""):
        with pytest.raises(UserError) as caught:
            write_for(run, *arguments, given=given)
        message = str(caught.value)
        assert "\n" not in message and len(message) < 400
        message.encode()
        return message

    return refused


def test_there_are_enough_misuses():
    assert len(OF_FLAGS) + len(OF_INPUTS) + len(OF_FILES) + len(OF_MUSIC) >= 50


@pytest.mark.parametrize(("flags", "said"), some(OF_FLAGS), ids=shown)
def test_flags(flags, said, run_of, refused):
    assert said in refused(run_of("translation"), "a dog", *flags)


@pytest.mark.parametrize(("inputs", "given", "said"), some(OF_INPUTS), ids=ascii)
def test_inputs(inputs, given, said, run_of, refused):
    assert said in refused(run_of("translation"), *inputs, given=given)


@pytest.mark.parametrize(("contents", "said"), OF_FILES, ids=ascii)
def test_files(contents, said, run_of, refused, tmp_path):
    (tmp_path / "input").write_bytes(contents)
    assert said in refused(run_of("translation"), "--input_file", "input")


@pytest.mark.parametrize(("flags", "said"), some(OF_MUSIC), ids=shown)
def test_music(flags, said, run_of, refused):
    assert said in refused(run_of("music"), *flags)


def test_a_file_that_an_editor_has_marked_as_unicode_reads_as_without_the_mark(run_of, write_for, tmp_path, capsys):
    shown = []
    for contents in (b"a dog\r\na cat\r\n", b"\xef\xbb\xbfa dog\na cat\n"):
        (tmp_path / "input").write_bytes(contents)
        write_for(run_of("translation"), "--input_file", "input", "--max_new_tokens", "4")
        write_for(run_of("translation"), "--max_new_tokens", "4", given=contents)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


@pytest.mark.parametrize("contents", [b"", b"MThd", b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\xff\xff\xff\xff"])
def test_files_that_are_no_midi(contents, run_of, refused, tmp_path):
    (tmp_path / "prime.mid").write_bytes(contents)
    assert "prime.mid" in refused(run_of("music"), "--prime", "prime.mid")


def test_folders_and_files_in_each_others_place(run_of, refused, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    run = run_of("translation")
    assert "--input_file folder" in refused(run, "--input_file", "folder")
    assert "--config folder" in refused(run, "a dog", "--config", "folder")
    assert "folder: cannot be read" in refused(run_of("music"), "--prime", "folder")
    for place in ("file", "file/within", "/proc/nowhere"):
        assert f"could not write to {place}" in refused(run, "a dog", "--output_dir", place)
        assert f"could not write to {place}" in refused(run_of("music"), "--output_dir", place)


def test_a_folder_that_cannot_be_written_is_found_before_anything_is(run_of, refused, monkeypatch, tmp_path):
    def written(*args, **kwargs):
        raise AssertionError("written for nothing")

    monkeypatch.setattr("onedecoder.decoder.LoadedDecoder.write", written)
    (tmp_path / "file").write_text("text")
    assert "could not write to file" in refused(run_of("music"), "--output_dir", "file")
    check_writable(tmp_path / "new")
    assert [*(tmp_path / "new").iterdir()] == []


def test_runs_that_are_none(refused, tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "file", "empty"):
        with pytest.raises(UserError, match=name):
            generate.main([name, "a dog"])
    with pytest.raises(UserError, match="required: run"):
        generate.main([])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers(value, tmp_path, monkeypatch):
    run = new_run(tmp_path / "run", "translation")
    weights = load_file(run / "model.safetensors")
    weights["transformer.h.1.mlp.c_fc.weight"][0, 0] = value
    save_file(weights, run / "model.safetensors", metadata={"format": "pt"})
    for flags in ((), BEAMS, SAMPLED):
        with pytest.raises(UserError, match=r"1 of its weights are no finite numbers, such as transformer\.h\.1\.mlp"):
            generate.main([str(run), "a dog", *flags])


@pytest.mark.parametrize(
    "flags",
    [
        ("--max_new_tokens", HUGE),
        ("--max_new_tokens", "9" * 40),
        ("--no_repeat_ngram_size", HUGE),
        ("--generation_batch_size", HUGE),
        (*SAMPLED, "--top_k", "9" * 30),
        (*SAMPLED, "--temperature", "1e300"),
        (*SAMPLED, "--seed", "9" * 30),
        (*BEAMS, "--length_penalty", "-5"),
    ],
    ids=lambda flags: " ".join(flags)[:40],
)
def test_what_is_large_takes_no_more_room_than_the_context(flags, run_of, write_for, capsys):
    write_for(run_of("translation"), "a dog\0", *flags)
    assert capsys.readouterr().out


def test_more_tokens_at_least_than_at_most(run_of, refused):
    assert "--min_new_tokens is 1000000000000: give up to 32" in refused(
        run_of("translation"), "a dog", "--min_new_tokens", HUGE
    )


def test_text_that_would_never_end(run_of, refused):
    assert "give up to 1,000,000" in refused(run_of("language_modeling"), "a dog", "--max_new_tokens", HUGE)


def test_lines_of_a_conversation_that_are_no_text(run_of, write_for, capsys):
    write_for(run_of("translation"), "--interactive", "true", given=b"\xff\na dog\n")
    shown = capsys.readouterr()
    assert "error: '\\udcff' holds what is no Unicode" in shown.err and shown.out.strip()
