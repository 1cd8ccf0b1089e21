"""What the demo prints: its work, in 100 columns."""

import json
import multiprocessing
import os

import pytest

from recipes import demo
from shared.errors import UserError

TEST = {
    "translation": {"bleu": 91.944, "chrf": 96.0, "perplexity": 1.12},
    "summarization": {"rouge1": 62.63, "lead_rouge1": 37.88, "openings_rouge1": 36.9, "novel_3grams": 96.63}
    | {"names_in_source": 99.82, "reference_names_in_source": 100.0, "coverage": 84.27, "reference_coverage": 84.6},
    "music": {
        **{"nll_per_note": 2.67, "valid_midi": 100.0},
        **{"generated_polyphony": 4.97, "real_polyphony": 3.93, "generated_duration": 0.94, "real_duration": 0.74},
    },
}
RECORDS = {
    "translation": {"source": "The dog sleeps.", "output": "Der Hund schlaf.", "reference": "Der Hund schläft."},
    "summarization": {
        "source": "Brunnau\n" + "Its mill is old. " * 90,
        "output": "A town.",
        "reference": "It is " * 99,
    },
}


def as_a_recipe(*words):
    """Leave what a recipe would leave in its folder, whose name is read from the repository's root."""
    if words[0] == "recipes/explore.py":
        (demo.REPOSITORY / words[-1]).write_text("a page")
        return
    folder = demo.REPOSITORY / words[1].removeprefix("--output_dir=")
    (folder / "samples").mkdir(parents=True)
    train = {"rows": 8000, "train_runtime": 108.0}
    metrics = {"parameters": 1057536, "train": train, "test": TEST[folder.name]}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    if record := RECORDS.get(folder.name):
        (folder / "samples" / "outputs.jsonl").write_text(f"{json.dumps(record)}\n" * 9)
    else:
        (folder / "samples" / "piece-1.wav").touch()


def test_the_demo_shows_its_work(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "command", as_a_recipe)
    demo.main([])
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines)) <= demo.WIDTH and len(lines) <= 80
    assert "[1 of 3] translation" in text and "1,057,536 parameters have learned 8,000 rows in 1.8 minutes" in text
    assert "    source:    The dog sleeps.\n    output:    Der Hund schlaf.\n    reference: Der Hund schläft.\n" in text
    assert text.count("Der Hund schläft.") == demo.EXAMPLES
    assert "    source:    Brunnau …\n    output:    A town.\n" in text
    assert "outputs/demo/music/samples/piece-1.wav  (a recording of piece-1.mid)" in text
    bleu = next(line for line in lines if "BLEU" in line)
    assert bleu.split() == ["outputs/demo/translation", "BLEU", "91.94"]
    assert any(line.split()[-3:] == ["62.63", "37.88", "36.90"] for line in lines)
    assert any(line.split()[-4:] == ["at", "once", "4.97", "3.93"] for line in lines)
    assert any(line.split()[-4:] == ["source,", "%", "99.82", "100.00"] for line in lines)
    assert "3-grams" not in text and "all scores: outputs/demo/*/metrics.json" in text
    commands = [line.strip() for line in lines if line.startswith("    python recipes/")]
    assert commands[0] == 'python recipes/generate.py outputs/demo/translation "The small dog sleeps."'
    assert len(commands) == 3
    files = [line.split()[0] for line in lines[lines.index("look at:") + 1 :]]
    assert len(files) == 3 and files[1].endswith("piece-1.wav")


def test_one_task_and_one_that_there_is_not(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "command", as_a_recipe)
    demo.main(["--tasks", "translation", "--output_dir", str(tmp_path)])
    assert "[1 of 1] translation" in capsys.readouterr().out
    with pytest.raises(UserError, match="--tasks dancing: give some of translation"):
        demo.main(["--tasks", "dancing"])


def test_bars_are_drawn_in_one_place_and_lines_are_kept(monkeypatch, capsys):
    said = "1,057,536 parameters\n\r  0%|    | 0/2\r 50%|#   | 1/2\r100%|####| 2/2\nerror: no\n"
    assert list(demo.watch(iter(said))) == ["1,057,536 parameters", "error: no"]
    assert capsys.readouterr().err == ""  # nobody looks on
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(demo.watch(iter(said))) == ["1,057,536 parameters", "error: no"]
    drawn = capsys.readouterr().err
    assert drawn.count("|") == 6 and "\n" not in drawn and drawn.endswith(" \r")


def test_a_recipe_that_fails_says_why(capsys, tmp_path):
    script = tmp_path / "recipe.py"
    script.write_text(
        "import sys; print('scores'); print('error: no space', sys.argv[1], file=sys.stderr); sys.exit(2)"
    )
    with pytest.raises(UserError, match=r"recipe.py --flag ended with exit code 2"):
        demo.command(str(script), "--flag")
    assert capsys.readouterr().out == "error: no space --flag\n"


def test_recipes_find_loaded_what_they_need(capsys, tmp_path, monkeypatch):
    """Where there is no GPU, which a forked process could not use."""
    monkeypatch.setattr(demo, "PROCESSES", multiprocessing.get_context("fork"))
    script = tmp_path / "recipe.py"
    script.write_text(f"import os, sys; sys.exit(7 * ('torch' in sys.modules and os.getppid() == {os.getpid()}))")
    with pytest.raises(UserError, match="ended with exit code 7"):
        demo.command(str(script))
