import itertools
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from shared.errors import UserError
from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.generation.decode_step import DecodeStep
from shared.generation.generate import generate
from shared.writing import Window, everything, latter_half

END = 0
VOCABULARY = SimpleNamespace(end=END)
CONTEXT = 48
SETTINGS = {
    "greedy": {},
    "sampled": {"do_sample": True},
    "top_k": {"do_sample": True, "top_k": 4, "temperature": 1.5},
    "top_p": {"do_sample": True, "top_p": 0.8, "temperature": 0.7},
    "beams": {"num_beams": 3},
    "beams, early": {"num_beams": 4, "early_stopping": True, "length_penalty": 0.0},
}


@pytest.fixture
def prompts():
    """Many lengths, in no order."""
    torch.manual_seed(2)
    return [torch.randint(1, 24, (length,)).tolist() for length in (3, 17, 1, 9, 9, 30, 2, 12, 5, 22, 7, 4)]


@pytest.fixture
def plain(new_decoder):
    """A decoder and transformers' own GPT-2 of the same weights, in float64 so that no rounding decides a choice."""
    decoder = new_decoder(dtype=torch.float64)
    model = GPT2LMHeadModel(decoder.config).double().eval()
    model.load_state_dict(decoder.state_dict())
    return decoder, model


def test_greedy_is_transformers_generate(plain, prompts):
    decoder, model = plain
    written = generate(decoder, prompts, GenerationArguments(max_new_tokens=15), VOCABULARY)
    for prompt, ids in zip(prompts, written, strict=True):
        theirs = model.generate(torch.tensor([prompt]), max_new_tokens=15, do_sample=False, pad_token_id=END)[0]
        theirs = theirs[len(prompt) :].tolist()
        assert ids == (theirs[: theirs.index(END)] if END in theirs else theirs)
    assert {len(ids) == 15 for ids in written} == {True, False}  # some ended, some did not
    assert all(len(set(ids)) > 1 for ids in written if len(ids) > 4)


@pytest.mark.parametrize("changes", [{}, {"mask": "prefix"}, {"copy_attention": 5}], ids=str)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_batch_writes_what_its_prompts_give_one_by_one(new_decoder, prompts, changes, settings):
    decoder = new_decoder(dtype=torch.float64, **changes)
    written = [
        generate(
            decoder,
            prompts,
            GenerationArguments(max_new_tokens=9, generation_batch_size=size, **settings),
            VOCABULARY,
            seed=3,
        )
        for size in (64, 15, 5, 1)
    ]
    assert written.count(written[0]) == len(written)
    backwards = generate(
        decoder,
        prompts[::-1],
        GenerationArguments(max_new_tokens=9, **settings),
        VOCABULARY,
        seed=3,
        streams=range(len(prompts))[::-1],
    )
    assert backwards[::-1] == written[0]


@pytest.mark.parametrize("width", [0, 5], ids=["plain", "copying"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_nothing_unwritten_is_ever_read(new_decoder, prompts, settings, width):
    """Memory that nobody wrote may hold NaN, which spreads even where it is masked: 0 times NaN is NaN."""
    decoder = new_decoder(dtype=torch.float64, copy_attention=width)
    arguments = GenerationArguments(max_new_tokens=12, **settings)
    expected = generate(decoder, prompts, arguments, VOCABULARY)
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        assert torch.empty(1).isnan().all()
        assert generate(decoder, prompts, arguments, VOCABULARY) == expected
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("width", [0, 5], ids=["plain", "copying"])
@pytest.mark.parametrize("mask", ["causal", "prefix"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_prompt_that_a_row_still_holds_is_not_read_again(new_decoder, monkeypatch, mask, settings, width):
    decoder = new_decoder(mask=mask, dtype=torch.float64, copy_attention=width)
    a, b, c = [5, 6, 7, 8], [9, 4, 3, 2], [5, 6, 7, 2]
    prompts = [a, b, b, a, a, a, c, b, c]  # in two rows, which once swap what they hold
    options = {"max_new_tokens": 6, **settings}
    alone = [
        generate(decoder, [prompt], GenerationArguments(**options), VOCABULARY, seed=3, streams=[stream])[0]
        for stream, prompt in enumerate(prompts)
    ]
    read, plainly = [], DecodeStep.read
    monkeypatch.setattr(
        DecodeStep, "read", lambda step, ids, *rest: read.extend(ids.tolist()) or plainly(step, ids, *rest)
    )
    size = 2 * options.get("num_beams", 1)
    arguments = GenerationArguments(generation_batch_size=size, **options)
    assert generate(decoder, prompts, arguments, VOCABULARY, seed=3) == alone
    assert a in read and b in read and c in read
    assert len(read) < len(prompts)


def test_the_seed_decides_what_is_drawn(new_decoder, prompts):
    decoder, settings = new_decoder(), GenerationArguments(max_new_tokens=12, do_sample=True)
    first, same, other = (generate(decoder, prompts, settings, VOCABULARY, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_equal_prompts_draw_differently(new_decoder):
    settings = GenerationArguments(max_new_tokens=12, do_sample=True)
    written = generate(new_decoder(), [[5, 6, 7]] * 6, settings, VOCABULARY)
    assert len({tuple(ids) for ids in written}) == 6


def test_what_is_drawn_follows_the_models_distribution(plain):
    decoder, model = plain
    prompt, count = [5, 6, 7], 4000
    settings = GenerationArguments(max_new_tokens=1, do_sample=True, temperature=2.0, generation_batch_size=500)
    written = generate(decoder, [prompt] * count, settings, VOCABULARY)
    drawn = np.bincount([ids[0] if ids else END for ids in written], minlength=24) / count
    with torch.no_grad():
        wanted = (model(torch.tensor([prompt])).logits[0, -1] / 2).softmax(-1).numpy()
    assert np.abs(drawn - wanted).sum() / 2 < 0.04


def only(decoder, token):
    """Make the decoder write one token for ever, by a last layer that ignores its input."""
    with torch.no_grad():
        decoder.transformer.ln_f.weight.zero_()
        decoder.transformer.ln_f.bias.copy_(100 * decoder.lm_head.weight[token])
    return decoder


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_writing_stops_at_the_end_and_leaves_it_out(new_decoder, prompts, settings):
    written = generate(only(new_decoder(), END), prompts, GenerationArguments(**settings), VOCABULARY)
    assert written == [[]] * len(prompts)


@pytest.mark.parametrize("new_tokens", [1, 2, 6])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_writing_stops_after_max_new_tokens(new_decoder, prompts, settings, new_tokens):
    arguments = GenerationArguments(max_new_tokens=new_tokens, **settings)
    written = generate(only(new_decoder(), 7), prompts, arguments, VOCABULARY)
    assert written == [[7] * new_tokens] * len(prompts)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_writing_stops_where_the_context_ends(new_decoder, prompts, settings):
    arguments = GenerationArguments(max_new_tokens=100, **settings)
    written = generate(only(new_decoder(), 7), prompts, arguments, VOCABULARY)
    assert written == [[7] * (CONTEXT - len(prompt)) for prompt in prompts]


@pytest.mark.parametrize("settings", [SETTINGS["sampled"], SETTINGS["beams"]], ids=["sampled", "beams"])
def test_a_prompt_that_fills_the_context_stops_alone(new_decoder, prompts, settings):
    decoder = new_decoder(dtype=torch.float64)
    full = torch.randint(1, 24, (CONTEXT - 1,), generator=torch.Generator().manual_seed(0)).tolist()
    arguments = GenerationArguments(max_new_tokens=20, **settings)
    *short, long = generate(decoder, [*prompts, full], arguments, VOCABULARY)
    assert len(long) <= 1
    assert short == generate(decoder, prompts, arguments, VOCABULARY)


@pytest.mark.parametrize("length", [0, CONTEXT])
def test_a_prompt_must_leave_a_position(new_decoder, length):
    with pytest.raises(ValueError, match=f"prompt 1 has {length} tokens: from 1 to {CONTEXT - 1}"):
        generate(new_decoder(), [[1], [1] * length], GenerationArguments(), VOCABULARY)


def test_no_prompts_give_no_continuations(new_decoder):
    assert generate(new_decoder(), [], GenerationArguments(), VOCABULARY) == []


@pytest.mark.parametrize("training", [True, False])
def test_writing_is_without_dropout_and_leaves_the_decoder_as_it_was(new_decoder, prompts, training):
    decoder = new_decoder(resid_pdrop=0.5, dtype=torch.float64).train(training)
    first, second = (generate(decoder, prompts, GenerationArguments(max_new_tokens=9), VOCABULARY) for _ in range(2))
    assert first == second
    assert decoder.training is training


def test_one_that_is_left_alone_in_its_batch_goes_on_past_the_context_as_it_would_have(new_decoder):
    """Idle slots are dropped, and with them what was known of them, not what is known of the others."""
    decoder = new_decoder(dtype=torch.float64, spread=0.5)
    prompts, lengths = [[*range(1, 21)], [2]], [4, 100]
    looks = [everything, partial(latter_half, context=CONTEXT)]
    settings = GenerationArguments(max_new_tokens=100, min_new_tokens=100)

    def written(*chosen):
        return generate(
            decoder,
            [prompts[index] for index in chosen],
            settings,
            VOCABULARY,
            look=lambda place, ids: looks[chosen[place]](prompts[chosen[place]], ids),
            lengths=[lengths[index] for index in chosen],
        )

    assert [*map(len, written(0, 1))] == lengths
    assert written(0, 1) == [*written(0), *written(1)]


def test_a_decoder_that_is_interrupted_while_it_writes_goes_on_training(new_decoder, prompts):
    decoder = new_decoder().train()

    def interrupt(index, written):
        if written:
            raise KeyboardInterrupt
        return Window([*prompts[index]])

    with pytest.raises(KeyboardInterrupt):
        generate(decoder, prompts[:1], GenerationArguments(max_new_tokens=200), VOCABULARY, look=interrupt)
    assert decoder.training


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"num_beams": 0},
        {"generation_batch_size": 0},
        {"top_k": -1},
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_their_flag(wrong):
    with pytest.raises(UserError, match=f"--{next(iter(wrong))}") as caught:
        GenerationArguments(**wrong).check()
    assert "\n" not in str(caught.value)


def test_sampling_and_beams_exclude_each_other():
    with pytest.raises(UserError, match=r"--do_sample and --num_beams 4"):
        GenerationArguments(do_sample=True, num_beams=4).check()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_that_can_be_meant_are_accepted(settings):
    GenerationArguments(**settings).check()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_nothing_is_written_twice_and_nothing_ends_early(new_decoder, prompts, settings):
    decoder = new_decoder(dtype=torch.float64)
    arguments = GenerationArguments(max_new_tokens=16, min_new_tokens=12, no_repeat_ngram_size=2, **settings)
    for ids, prompt in zip(generate(decoder, prompts, arguments, VOCABULARY), prompts, strict=True):
        assert min(12, CONTEXT - len(prompt)) <= len(ids) <= 16
        pairs = list(itertools.pairwise(ids))
        assert len(set(pairs)) == len(pairs)
    free = generate(decoder, prompts, GenerationArguments(max_new_tokens=16, **settings), VOCABULARY)
    assert any(len(ids) < 12 or len({*itertools.pairwise(ids)}) < len(ids) - 1 for ids in free)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_where_rules_leave_nothing_the_last_gives_way(new_decoder, settings):
    """Of five tokens none may come twice, and ten have to be written."""
    decoder = new_decoder(6, dtype=torch.float64)
    arguments = GenerationArguments(max_new_tokens=10, min_new_tokens=10, no_repeat_ngram_size=1, **settings)
    written = generate(decoder, [[1, 2], [3]], arguments, VOCABULARY)
    assert [len(ids) for ids in written] == [10, 10]
    assert all({*ids[:5]} == {1, 2, 3, 4, 5} and END not in ids for ids in written)
    assert reference.generate(decoder, [[1, 2], [3]], arguments, VOCABULARY) == written


def test_equal_prompts_are_read_once(new_decoder, monkeypatch):
    decoder, read, plainly = new_decoder(), [], DecodeStep.read
    monkeypatch.setattr(DecodeStep, "read", lambda step, ids, *rest: read.append(len(ids)) or plainly(step, ids, *rest))
    settings = GenerationArguments(max_new_tokens=5, do_sample=True)
    written = generate(decoder, [[5, 6, 7]] * 4 + [[8]], settings, VOCABULARY)
    assert read == [2]
    monkeypatch.undo()
    assert written[:4] == [generate(decoder, [[5, 6, 7]], settings, VOCABULARY, streams=[i])[0] for i in range(4)]
