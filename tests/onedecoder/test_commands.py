"""Commands by name, pictures as files, a decoder that is asked line by line."""

import io
import json
import sys
from contextlib import chdir

import pytest
from symusic import Score

from onedecoder import UserError
from onedecoder.commands import command
from onedecoder.interactive import converse
from recipes import evaluate, generate, look
from tests.onedecoder.conftest import new_run


def test_commands_are_named(capsys):
    command([])
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("train", "generate", "evaluate", "look", "explore", "listen", "play"))
    for wrong, message in (
        (["dance"], "unknown command 'dance'"),
        (["train"], "give one of"),
        (["train", "x"], "train x"),
    ):
        with pytest.raises(UserError, match=message):
            command(wrong)


def test_a_command_runs_from_any_folder(run_folders, tmp_path):
    arguments = ["look", str(run_folders["translation"]), "A dog.", "--out=seen", "--format=png", "--max_new_tokens=3"]
    with chdir(tmp_path):
        command(arguments)
    assert {"write.png", "attention.png", "numbers.json"} <= {path.name for path in (tmp_path / "seen").iterdir()}


def test_pictures_and_their_numbers_are_written(run_folders, tmp_path, capsys):
    look.main([str(run_folders["music"]), "--out", str(tmp_path), "--max_new_tokens=12", "--layer=2", "--candidates=3"])
    *printed, last = capsys.readouterr().out.splitlines()
    assert last == str(tmp_path / "numbers.json")
    names = ("write", "attention", "heads", "way", "lens", "kept", "arcs")
    for name in names:
        assert (tmp_path / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
    numbers = json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))
    length = len(numbers["ids"])
    assert len(numbers["written"]) == length - numbers["context"] == len(printed) - len(names) - 1  # the table's head
    assert numbers["tokens"][0] == "<|compose|>"
    for layer in numbers["weights"]:
        for head in layer:
            assert [len(row) for row in head] == [length] * length
            assert all(sum(row) == pytest.approx(1, abs=1e-3) for row in head)
    for step in numbers["written"]:
        shares = [one["p"] for one in step["likeliest"]]
        assert len(shares) == 3 and shares == sorted(shares, reverse=True)
    assert sum(matrix["count"] for matrix in numbers["parameters"]) > 0


def test_a_hole_is_looked_into_and_a_language_is_asked_for(tmp_path, midi_dir, both_ways):
    run = new_run(tmp_path / "run", "music", arguments={"job": ["infill"]})
    seen = ["--out", str(tmp_path / "seen"), "--max_new_tokens=4"]
    look.main([str(run), str(midi_dir / "0.mid"), "--from=2", "--to=3", *seen])
    tokens = json.loads((tmp_path / "seen" / "numbers.json").read_text(encoding="utf-8"))["tokens"]
    assert {"<|gap|>", "<|infill|>"} < {*tokens}
    with pytest.raises(UserError, match="give a MIDI file, and --from and --to in seconds of it"):
        look.main([str(run), str(midi_dir / "0.mid"), *seen])
    look.main([both_ways.name, "Der Hund.", "--target_lang=en", *seen])
    assert "<|to-en|>" in json.loads((tmp_path / "seen" / "numbers.json").read_text(encoding="utf-8"))["tokens"]


def test_wrong_looks_are_named(run_folders):
    run = str(run_folders["translation"])
    for arguments, message in (
        ([run, "A dog.", "--layer=9"], "the decoder has 2"),
        ([run, "A dog.", "--candidates=0"], "give 1 or more"),
        ([run], "nothing to write for"),
        ([run, "A dog.", "--format=gif"], "gif"),
        ([run, "A dog.", "--target_lang=fr"], "has not learned to write it"),
        ([str(run_folders["music"]), "--tempo=90"], "--tempo does nothing here, since no piece is written"),
    ):
        with pytest.raises(UserError, match=message):
            look.main(arguments)


def test_lines_are_answered_one_by_one(translator, tmp_path, capsys):
    out = io.StringIO()
    converse(
        translator, *translator.asked({"max_new_tokens": 4}), tmp_path, lines=["A dog.\n", "  \n", "A cat.\n"], out=out
    )
    assert out.getvalue().splitlines() == [translator(text, max_new_tokens=4) for text in ("A dog.", "A cat.")]
    assert capsys.readouterr().err.count("error: nothing to write for") == 1


def test_pieces_are_saved_under_new_names(composer, tmp_path):
    out = io.StringIO()
    wanted = composer.asked({"seconds": 1, "max_new_tokens": 20, "tempo": 60})
    converse(composer, *wanted, tmp_path, lines=["\n", "\n"], out=out)
    first, second = (tmp_path / f"piece-{number}.mid" for number in (1, 2))
    assert out.getvalue().splitlines() == [str(first), str(second)]
    assert first.read_bytes() != second.read_bytes()
    assert [round(tempo.qpm) for tempo in Score(first).tempos] == [60]


@pytest.mark.parametrize(
    ("flags", "idle"),
    [
        (["A dog.", "--interactive=true"], "the inputs"),
        (["--interactive=true", "--num_samples=2"], "--num_samples"),
        (["--interactive=true", "--output_dir=out"], "--output_dir"),
        (["A dog.", "--num_beams=2", "--num_return_sequences=2", "--output_dir=out"], "--output_dir"),
        (["A dog.", "--num_beams=2", "--num_return_sequences=2", "--rerank_reverse=1"], "--rerank_reverse"),
    ],
)
def test_settings_that_would_be_passed_over_are_refused(run_folders, flags, idle):
    with pytest.raises(UserError, match=f"leave out {idle}$"):
        generate.main([str(run_folders["translation"]), *flags])


def test_what_was_written_before_is_kept(run_folders, tmp_path):
    run, out = str(run_folders["music"]), tmp_path / "pieces"
    generate.main([run, "--max_new_tokens=20", "--num_samples=2", f"--output_dir={out}"])
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    generate.main([run, "--max_new_tokens=20", "--seed=1", f"--output_dir={out}"])
    assert {path.name for path in out.glob("*.mid")} == {"piece-1.mid", "piece-2.mid", "piece-3.mid"}
    assert all((out / name).read_bytes() == content for name, content in first.items())
    for _ in range(2):
        generate.main([str(run_folders["translation"]), "A dog.", f"--output_dir={out}"])
    assert len((out / "outputs.jsonl").read_text().split("\n")) == 3


def test_a_files_name_is_no_text(run_folders, tmp_path):
    (tmp_path / "article.txt").write_text("A dog.")
    with pytest.raises(UserError, match=r"article.txt' is a file, not a text: give it as --input_file /"):
        generate.main([str(run_folders["summarization"]), str(tmp_path / "article.txt")])
    with pytest.raises(UserError, match=r"song: cannot be read \(No such file or directory\): give a MIDI file"):
        generate.main([str(run_folders["music"]), "write me a song"])
    with pytest.raises(UserError, match=r"--input_file no.txt: No such file or directory; give a text file"):
        generate.main([str(run_folders["translation"]), "--input_file=no.txt"])


def test_help_names_what_examples_use(run_folders, capsys):
    with pytest.raises(SystemExit):
        generate.main([str(run_folders["music"]), "--help"])
    shown = capsys.readouterr().out
    assert "--input_file, --prime …" in shown and "--hole_from, --from …" in shown and "--hole-from" not in shown


@pytest.mark.parametrize("recipe", [generate, look, evaluate])
def test_the_run_comes_first(run_folders, recipe):
    with pytest.raises(UserError, match="--target_lang stands before the run: name the run first"):
        recipe.main(["--target_lang", "en", str(run_folders["translation"]), "A dog."])


def test_generate_reads_line_by_line(run_folders, translator, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("A dog.\nA cat.\n"))
    generate.main([str(run_folders["translation"]), "--interactive=true", "--max_new_tokens=4"])
    assert capsys.readouterr().out.splitlines() == [translator(text, max_new_tokens=4) for text in ("A dog.", "A cat.")]
    monkeypatch.setattr(sys, "stdin", io.StringIO("A dog. " * 100))
    generate.main([str(run_folders["translation"]), "--interactive=true", "--max_new_tokens=4"])
    assert "tokens do not fit: the decoder does not see them" in capsys.readouterr().err
