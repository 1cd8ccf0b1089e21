"""Generation: ours and transformers' `generate`, on the same weights, prompts and settings."""

import copy
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import transformers
from transformers import GPT2LMHeadModel

from recipes.benchmarks.converted import INSTALLED, Converted
from recipes.benchmarks.measuring import (
    COMPILED,
    COMPILED_8_BITS,
    COMPILED_STEP,
    CONTINUOUS,
    CTRANSLATE2,
    EIGHT_BITS,
    EVENT_VOCABULARY,
    MUSIC_CONTEXT,
    OURS,
    THEIRS,
    Result,
    as_loaded,
    check_counts,
    check_sizes,
    clean,
    compared,
    numbered,
    peak_memory,
    random_rows,
    timed,
)
from recipes.benchmarks.theirs import continuous_generate, transformers_generate
from shared.data.encoding import first_rows
from shared.data.vocabulary import Vocabulary
from shared.errors import UserError
from shared.generation.arguments import MOST, GenerationArguments
from shared.generation.compiled_step import compile_step
from shared.generation.generate import generate
from shared.hardware import bandwidth
from shared.kernels.cpp import has_compiler
from shared.model.build import new_decoder
from shared.model.decoder import Decoder
from shared.model.flops import decoding_bytes_per_step
from shared.model.quantized import round_to_8_bits
from shared.runs.folder import Run
from shared.text_task import TextTask
from tasks import TASKS

CHECKED = 64  # greedy tokens of each prompt that are compared


@dataclass
class GenerationCases:
    """What to write, and how often."""

    generation_size: str = field(default="tiny", metadata={"help": "Let a decoder of this size write."})
    generation_vocab_size: int = field(default=2000, metadata={"help": "Tokens of its vocabulary."})
    prompt_length: int = field(default=16, metadata={"help": "Tokens in a random prompt."})
    single_tokens: int = field(default=128, metadata={"help": "New tokens for a prompt alone."})
    prompts: int = field(default=64, metadata={"help": "Prompts in a batch."})
    batch_tokens: int = field(default=64, metadata={"help": "New tokens for each prompt of the batch."})
    calls: int = field(default=3, metadata={"help": "Calls whose median is taken, after a first that is shown apart."})
    model: str | None = field(
        default=None, metadata={"help": "A run of the translation recipe, for beam search over its test split."}
    )
    test_file: list[str] | None = field(default=None, metadata={"help": "Another test split for it."})
    sentences: int = field(default=1000, metadata={"help": "The first N of its sentences."})
    sentence_batch: int = field(default=64, metadata={"help": "Sentences at once."})
    num_beams: int = field(default=5, metadata={"help": "Beams for each sentence."})
    music_size: str | None = field(
        default=None, metadata={"help": "Let a decoder of this size write music (default: medium on a GPU, else none)."}
    )
    music_tokens: int = field(default=8000, metadata={"help": "Events of music, past the decoder's context of 2,048."})

    def check(self) -> None:
        """Refuse numbers and sizes that measure nothing.

        Raises:
            UserError: that names the flag.
        """
        counts = "prompt_length generation_vocab_size single_tokens prompts batch_tokens calls sentences sentence_batch"
        check_counts(self, [*counts.split(), "num_beams", "music_tokens"])
        check_sizes(self, ["generation_size", "music_size"])
        if self.generation_vocab_size < 2:
            raise UserError(f"--generation_vocab_size is {self.generation_vocab_size}: give 2 or more")
        if self.num_beams > MOST["num_beams"]:
            raise UserError(f"--num_beams is {self.num_beams}: give up to {MOST['num_beams']}")
        kind = Run.open(self.model).kind(TASKS) if self.model else TextTask
        if self.model and not (issubclass(kind, TextTask) and kind.needs_input):
            raise UserError(f"--model {self.model}: a run of {kind.name} has no beams: give one of translation")


@dataclass
class Generation:
    """One case: `prompts` continued as `settings` say, `fixed` where each is continued by exactly max_new_tokens."""

    name: str
    decoder: Decoder
    prompts: list[list[int]]
    settings: GenerationArguments
    vocabulary: Vocabulary
    calls: int
    fixed: bool = True

    def write(self, system: str, model: GPT2LMHeadModel | Converted, **changes: Any) -> list[list[int]]:
        settings = replace(self.settings, **changes)
        if isinstance(model, Converted):
            return model.generate(self.prompts, settings)
        if isinstance(model, Decoder):
            return generate(model, self.prompts, settings, self.vocabulary, sliding=True)
        if system == CONTINUOUS:
            return continuous_generate(model, self.prompts, settings, self.vocabulary)
        cache = {"cache_implementation": "static"} if system == COMPILED else {}  # transformers compiles for it
        return transformers_generate(model, self.prompts, settings, self.vocabulary, **cache)

    def results(self, systems: tuple[str, ...]) -> Iterator[Result]:
        expected = None
        for system in systems:
            clean(self.decoder.device)
            try:
                result, outputs = self.result(system, self.model(system))
            except RuntimeError as error:  # some versions of transformers fail where others write
                if system not in (THEIRS, COMPILED, CONTINUOUS, CTRANSLATE2):
                    raise
                yield {"case": self.name, "system": system, "note": f"failed: {str(error).splitlines()[0]}"}
                continue
            if expected is None:
                expected = outputs
            else:
                equal = sum(ids == ours for ids, ours in zip(outputs, expected, strict=True))
                result["equal_outputs"] = equal / len(outputs)
            yield result

    def model(self, system: str) -> GPT2LMHeadModel | Converted:
        """The decoder in the form that a system writes with."""
        if system == CTRANSLATE2:
            return Converted(self.decoder)
        if system not in (EIGHT_BITS, COMPILED_STEP, COMPILED_8_BITS):
            return self.decoder if system == OURS else as_loaded(self.decoder)
        decoder = copy.deepcopy(self.decoder)
        if system != COMPILED_STEP:
            round_to_8_bits(decoder)
        return decoder if system == EIGHT_BITS else compile_step(decoder)

    def result(self, system: str, model: GPT2LMHeadModel | Converted) -> tuple[Result, list[list[int]]]:
        """One line of the table, and outputs without chance in them, to compare with others'."""
        device = model.device
        first_call, _ = timed(lambda: self.write(system, model), device)
        calls = [timed(lambda: self.write(system, model), device) for _ in range(self.calls)]
        memory = peak_memory(device)
        self.write(system, model, max_new_tokens=1)
        first_token = min(
            timed(lambda: self.write(system, model, max_new_tokens=1), device)[0] for _ in range(self.calls)
        )
        seconds, outputs = statistics.median(seconds for seconds, _ in calls), calls[-1][1]
        tokens = sum(map(len, outputs))
        result = {
            "case": self.name,
            "system": system,
            "tokens_per_second": tokens / seconds,
            **memory,
            "first_call_s": first_call,
            "first_token_s": first_token,
        }
        if system == THEIRS and not self.decoder.is_plain_gpt2:
            result["note"] = "by the modelling file that the run carries"
        if self.fixed:
            wanted = len(self.prompts) * self.settings.max_new_tokens
            if system not in (EIGHT_BITS, COMPILED_8_BITS):  # which read less
                result["bandwidth"] = tokens / wanted * self.least_seconds() / seconds
            if tokens < wanted:
                result["note"] = f"wrote {tokens:,} of {wanted:,}: the context ended"
        if self.settings.do_sample:
            checked = min(CHECKED, self.settings.max_new_tokens)
            outputs = self.write(system, model, do_sample=False, max_new_tokens=checked)
        return result, outputs

    def least_seconds(self) -> float:
        """How long reading the weights and the cache takes in all steps of a call, at the bandwidth measured here."""
        new, context = self.settings.max_new_tokens, self.decoder.context
        lengths = [min(len(self.prompts[0]) + step, context) for step in range(new)]
        weight = self.decoder.lm_head.weight
        per_step = decoding_bytes_per_step(self.decoder, len(self.prompts), sum(lengths) / new, weight.element_size())
        return new * per_step / bandwidth(self.decoder.device)


def sampled(cases: GenerationCases, decoder: Decoder, prompts: int, new_tokens: int) -> Generation:
    settings = GenerationArguments(max_new_tokens=new_tokens, do_sample=True, top_k=40, generation_batch_size=prompts)
    return Generation(
        f"write with {cases.generation_size}, {prompts} × {new_tokens:,} tokens, top-k 40",
        decoder,
        random_rows(prompts, cases.prompt_length, decoder.config.vocab_size),
        settings,
        numbered(decoder.config.vocab_size, end=-1),
        cases.calls,
    )


def music(cases: GenerationCases, size: str, device: torch.device, dtype: torch.dtype) -> Generation:
    """Longer than the decoder's context, where transformers stops."""
    decoder = new_decoder(size, numbered(EVENT_VOCABULARY), MUSIC_CONTEXT).to(device, dtype)
    settings = GenerationArguments(max_new_tokens=cases.music_tokens, do_sample=True)
    name = f"write music with {size}, {cases.music_tokens:,} events over a context of {MUSIC_CONTEXT:,}"
    return Generation(name, decoder, [[1]], settings, numbered(EVENT_VOCABULARY, end=-1), cases.calls)


def beams(cases: GenerationCases, run: str, device: torch.device, dtype: torch.dtype) -> Generation:
    """The test split of a translation run, as recipes/evaluate.py writes it.

    Raises:
        UserError: if there is no such run, or no test split.
    """
    opened = Run.open(run)
    data = opened.arguments(TASKS)
    if cases.test_file:
        others = ("train_file", "validation_file", "dataset_name")
        changes: dict[str, Any] = dict.fromkeys(name for name in others if hasattr(data, name))
        data = replace(data, **changes | {"test_file": cases.test_file})
    task = opened.task(TASKS, data)
    splits = task.load_rows(task.arguments)
    if "test" not in splits:
        raise UserError(f"--model {run}: the run has no test split; give --test_file")
    settings = replace(
        opened.generation,
        do_sample=False,
        num_beams=cases.num_beams,
        generation_batch_size=cases.sentence_batch * cases.num_beams,
    )
    decoder, length = opened.decoder(task).to(device, dtype), opened.model.max_length
    rows = first_rows(splits["test"], cases.sentences)
    prompts = [list(task.prompt(row, length, settings.max_new_tokens).context) for row in rows]
    name = f"translate {len(prompts):,} sentences, {cases.sentence_batch} × {cases.num_beams} beams at once"
    return Generation(name, decoder, prompts, settings, task.vocabulary, cases.calls, fixed=False)


def generation_results(cases: GenerationCases, systems: tuple[str, ...], device: torch.device) -> Iterator[Result]:
    """The lines of the table, one by one."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    context = cases.prompt_length + max(cases.single_tokens, cases.batch_tokens)
    vocabulary = numbered(cases.generation_vocab_size)
    decoder = new_decoder(cases.generation_size, vocabulary, max(context, 1024)).to(device, dtype)
    compiled = (COMPILED_STEP, COMPILED_8_BITS) if has_compiler() else ()
    alone = (EIGHT_BITS, *compiled) if device.type == "cpu" else ()  # what one output alone is written with
    batched = (CONTINUOUS,) if hasattr(transformers, "ContinuousBatchingConfig") else ()
    others = (CTRANSLATE2,) if INSTALLED else ()
    for prompts, new_tokens in ((1, cases.single_tokens), (cases.prompts, cases.batch_tokens)):
        case = sampled(cases, decoder, prompts, new_tokens)
        yield from compared(case.results((*systems, *(batched if prompts > 1 else alone), *others)))
    if cases.model:
        yield from compared(beams(cases, cases.model, device, dtype).results((OURS, THEIRS)))
    if cases.music_size:
        yield from compared(music(cases, cases.music_size, device, dtype).results((OURS, *alone)))
