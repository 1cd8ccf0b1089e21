"""The same prompts and settings as transformers takes them: `generate`, and its continuous batching."""

from typing import Any

import torch
import transformers
from transformers import GenerationConfig, GPT2LMHeadModel

from shared.data.vocabulary import Vocabulary
from shared.generation.arguments import GenerationArguments
from shared.generation.beam_search import until

PAGE = 256  # tokens, the default of transformers' paged cache


def configured(settings: GenerationArguments, vocabulary: Vocabulary, **options: str) -> GenerationConfig:
    """Our settings as transformers takes them."""
    sampling = {"temperature": settings.temperature, "top_k": settings.top_k, "top_p": settings.top_p}
    beams = {"length_penalty": settings.length_penalty, "early_stopping": settings.early_stopping}
    return GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        do_sample=settings.do_sample,
        num_beams=settings.num_beams,
        eos_token_id=vocabulary.end if vocabulary.end >= 0 else None,
        pad_token_id=vocabulary.padding,
        **(sampling if settings.do_sample else {}),
        **(beams if settings.num_beams > 1 else {}),
        **options,
    )


def continuous_generate(
    model: GPT2LMHeadModel, prompts: list[list[int]], settings: GenerationArguments, vocabulary: Vocabulary
) -> list[list[int]]:
    """The same by transformers' continuous batching, `generate_batch`, with room for all prompts at once."""
    pages = sum(-(-(len(prompt) + settings.max_new_tokens) // PAGE) for prompt in prompts)
    # By default it takes most of the memory that is free, and on a CPU half a minute to clear it.
    room = transformers.ContinuousBatchingConfig(
        num_blocks=pages + 1, max_batch_tokens=max(PAGE, sum(map(len, prompts)))
    )
    found: dict[str, Any] = model.generate_batch(
        inputs=prompts, generation_config=configured(settings, vocabulary), continuous_batching_config=room
    )
    return [until(vocabulary.end, found[f"req_{index}"].generated_tokens) for index in range(len(prompts))]


def transformers_generate(
    model: GPT2LMHeadModel,
    prompts: list[list[int]],
    settings: GenerationArguments,
    vocabulary: Vocabulary,
    **options: str,
) -> list[list[int]]:
    """What `shared.generation.generate.generate` does, done by transformers: batches by length, padded on the left."""
    model.generation_config = configured(settings, vocabulary, **options)
    results: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    rows = max(1, settings.generation_batch_size // settings.num_beams)
    for start in range(0, len(order), rows):
        batch = order[start : start + rows]
        longest = len(prompts[batch[0]])
        padding = [longest - len(prompts[index]) for index in batch]
        ids = [[vocabulary.padding] * n + [*prompts[index]] for n, index in zip(padding, batch, strict=True)]
        seen = [[0] * n + [1] * (longest - n) for n in padding]
        written = model.generate(  # type: ignore[misc]  # its own type asks more of `self` than its class has
            torch.tensor(ids, device=model.device), attention_mask=torch.tensor(seen, device=model.device)
        )
        for index, new in zip(batch, written[:, longest:].tolist(), strict=True):
            results[index] = until(vocabulary.end, new)
    return results
