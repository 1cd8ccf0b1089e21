"""Pages of one file."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
import torch

from onedecoder import load, page
from onedecoder.core import UserError
from onedecoder.export import export, export_recorded, exported
from onedecoder.melody import offered
from onedecoder.recording import record
from recipes import explore
from tasks.midi.codec import one_piano, performance, save

HTML = re.compile(r'<script type="application/json" data-onedecoder="(\w+)">(.*?)</script>', re.DOTALL)


def decoders_in(path):
    return [(kind, json.loads(text)) for kind, text in HTML.findall(path.read_text(encoding="utf-8"))]


def test_a_decoder_of_the_demo_takes_less_than_three_megabytes(demo_sized, tmp_path):
    assert demo_sized.model.num_parameters() > 1_050_000
    assert export([demo_sized], tmp_path / "page.html").stat().st_size < 3_000_000


def test_a_page_is_whole_and_fetches_nothing(translator, tmp_path):
    path = export([translator], tmp_path / "pages" / "page.html", ["</script><script>alert(1)</script>"])
    html = path.read_text(encoding="utf-8")
    assert "default-src 'none'" in html and "<!-- " not in html
    assert not re.search(r'(src|href)="(?!https://jalammar\.github\.io|data:)', html)
    assert "<script>alert" not in html
    imports = json.loads(re.search(r'<script type="importmap">(.*?)</script>', html).group(1))["imports"]
    named = {name for text in page.modules().values() for name in re.findall(r'from "([^"]+)"', text)}
    assert named <= {*imports} and all(address.startswith("data:") for address in imports.values())
    ((kind, data),) = decoders_in(path)
    assert kind == "decoder" and data["about"]["examples"] == [{"text": "</script><script>alert(1)</script>"}]
    assert data["about"]["weights"] == "int8"


def test_two_runs_stand_side_by_side(translator, composer, tmp_path):
    found = decoders_in(export([translator, composer], tmp_path / "page.html"))
    assert [data["about"]["task"] for _, data in found] == ["translation", "music"]


def test_matrices_add_up_to_the_parameters(decoder):
    about = json.loads(exported(decoder))["about"]
    assert sum(matrix["count"] for matrix in about["matrices"]) == about["parameters"] == decoder.model.num_parameters()


def test_what_a_page_cannot_hold_is_named(translator, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(translator.model.config, "n_inner", 96)
        with pytest.raises(UserError, match="an MLP of four times the width: open the local page"):
            export([translator], tmp_path / "page.html")
    monkeypatch.setattr("onedecoder.export.MOST_PARAMETERS", 1000)
    with pytest.raises(UserError, match=r"(?s)local page .* --recorded"):
        export([translator], tmp_path / "page.html")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(UserError, match=r"ends in \.html"):
        export_recorded([translator], tmp_path / "page.txt", ["A dog."])
    with pytest.raises(UserError, match="0 inputs"):
        export_recorded([translator], tmp_path / "page.html", [])


RECORDED = """
import { RecordedEngine } from "onedecoder/engine/recorded.js";
const engine = new RecordedEngine(data.page), { input } = data, line = data.page.recordings[0].ids;
const { ids, context } = await engine.prompt({ text: input });
const trace = await engine.trace(line, context), place = line.length - 2;
const refusal = async (asked) => { try { await asked(); } catch (error) { return [error.name, error.message]; } };
result = {
  ids, context, attention: await trace.attention(1, 2), head: await trace.head(1, 2, place),
  next: (await engine.next(line.slice(0, place + 1), context)).logits,
  up: await trace.vectors("up", 1, place), final: await trace.vectors("final", 0, place), lens: await trace.lens(place),
  beginning: await (await engine.trace(line.slice(0, 5), context)).attention(0, "mean"),
  scores: await trace.scores(place), copied: engine.about.config.copy ? await trace.copied(place) : null,
  pointer: engine.about.config.copy ? await trace.pointer() : null,
  other: await refusal(() => engine.prompt({ text: "Anything else" })),
  branch: await refusal(() => engine.next([...ids, 7, 7, 7], context)),
};
"""


@pytest.mark.parametrize("name", ["translation", "translation copying", "summarization relative"])
def test_a_recording_shows_what_the_decoder_did(name, decoders, javascript, numbers):
    decoder, text = decoders[name], "The small dog sleeps."
    from onedecoder.about import data  # noqa: PLC0415

    recorded = {**data(decoder, "float32", [text]), "recordings": [record(decoder, text)]}
    found = javascript(RECORDED, {"page": recorded, "input": text})
    trace = decoder.trace(text)
    place = len(trace.ids) - 2
    assert found["ids"] == trace.ids[: trace.context] and found["context"] == trace.context
    weights = trace["h.1.weights"][2]
    np.testing.assert_allclose(numbers(found["attention"]).reshape(weights.shape), weights, atol=0.01)
    logits = trace["logits"][place]
    np.testing.assert_allclose(numbers(found["next"]), logits - np.log(np.exp(logits).sum()), atol=1e-3)
    np.testing.assert_allclose(numbers(found["head"]["scores"]), trace["h.1.scores"][2, place], atol=0.02, rtol=2e-3)
    scores = torch.from_numpy(trace.scores().numpy()[place]).log_softmax(-1)
    np.testing.assert_allclose(numbers(found["scores"]), scores, atol=1e-3)
    if found["copied"]:
        np.testing.assert_allclose(found["copied"]["gate"], trace["copy.gate"][place], atol=1e-6)
        np.testing.assert_allclose(found["copied"]["weights"], trace["copy.weights"][place], atol=1e-3)
        np.testing.assert_allclose(found["pointer"], trace["copy.weights"].ravel(), atol=1e-3)
    for key, expected in (("up", trace["h.1.up"][place]), ("final", trace["final"][place])):
        np.testing.assert_allclose(numbers(found[key]), expected, atol=np.abs(expected).max() / 250)
    assert [top["top"][0]["id"] for top in found["lens"]] == [layer[0][0] for layer in trace.lens(place)]
    beginning = decoder.trace_ids(trace.ids[:5], min(5, trace.context))
    if trace.context <= 5:
        mean = beginning["h.0.weights"].mean(0)
        np.testing.assert_allclose(numbers(found["beginning"]).reshape(5, 5), mean, atol=0.01)
    assert found["other"][0] == found["branch"][0] == "EngineError" and text in found["other"][1]


def test_the_recipe_writes_both_kinds_of_page(run_folders, tmp_path, capsys):
    run = str(run_folders["translation"])
    explore.main([run, "--export", str(tmp_path / "page.html"), "A dog.", "A cat."])
    ((_, data),) = decoders_in(tmp_path / "page.html")
    assert [example["text"] for example in data["about"]["examples"]] == ["A dog.", "A cat."]
    explore.main([run, "--recorded", "--export", str(tmp_path / "recorded.html"), "A dog."])
    assert decoders_in(tmp_path / "recorded.html")[0][0] == "recording"
    assert "MB" in capsys.readouterr().out
    for arguments in ([run, "--recorded"], [run, "--export"], [run, "--exprt", "x.html"], []):
        with pytest.raises(UserError):
            explore.main(arguments)


def test_an_input_that_is_no_unicode_is_named(run_folders, tmp_path):
    with pytest.raises(UserError, match="holds what is no Unicode: give text in UTF-8"):
        explore.main([str(run_folders["translation"]), "a \udcff dog", "--export", str(tmp_path / "page.html")])
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("run", "other", "said"),
    [
        ("translation", "translation copying", "runs of music side by side, not of translation"),
        ("music", "chorales", "it has another task than"),
        ("music", "music with lengths", "it has another vocabulary than"),
    ],
)
def test_what_cannot_be_shown_side_by_side_is_refused(run, other, said, run_folders, tmp_path):
    page, beside = str(tmp_path / "page.html"), str(run_folders[other])
    with pytest.raises(UserError, match=f"--beside .*{said}"):
        explore.main([str(run_folders[run]), "--beside", beside, "--export", page])
    assert not [*tmp_path.iterdir()]


def test_two_runs_of_music_are_shown_side_by_side(run_folders, tmp_path):
    run = str(run_folders["music"])
    explore.main([run, "--beside", run, "--export", str(tmp_path / "page.html")])
    assert len(decoders_in(tmp_path / "page.html")) == 2


def test_a_page_offers_a_melody_where_one_can_be_accompanied(decoders, run_folders, tmp_path):
    """The one of the first piece that was scored, if there is one; else the sample's."""
    assert [offered(decoders[name]) for name in ("translation", "chorales", "music on change")] == [None] * 3
    sample = offered(decoders["music"])
    notes = performance_of(sample["midi"], tmp_path)
    assert sample["name"] and len(notes["time"]) > 20 and (np.diff(notes["time"]) > 0).all()
    scored = shutil.copytree(run_folders["music"], tmp_path / "scored")
    new_settings = (scored / "run.yaml").read_text().replace("- compose\n  - continue\n  - accompany", "- accompany")
    (scored / "run.yaml").write_text(new_settings)
    (scored / "samples").mkdir()
    save(
        one_piano(*np.array([[0, 40, 60, 79], [0, 40, 48, 79], [40, 80, 62, 79]]).T), scored / "samples" / "piece-1.mid"
    )
    assert performance_of(offered(load(scored))["midi"], tmp_path)["pitch"].tolist() == [60, 62]


def performance_of(midi, folder):
    (folder / "melody.mid").write_bytes(base64.b64decode(midi))
    return performance(folder / "melody.mid").tracks[0].notes.numpy()
