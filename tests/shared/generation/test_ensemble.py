"""Several decoders write and are scored as the mean of their distributions says; the n best are beam search's."""

import pytest
import torch
from datasets import Dataset

from shared.data.packing import PackedDataset, collate
from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.generation.ensemble import Ensemble
from shared.generation.generate import generate, n_best
from tests.shared.generation.test_beam_search import log_probabilities, twin
from tests.shared.generation.test_generate import SETTINGS, VOCABULARY


@pytest.fixture
def decoders(new_decoder):
    others = {"mask": "prefix", "n_layer": 1, "context": 40}
    copying = {"copy_attention": 5, "seed": 2}
    return [new_decoder(dtype=torch.float64, **changes) for changes in ({}, {"seed": 1, **others}, copying)]


@pytest.fixture
def prompts():
    torch.manual_seed(4)
    return [torch.randint(1, 24, (length,)).tolist() for length in (5, 1, 17, 33, 9)]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_engine_writes_what_the_reference_writes(decoders, prompts, settings):
    arguments = GenerationArguments(max_new_tokens=10, generation_batch_size=8, **settings)
    expected = reference.generate(Ensemble(decoders), prompts, arguments, VOCABULARY, seed=5)
    assert generate(Ensemble(decoders), prompts, arguments, VOCABULARY, seed=5) == expected
    alone = [generate(decoder, prompts, arguments, VOCABULARY, seed=5) for decoder in decoders]
    assert expected not in alone


@pytest.mark.parametrize("beams", [1, 3])
def test_an_ensemble_of_one_or_of_twins_is_the_decoder(decoders, prompts, beams):
    settings = GenerationArguments(max_new_tokens=10, num_beams=beams)
    expected = generate(decoders[0], prompts, settings, VOCABULARY)
    for twins in (decoders[:1], decoders[:1] * 3):
        assert generate(Ensemble(twins), prompts, settings, VOCABULARY) == expected


def test_its_loss_is_that_of_the_mean_distribution(decoders):
    rows = [{"input_ids": [*range(1, length), VOCABULARY.end], "context": 3, "length": length} for length in (6, 9, 12)]
    packed = PackedDataset(Dataset.from_list(rows), pack_length=20, padding=VOCABULARY.end)
    batch = collate([packed[index] for index in range(len(packed))])
    ensemble = Ensemble(decoders)
    shares = [decoder.packed_logits(batch["input_ids"], batch["prefix"], batch["position_ids"]) for decoder in decoders]
    mean = torch.stack([each.softmax(-1) for each in shares]).mean(0)
    places = batch["target_positions"]
    right = mean.flatten(0, 1)[places - 1, batch["labels"].flatten()[places]]
    assert ensemble(**batch, num_items_in_batch=1).loss.item() == pytest.approx(-right.log().sum().item())
    found = ensemble.packed_logits(batch["input_ids"], batch["prefix"], batch["position_ids"])
    torch.testing.assert_close(found.exp(), mean)
    alone = Ensemble(decoders[:1])(**batch, num_items_in_batch=2).loss.item()
    assert alone == pytest.approx(decoders[0](**batch, num_items_in_batch=2).loss.item())


def test_rows_of_one_line_each_come_without_positions(decoders):
    rows = [{"input_ids": [*range(1, 9), VOCABULARY.end], "context": 3, "length": 9}] * 2
    packed = PackedDataset(Dataset.from_list(rows), pack_length=9, padding=VOCABULARY.end)
    batch = collate([packed[index] for index in range(len(packed))])
    assert "position_ids" not in batch
    positions = torch.arange(9).expand(2, -1)
    expected = Ensemble(decoders)(**batch, position_ids=positions).loss
    torch.testing.assert_close(Ensemble(decoders)(**batch).loss, expected)


def test_the_best_come_with_their_scores(decoders, prompts):
    settings = GenerationArguments(max_new_tokens=8, num_beams=4, length_penalty=0.5)
    found = n_best(decoders[0], prompts, settings, VOCABULARY)
    assert [each[0].ids for each in found] == generate(decoders[0], prompts, settings, VOCABULARY)
    model = twin(decoders[0])
    for prompt, hypotheses in zip(prompts, found, strict=True):
        scores = [each.score for each in hypotheses]
        assert len(scores) == 4 and scores == sorted(scores, reverse=True)
        assert len({tuple(each.ids) for each in hypotheses}) == 4
        for score, ids, length, removed in hypotheses:
            whole = ids if len(ids) == 8 else [*ids, VOCABULARY.end]
            assert (length, removed) == (len(whole), 0)
            (total,) = log_probabilities(model, prompt, [whole])
            assert score == pytest.approx(total / len(whole) ** 0.5)


def test_no_more_hypotheses_are_given_than_there_are(new_decoder):
    settings = GenerationArguments(max_new_tokens=1, num_beams=4)
    (found,) = n_best(new_decoder(vocab_size=3), [[1, 2]], settings, VOCABULARY)
    assert len(found) == 3
