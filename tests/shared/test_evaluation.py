import json
import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset

from shared import evaluation
from shared.data.encoding import encode
from shared.data.packing import PackedDataset
from shared.evaluation import evaluate, likelihood, outputs_for
from shared.generation.arguments import GenerationArguments
from shared.task import perplexity

LENGTH = 24


def process(index=0, count=1):
    """What accelerate's Accelerator says of one process of several."""
    return SimpleNamespace(
        process_index=index,
        num_processes=count,
        is_main_process=index == 0,
        device=torch.device("cpu"),
        autocast=nullcontext,
    )


@pytest.fixture
def rows(task):
    """Rows of many lengths, in no order."""
    texts = ["dog", "the cat and the rat", "owl and hen", "a", "pig and the pig and the pig", "the fox", "cow", "hens"]
    return Dataset.from_list([{"source": text, "target": text[::-1]} for text in texts])


@pytest.fixture
def packed(task, rows):
    lines, _ = encode(rows, lambda rows: task.all_sequences(rows, 64, training=False), "test")
    return PackedDataset(lines, max(lines["length"]), task.vocabulary.padding)


@pytest.fixture
def writer(task, new_decoder):
    """A decoder of random weights in float64, so that no rounding decides what it writes."""
    return new_decoder(len(task.vocabulary.tokens), context=64, dtype=torch.float64)


def test_the_likelihood_is_the_sum_over_single_lines(task, rows, packed, writer):
    nats, tokens = likelihood(writer, packed, 3, process())
    expected, count = 0.0, 0
    for row in rows:
        (line,) = task.sequences(row, 64, training=False)
        ids = torch.tensor([[*line.context, *line.target]])
        with torch.no_grad():
            logits = writer(ids).logits[0, len(line.context) - 1 : -1]
        expected += F.cross_entropy(logits, torch.tensor(line.target), reduction="sum").item()
        count += len(line.target)
    assert tokens == count
    assert nats == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_the_likelihood_does_not_depend_on_the_batch_size(packed, writer, batch_size):
    assert len(packed) > 2
    one = likelihood(writer, packed, 3, process())
    other = likelihood(writer, packed, batch_size, process())
    assert other[1] == one[1]
    assert other[0] == pytest.approx(one[0], rel=1e-6)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_processes_share_the_likelihood_and_count_no_row_twice(packed, writer, count):
    parts = [likelihood(writer, packed, 1, process(index, count)) for index in range(count)]
    nats, tokens = likelihood(writer, packed, 1, process())
    assert sum(part[1] for part in parts) == tokens
    assert sum(part[0] for part in parts) == pytest.approx(nats, rel=1e-9)
    assert parts[0][1] < tokens


def test_a_perplexity_beyond_all_numbers_is_infinite():
    assert perplexity(3600.0, 1) == float("inf")
    assert perplexity(0.0, 5) == 1.0


def test_the_likelihood_is_without_dropout(packed, new_decoder, task):
    decoder = new_decoder(len(task.vocabulary.tokens), context=64, resid_pdrop=0.5).train()
    assert likelihood(decoder, packed, 3, process()) == likelihood(decoder.train(), packed, 3, process())


def test_outputs_come_in_the_order_of_the_rows(task, rows, writer):
    settings = GenerationArguments(max_new_tokens=6, generation_batch_size=3)
    written = outputs_for(writer, task, rows, settings, 64, 0, process())
    alone = [outputs_for(writer, task, [row], settings, 64, 0, process())[0] for row in rows]
    assert written == alone
    assert len(set(written)) > 4


@pytest.mark.parametrize("settings", [{"do_sample": True}, {"num_beams": 3}], ids=str)
def test_processes_share_the_writing_and_write_what_one_would(task, rows, writer, monkeypatch, settings):
    settings = GenerationArguments(max_new_tokens=6, **settings)
    expected = outputs_for(writer, task, rows, settings, 64, 5, process())
    written = []

    def gather(pairs):
        written.extend(pairs)
        return [(index, []) for index in range(len(rows)) if index not in dict(written)] + written

    monkeypatch.setattr(evaluation, "gather_object", gather)
    for index in range(3):
        outputs = outputs_for(writer, task, rows, settings, 64, 5, process(index, 3))
    assert outputs == expected
    assert len(written) == len(rows)


@pytest.fixture
def options(rows, tmp_path):
    """Of `evaluate`; what is written goes to the folder `samples`."""
    numbers = {"batch_size": 2, "max_length": 64, "seed": 0}
    return {**numbers, "accelerator": process(), "training_rows": rows, "samples": tmp_path / "samples"}


def test_evaluation_gives_the_tasks_scores_and_keeps_what_was_written(task, rows, packed, writer, options):
    settings = GenerationArguments(max_new_tokens=6)
    metrics = evaluate(writer, task, rows, packed, settings, **options)
    nats, tokens = likelihood(writer, packed, 2, process())
    assert metrics == {"loss": nats / tokens, "perplexity": math.exp(nats / tokens), "exact": 0.0}
    lines = [json.loads(line) for line in (options["samples"] / "outputs.jsonl").read_text().splitlines()]
    outputs = outputs_for(writer, task, rows, settings, 64, 0, process())
    assert [line["output"] for line in lines] == outputs
    assert [line["source"] for line in lines] == rows["source"][:]
    assert [line["reference"] for line in lines] == rows["target"][:]


def test_without_settings_of_generation_nothing_is_written(task, rows, packed, writer, options):
    assert evaluate(writer, task, rows, packed, None, **options).keys() == {"loss", "perplexity"}
    assert not options["samples"].exists()
