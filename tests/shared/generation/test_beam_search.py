from itertools import product
from types import SimpleNamespace

import pytest
import torch
from transformers import GPT2LMHeadModel

from shared.generation.arguments import GenerationArguments
from shared.generation.beam_search import until
from shared.generation.generate import generate

END = 0
VOCABULARY = SimpleNamespace(end=END)


def twin(decoder):
    """transformers' own GPT-2 of the same weights."""
    model = GPT2LMHeadModel(decoder.config).to(decoder.dtype).eval()
    model.load_state_dict(decoder.state_dict())
    return model


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(("num_beams", "length_penalty"), [(2, 1.0), (3, 0.0), (4, 2.0), (4, -1.0), (5, 0.6), (8, 1.0)])
def test_beam_search_is_transformers_generate(new_decoder, num_beams, length_penalty, early_stopping):
    decoder = new_decoder(vocab_size=20, spread=0.2, dtype=torch.float64)
    model = twin(decoder)
    torch.manual_seed(4)
    prompts = [torch.randint(1, 20, (length,)).tolist() for length in (1, 3, 8, 20)]
    settings = {"num_beams": num_beams, "length_penalty": length_penalty, "early_stopping": early_stopping}
    written = generate(decoder, prompts, GenerationArguments(max_new_tokens=10, **settings), VOCABULARY)
    for prompt, ids in zip(prompts, written, strict=True):
        theirs = model.generate(
            torch.tensor([prompt]), max_new_tokens=10, do_sample=False, pad_token_id=END, **settings
        )
        assert ids == until(END, theirs[0, len(prompt) :].tolist())


def test_the_settings_of_beam_search_matter(new_decoder):
    """Else the agreement with transformers would say little."""
    decoder = new_decoder(vocab_size=20, spread=0.2, dtype=torch.float64)
    prompts = [[token] for token in range(1, 20)]
    written = {
        (num_beams, length_penalty): str(
            generate(
                decoder,
                prompts,
                GenerationArguments(max_new_tokens=10, num_beams=num_beams, length_penalty=length_penalty),
                VOCABULARY,
            )
        )
        for num_beams, length_penalty in [(1, 1.0), (4, -1.0), (4, 0.0), (4, 2.0), (8, 2.0)]
    }
    assert len(set(written.values())) == len(written)


def log_probabilities(model, prompt, continuations):
    """Of each continuation, read after the prompt in one batch, padded on the right."""
    longest = max(map(len, continuations))
    ids = torch.tensor([[*continuation, *[END] * (longest - len(continuation))] for continuation in continuations])
    with torch.no_grad():
        logits = model(torch.cat([torch.tensor(prompt).expand(len(ids), -1), ids], 1)).logits
    scores = logits[:, len(prompt) - 1 : -1].log_softmax(-1).gather(2, ids[..., None])[..., 0]
    return [row[: len(ids)].sum().item() for row, ids in zip(scores, continuations, strict=True)]


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_with_enough_beams_the_best_of_all_continuations_is_found(new_decoder, seed, length_penalty):
    decoder = new_decoder(vocab_size=5, spread=0.2, seed=seed, dtype=torch.float64)
    prompt, longest, words = [1, 2, 3], 3, range(1, 5)
    ended = [[*ids, END] for length in range(longest) for ids in product(words, repeat=length)]
    every = ended + [list(ids) for ids in product(words, repeat=longest)]
    scored = zip(log_probabilities(twin(decoder), prompt, every), every, strict=True)
    _, best = max((score / len(ids) ** length_penalty, ids) for score, ids in scored)
    settings = GenerationArguments(max_new_tokens=longest, num_beams=80, length_penalty=length_penalty)
    assert generate(decoder, [prompt], settings, VOCABULARY) == [until(END, best)]


def test_more_beams_find_likelier_lines_than_greedy_search(new_decoder):
    decoder = new_decoder(vocab_size=20, spread=0.2, dtype=torch.float64)
    model, prompts = twin(decoder), [[token] for token in range(1, 20)]

    def total(num_beams):
        settings = GenerationArguments(max_new_tokens=8, num_beams=num_beams, length_penalty=0.0)
        written = generate(decoder, prompts, settings, VOCABULARY)
        whole = [ids if len(ids) == 8 else [*ids, END] for ids in written]
        return sum(log_probabilities(model, prompt, [ids])[0] for prompt, ids in zip(prompts, whole, strict=True))

    assert total(1) < total(6)


def test_what_stands_before_the_end_is_kept():
    assert until(END, [5, 6, END, 7, END]) == [5, 6]
    assert until(END, [5, 6]) == [5, 6]
    assert until(END, [END]) == []
