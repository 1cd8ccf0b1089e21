"""Runs of tiny decoders with random weights, one for every way of reading a line; JavaScript under node."""

import json
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import unicodedata
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from datasets import Dataset

from onedecoder import LoadedDecoder, load, page
from onedecoder.about import data as data_of
from shared.generation.arguments import GenerationArguments
from shared.model.arguments import ModelArguments
from shared.model.build import new_decoder
from shared.model.decoder import Decoder
from shared.runs.folder import save_settings
from tasks import TASKS
from tasks.midi.codec import one_piano, save

TEXTS = [
    "The small dog sleeps. Der kleine Hund schläft.",
    "I drink coffee, don't I? It's 3 o'clock!",
    "Zürich\nis a town in Switzerland; 東京 is one in Japan.",
]
ROWS = {
    "translation": [{"source": text, "target": text} for text in TEXTS],
    "summarization": [{"document": text, "body": text, "summary": text, "title": ""} for text in TEXTS],
    "language_modeling": [{"text": text} for text in TEXTS],
}
SPECIAL_TEXTS = [
    *("", " ", "\n", "  a", "a  b \n c", "\t\u0085\u00a0x", "\ufeffa \ufeff b", "\u180e x", "it's we'LL I'd 'tis ''s"),
    *("<|endoftext|>", "a<|to-de|>b <|pad|>", "e\u0301 é", "👩‍👩‍👧‍👦 🇨🇭", "١٢٣ Ⅷ ½", "\x00\x7f", "a\r\nb", "x" * 300),
]
# task, and how its decoder reads: every task, both masks; relative attention, repeating positions, copying or not
SHAPES = {
    "translation": ("translation", {}),
    "translation copying": ("translation", {"copy_attention": 6}),
    "summarization": ("summarization", {"mask": "prefix"}),
    "summarization relative": ("summarization", {"mask": "prefix", "relative_attention": 7}),
    "music": ("music", {"relative_attention": 20}),
    "music with lengths": ("music", {"arguments": {"lengths": "with_note"}}),
    "music on change": ("music", {"arguments": {"velocity": "on_change", "job": ["compose", "continue"]}}),
    "chorales": ("chorales", {"relative_attention": 200, "position_period": 16}),
    "language_modeling": ("language_modeling", {}),
}


def new_run(folder, task_name, context=64, arguments=None, **shape):
    """Save a run as a training would leave it, of a decoder whose weights are random and large enough to matter."""
    kind = TASKS[task_name]
    jobs = {"job": ["compose", "continue", "accompany"]} if task_name == "music" else {}
    arguments = kind.Arguments(**{**jobs, **(arguments or {})})
    rows = Dataset.from_list(ROWS[task_name]) if task_name in ROWS else None
    task = kind(arguments, kind.build_vocabulary(arguments, None, rows, 320))
    decoder = new_decoder("tiny", task.vocabulary, context, overrides="n_layer=2,n_embd=48,n_head=3", **shape, seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            weight.add_(torch.randn_like(weight) * (0.2 if weight.dim() > 1 and "wte" not in name else 0.1))
    decoder.save_pretrained(folder)
    generation = {**kind.generation_defaults, "max_new_tokens": context // 2}
    settings = {
        "model": asdict(ModelArguments(max_length=context, **shape)),
        "generation": asdict(GenerationArguments(**generation)),
    }
    save_settings(folder, task, settings)
    return folder


@pytest.fixture(scope="session")
def run_folders(tmp_path_factory):
    """The folders of all `SHAPES`, by name."""
    place = tmp_path_factory.mktemp("runs")
    return {name: new_run(place / name.replace(" ", "-"), task, **shape) for name, (task, shape) in SHAPES.items()}


@pytest.fixture(scope="session")
def decoders(run_folders):
    """The same, loaded."""
    return {name: load(folder, device="cpu") for name, folder in run_folders.items()}


@pytest.fixture(scope="session")
def both_ways(tmp_path_factory):
    """A decoder that translates from English to German and back."""
    folder = tmp_path_factory.mktemp("both") / "ways"
    return load(new_run(folder, "translation", arguments={"both_directions": True}), device="cpu")


@pytest.fixture(scope="session")
def demo_sized(translator):
    """A decoder of the demo's size: 2,000 tokens, 1.06 M parameters."""
    model = new_decoder("tiny", translator.task.vocabulary, 128)
    model.resize_token_embeddings(2000, mean_resizing=False)
    generation = replace(translator.generation, max_new_tokens=100)
    return LoadedDecoder("outputs/translation", model.eval(), translator.task, generation, 128)


@pytest.fixture(params=SHAPES)
def decoder(request, decoders):
    """Each of them in turn."""
    return decoders[request.param]


@pytest.fixture(scope="session")
def translator(decoders):
    return decoders["translation"]


@pytest.fixture(scope="session")
def composer(decoders):
    return decoders["music"]


@pytest.fixture(scope="session", params=["music", "music with lengths", "music on change"])
def musician(request, decoders):
    """A decoder of events, of every notation that the page knows."""
    return decoders[request.param]


@pytest.fixture(scope="session")
def music(musician):
    """What its page knows of its notation."""
    return data_of(musician, "int8")["music"]


@pytest.fixture(scope="session")
def vocabulary(musician):
    return musician.task.vocabulary


@pytest.fixture
def primer(tmp_path):
    """A MIDI file of two notes, the second the louder."""
    save(one_piano(*np.array([[0, 50, 60, 40], [60, 90, 64, 99]]).T), tmp_path / "primer.mid")
    return tmp_path / "primer.mid"


@pytest.fixture(scope="session")
def javascript(tmp_path_factory):
    """Run a module's text under node, where the page's modules are found and `data` is what was given; its `result`.

    Numbers that JSON has not come as strings ("-Infinity"), arrays of floats as lists.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: apt-get install nodejs")
    place = tmp_path_factory.mktemp("node")
    package = place / "node_modules" / "onedecoder"
    for name, text in page.modules().items():
        file = place / "node_modules" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (package / "package.json").write_text('{"type": "module"}')

    def run(code, data=None):
        (place / "data.json").write_text(json.dumps(data), encoding="utf-8")
        (place / "main.mjs").write_text(
            'import { readFileSync, writeFileSync } from "node:fs";\n'
            f'const data = JSON.parse(readFileSync("{place / "data.json"}", "utf-8"));\n'
            f"let result;\n{code}\n"
            "const plain = (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : "
            'typeof value === "number" && !Number.isFinite(value) ? String(value) : value;\n'
            f'writeFileSync("{place / "result.json"}", JSON.stringify(result ?? null, plain));\n',
            encoding="utf-8",
        )
        done = subprocess.run([node, place / "main.mjs"], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads((place / "result.json").read_text(encoding="utf-8"))

    return run


@pytest.fixture(scope="session")
def numbers():
    """An array of what `javascript` gives, infinities included."""
    return lambda values: np.array(values, dtype=np.float64)


@pytest.fixture(scope="session")
def plain_gpt2(tmp_path_factory, translator):
    """A folder that transformers saved, no run of ours."""
    folder = tmp_path_factory.mktemp("plain")
    Decoder(translator.model.config).save_pretrained(folder)
    translator.task.vocabulary.save(folder)
    return folder


@pytest.fixture(scope="session")
def serving():
    """A context in which some decoders are served, in a thread; it gives the port."""
    uvicorn = pytest.importorskip("uvicorn", reason="the server needs uvicorn: pip install -e .[explore]")
    from onedecoder.server import application  # noqa: PLC0415 (needs the extra)

    @contextmanager
    def serving(decoders, inputs):
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
            config = uvicorn.Config(application(decoders, inputs, port), log_level="error")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
            thread.start()
            while not server.started:
                time.sleep(0.01)
            yield port
            server.should_exit = True
            thread.join()

    return serving


@pytest.fixture(scope="session")
def texts_of_all_kinds():
    """Ten thousand random texts, and some that are known to be hard."""
    return SPECIAL_TEXTS + random_texts(10_000)


def random_texts(count):
    """Strings of all kinds of characters that are assigned, words and white space among them."""
    rng = random.Random(5)
    spaces = [chr(code) for code in range(0x3001) if chr(code).isspace()]
    words = ["dog", "don't", " the", "Schläfer", "3", "1999", "'s", "'ll", "<|endoftext|>", "<|to-de|>"]

    def character():
        while True:
            kind = rng.random()
            code = (
                rng.randrange(32, 127)
                if kind < 0.4
                else rng.randrange(0x3000)
                if kind < 0.7
                else rng.randrange(sys.maxunicode)
            )
            if unicodedata.category(chr(code)) not in {"Cs", "Cn"}:  # surrogates, and what Unicode may yet assign
                return chr(code)

    def part():
        kind = rng.random()
        return (
            rng.choice(spaces) * rng.randrange(1, 4) if kind < 0.2 else rng.choice(words) if kind < 0.4 else character()
        )

    return ["".join(part() for _ in range(rng.randrange(1, 30))) for _ in range(count)]
