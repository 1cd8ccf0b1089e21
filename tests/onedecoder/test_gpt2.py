"""A folder as the hub has it for `gpt2`: its own byte-level BPE, and a decoder of its vocabulary and positions.

The weights are random, the layers few and narrow, so that the tests are fast; still it is too large for a page.
"""

import json
import re

import pytest

from onedecoder import UserError, load
from onedecoder.about import about, tokenizer
from onedecoder.engine import Engine
from recipes import explore, generate, look

TEXT = "A robot must obey the orders given it"


@pytest.fixture(scope="module")
def folder(new_gpt2):
    return new_gpt2(n_layer=2, n_embd=256, n_head=4)


@pytest.fixture(scope="module")
def gpt2(folder):
    return load(folder, device="cpu")


def test_it_writes_on_from_a_text(gpt2):
    assert gpt2.task.name == "language_modeling" and gpt2.max_length == 1024
    greedy = {"do_sample": False, "max_new_tokens": 4}
    one, both = gpt2(TEXT, **greedy), gpt2([TEXT, "Once"], **greedy)
    assert isinstance(one, str) and one
    assert both == [one, gpt2("Once", **greedy)]
    trace = gpt2.trace(TEXT, max_new_tokens=4)
    assert trace.names[:5] == ["<|endoftext|>", "A", "·robot", "·must", "·obey"]
    assert trace["logits"].shape == (len(trace.ids), 50_257)


def test_generate_writes_on_from_a_text(folder, gpt2, capsys):
    generate.main([str(folder), TEXT, "--do_sample=false", "--max_new_tokens=4"])
    assert capsys.readouterr().out == f"{TEXT}{gpt2(TEXT, do_sample=False, max_new_tokens=4)}\n\n"
    generate.main([str(folder), TEXT, "--num_samples=2", "--max_new_tokens=4", "--load_in_8bit=true"])
    assert capsys.readouterr().out.count(TEXT) == 2
    with pytest.raises(UserError, match="unknown flag '--target_lang'"):
        generate.main([str(folder), TEXT, "--target_lang=de"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt3", "no GPT-2 could be loaded from 'gpt3': give an earlier run, a folder"),
        ("nobody/gpt2", "no GPT-2 could be loaded from 'nobody/gpt2'"),
        ("tests/gpt2", "there is no run in tests/gpt2: give the --output_dir of a training"),  # a folder of ours
        ("README.md", "there is no run in README.md"),
        ("bert", "'bert' is a bert model: the core of this program is GPT-2"),
        ("torn", "no GPT-2 could be loaded from 'torn'"),
        ("weights", "no tokenizer could be loaded from 'weights'"),
    ],
)
def test_what_is_no_decoder_is_named_in_one_line(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "README.md").write_text("text")
    for folder, config in {"bert": '{"model_type": "bert"}', "torn": "{", "weights": '{"model_type": "gpt2"}'}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(config)
    with pytest.raises(UserError) as caught:
        generate.main([name, TEXT])
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_the_page_behind_a_server_shows_it(gpt2):
    engine = Engine(gpt2, [TEXT])
    line = engine.prompt(TEXT)
    logits, allowed = engine.next(line["ids"], line["context"])
    assert logits.shape == (50_257,) and allowed is None
    assert engine.text(line["ids"]) == TEXT
    assert engine.description["names"][line["ids"][2]] == "·robot" and len(engine.description["names"]) == 50_257


def test_its_parameters_add_up(gpt2):
    matrices = about(gpt2, "float32")["matrices"]
    assert sum(matrix["count"] for matrix in matrices) == gpt2.model.num_parameters()
    assert matrices[0] == {"name": "wte.weight", "shape": [50_257, 256], "count": 50_257 * 256}


def test_a_page_of_it_is_refused_in_one_line_which_offers_two_others(folder, tmp_path):
    with pytest.raises(UserError) as error:
        explore.main([str(folder), TEXT, "--export", str(tmp_path / "page.html")])
    said = str(error.value)
    assert "\n" not in said and "14.7 M parameters" in said and "12.5 M" in said
    assert "local page" in said and "--recorded" in said
    assert not [*tmp_path.iterdir()]


def test_a_recording_of_it_is_a_page(folder, tmp_path):
    path = tmp_path / "page.html"
    explore.main([str(folder), TEXT, "--recorded", "--export", str(path)])
    page = path.read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json" data-onedecoder="(\w+)">', page)
    assert found == "recording" and path.stat().st_size < 10_000_000


def test_pictures_of_it_are_written(folder, tmp_path, capsys):
    look.main([str(folder), TEXT, "--out", str(tmp_path), "--max_new_tokens=2"])
    assert str(tmp_path / "way.svg") in capsys.readouterr().out
    assert json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))["tokens"][2] == "·robot"


def test_its_own_bpe_in_javascript_is_that_of_the_library(gpt2, javascript, texts_of_all_kinds):
    code = """
    import { Tokenizer } from "onedecoder/engine/tokenizer.js";
    const tokenizer = new Tokenizer(data.tokenizer);
    result = data.texts.map((text) => { const ids = tokenizer.encode(text); return [ids, tokenizer.decode(ids)]; });
    """
    found = javascript(code, {"tokenizer": tokenizer(gpt2.name, gpt2.task), "texts": texts_of_all_kinds})
    for text, (ids, decoded) in zip(texts_of_all_kinds, found, strict=True):
        assert ids == gpt2.task.vocabulary.encode(text), repr(text)
        assert decoded == text
