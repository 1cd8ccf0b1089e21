"""Using a decoder from Python."""

import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from symusic import Score

import onedecoder
from onedecoder import Piece, UserError, load
from onedecoder.core import GenerationArguments, generate_best


def test_a_text_gives_a_text_and_a_list_a_list(translator):
    one = translator("The small dog sleeps.")
    both = translator(["The small dog sleeps.", "I drink coffee"], max_new_tokens=5)
    assert isinstance(one, str)
    assert [isinstance(text, str) for text in both] == [True, True]
    assert both == [
        translator("The small dog sleeps.", max_new_tokens=5),
        translator("I drink coffee", max_new_tokens=5),
    ]


def test_it_writes_what_generate_writes(translator):
    task, settings = translator.task, GenerationArguments(max_new_tokens=9, num_beams=3)
    prompt = task.prompt(task.request("The small dog"), translator.max_length, 9).context
    (ids,) = generate_best(translator.model, task, [prompt], settings)
    assert translator("The small dog", num_beams=3, max_new_tokens=9) == task.decode(ids)


def test_the_same_seed_writes_the_same(translator):
    drawn = [translator("A dog", do_sample=True, temperature=2.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beam": 5}, "did you mean 'num_beams'"),
        ({"seconds": 3}, "unknown setting 'seconds'"),
        ({"temperature": 0}, "temperature"),
        ({"max_new_tokens": "5"}, "max_new_tokens='5' is of another type: give int"),
        ({"max_new_tokens": 2.5}, "max_new_tokens=2.5"),
        ({"num_beams": True}, "num_beams=True is of another type"),
        ({"do_sample": "false"}, "do_sample='false' is of another type: give bool"),
        ({"do_sample": 1}, "do_sample=1"),
        ({"num_beams": 2, "early_stopping": "never"}, "early_stopping='never'"),
        ({"temperature": None}, "temperature=None"),
        ({"target_prefix": None}, "target_prefix=None is of another type: give str"),
        ({"target_lang": 3}, "target_lang=3 is of another type: give str or None"),
        ({"seed": "x"}, "seed='x' is of another type"),
        ({"target_lang": "fr"}, "has not learned to write it"),
    ],
)
def test_wrong_settings_are_named(translator, settings, message):
    with pytest.raises(UserError, match=message):
        translator("A dog.", **settings)


def test_numbers_of_other_kinds_are_numbers(translator):
    asked = {"do_sample": True, "temperature": 2, "max_new_tokens": np.int64(5)}
    expected = translator("A dog", do_sample=True, temperature=2.0, max_new_tokens=5, seed=3)
    assert translator("A dog", seed=np.int64(3), **asked) == expected
    assert translator.trace("A dog", seed=np.int64(3), **asked).ids == translator.trace("A dog", seed=3, **asked).ids
    with pytest.raises(UserError, match="new_tokens='x' is of another type: give int or None"):
        translator.prompt("A dog", new_tokens="x")


def test_nothing_is_written_for_nothing(translator, tmp_path):
    given = tmp_path / "text.txt"
    assert translator([]) == [] and translator(given) == translator(str(given))
    for ask in (translator, translator.trace, translator.n_best, translator.prompt):
        with pytest.raises(UserError, match="nothing to write for"):
            ask("  ")
        for wrong in (None, {"title": "x"}, 7, b"abc", [1, 2]):
            with pytest.raises(UserError, match="is no input: give a text"):
                ask(wrong)


def test_the_best_are_as_many_as_are_asked_for(translator):
    assert len(translator.n_best("A dog", 2, max_new_tokens=3)) == 2
    for wrong in (-1, 0, 3):
        with pytest.raises(UserError, match=f"the {wrong} best of 2 hypotheses: ask for 1 or more"):
            translator.n_best("A dog", wrong, num_beams=2)
    with pytest.raises(UserError, match="count='2' is of another type"):
        translator.n_best("A dog", "2")


def test_music_is_composed_and_saved(composer, tmp_path):
    piece = composer.compose(seconds=2, max_new_tokens=40)
    assert isinstance(piece, Piece) and 0 < piece.seconds <= 2 + 1  # what sounds in the end rings for a second at most
    path = piece.save(tmp_path / "new" / "piece.mid")
    assert len(Score.from_midi(path.read_bytes()).tracks[0].notes) == len(piece.score.tracks[0].notes)
    for suffix in ("png", "wav"):
        assert piece.save(tmp_path / f"piece.{suffix}").stat().st_size > 1000
    with pytest.raises(UserError, match=r"\.mid"):
        piece.save(tmp_path / "piece.mp3")


def test_a_piece_is_saved_as_a_sequencer_wants_it(composer, tmp_path):
    piece = composer.compose(seconds=2, max_new_tokens=40, tempo=60)
    file = Score(piece.save(tmp_path / "piece.mid"))
    assert [round(tempo.qpm) for tempo in file.tempos] == [60]
    assert [track.name for track in file.tracks] == ["Piano"]


def test_a_piece_is_saved_as_a_score_where_music21_is(composer, tmp_path, monkeypatch):
    piece = composer.compose(seconds=2, max_new_tokens=40)
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(UserError, match="a package is missing: pip install music21,"):
        piece.save(tmp_path / "piece.musicxml")
    monkeypatch.undo()
    pytest.importorskip("music21")
    assert "<note" in piece.save(tmp_path / "piece.musicxml").read_text()


def test_a_piece_goes_on_from_a_midi_file(composer, tmp_path):
    path = composer.compose(seconds=1, max_new_tokens=20).save(tmp_path / "primer.mid")
    given = len(composer.prompt(str(path), job="continue").context) - 1
    longer = composer.compose(path, job="continue", max_new_tokens=20)
    alone = composer.compose(path, job="continue", max_new_tokens=20, write_prime=False)
    assert longer.events[given:] == alone.events


def test_two_requests_do_not_share_their_wishes(composer):
    short = composer.compose(seconds=1, max_new_tokens=30)
    composer.compose(seconds=9, max_new_tokens=30)
    assert composer.compose(seconds=1, max_new_tokens=30).events == short.events
    assert composer.task.request_arguments.seconds is None


def test_text_decoders_compose_nothing(translator):
    with pytest.raises(UserError, match="composes nothing"):
        translator.compose(seconds=3)


def test_a_folder_of_transformers_is_loaded_and_writes_on(plain_gpt2):
    decoder = load(plain_gpt2)
    assert decoder.task.name == "language_modeling" and decoder.max_length == decoder.model.context
    assert isinstance(decoder("The dog", max_new_tokens=4), str)


def test_what_is_no_decoder_is_named(tmp_path):
    for name in (tmp_path, tmp_path / "nothing", "no/such-decoder"):
        with pytest.raises(UserError, match=str(name)):
            load(name)


def test_what_is_no_device_is_named(plain_gpt2):
    for device in ("abacus", "mps", "meta"):
        with pytest.raises(UserError, match=rf"^device='{device}': .*; give 'cpu'") as error:
            load(plain_gpt2, device=device)
        assert len(str(error.value)) < 300


def test_names_say_what_a_token_is(translator, composer, decoders):
    assert {"<|to-de|>", "<|endoftext|>", "·a", "⏎"} <= {*translator.names}
    assert {"note-on C4", "note-off F#3", "velocity 67", "wait 120 ms", "wait 1000 ms", "<|compose|>"} <= {
        *composer.names
    }
    assert {"C4", "rest"} <= {*decoders["chorales"].names}
    assert {"\\x00", "\\x1d", "\\x7f"} <= {*translator.names} and not any(
        unicodedata.category(letter) == "Cc" for letter in "".join(translator.names) if letter < "\x80"
    )
    for decoder in decoders.values():
        assert len(decoder.names) == decoder.model.config.vocab_size


def test_training_and_scoring_are_functions(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"en": "the dog", "de": "der Hund"}\n' * 8)
    decoder = onedecoder.train(
        "translation",
        **{f"{split}_file": (str(file),) for split in ("train", "validation", "test")},
        **{"save_total_limit": None, "max_predict_samples": 3},
        **{"size": "tiny", "vocab_size": 300, "max_length": 32, "max_steps": 2, "report_to": "none"},
        output_dir=str(tmp_path / "run"),
    )
    assert isinstance(decoder("the dog"), str)
    settings = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert settings["training"]["save_total_limit"] == "None"  # transformers writes it so
    assert settings["task_arguments"]["train_file"] == [str(file)]
    assert "bleu" in onedecoder.evaluate(tmp_path / "run", max_predict_samples=2)
    onedecoder.evaluate(tmp_path / "run", max_predict_samples=None, name="all")
    assert len((tmp_path / "run" / "all" / "outputs.jsonl").read_text().splitlines()) == 8
    with pytest.raises(UserError, match="unknown task 'dancing'"):
        onedecoder.train("dancing")


@pytest.mark.parametrize("text", ["{", "[1]\n", '{"source": 3}\n', "\xff"])
def test_examples_that_cannot_be_read_are_none(tmp_path, translator, text):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "outputs.jsonl").write_text(text, encoding="latin-1")
    assert replace(translator, name=str(tmp_path)).examples() == []
