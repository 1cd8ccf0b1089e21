"""CTranslate2, an engine for inference in C++, over a decoder's weights: another program to compare with."""

from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import torch

from recipes.benchmarks.measuring import plain_gpt2, timed
from shared.generation.arguments import GenerationArguments
from shared.model.decoder import Decoder

INSTALLED = find_spec("ctranslate2") is not None
TRIED = 32  # tokens, to see how many threads are faster
NUMBER = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class Converted:
    """A decoder as CTranslate2 holds it, on the same device and in the same precision; its tokens are numbers.

    On a CPU it works in one thread or in as many as PyTorch, whichever writes faster: for a small decoder, one.
    """

    def __init__(self, decoder: Decoder):
        from ctranslate2 import Generator  # noqa: PLC0415
        from ctranslate2.converters.transformers import GPT2Loader  # noqa: PLC0415

        self.device = decoder.device
        number = NUMBER[decoder.dtype]
        specification = GPT2Loader().get_model_spec(plain_gpt2(decoder).cpu().float())
        specification.register_vocabulary([str(index) for index in range(decoder.config.vocab_size)])
        for name in ("unk_token", "bos_token", "eos_token"):  # which must be some; none is used
            setattr(specification.config, name, "0")
        specification.validate()
        specification.optimize(quantization=number)
        with TemporaryDirectory() as folder:
            specification.save(folder)
            generators = [
                Generator(folder, device=self.device.type, compute_type=number, intra_threads=threads)
                for threads in {1, torch.get_num_threads()}
            ]
        self.generator = generators[0]
        if len(generators) > 1:
            self.generator = min(generators, key=self._seconds)

    def _seconds(self, generator: Any) -> float:
        """How long a generator takes to write a little, when it has done so before."""
        self.generator = generator
        little = GenerationArguments(max_new_tokens=TRIED)
        seconds, _ = min(timed(lambda: self.generate([[1]], little), self.device) for _ in range(3))
        return seconds

    def generate(self, prompts: list[list[int]], settings: GenerationArguments) -> list[list[int]]:
        """Each prompt continued by exactly `max_new_tokens`, greedily or drawn from the `top_k` likeliest."""
        results = self.generator.generate_batch(
            [[str(token) for token in prompt] for prompt in prompts],
            max_length=settings.max_new_tokens,
            min_length=settings.max_new_tokens,
            sampling_topk=settings.top_k if settings.do_sample else 1,
            sampling_temperature=settings.temperature,
            include_prompt_in_result=False,
            end_token=[],
        )
        return [result.sequences_ids[0] for result in results]
