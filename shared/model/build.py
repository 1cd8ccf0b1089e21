"""A decoder: new, loaded, or given another vocabulary."""

from collections.abc import Callable
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from shared.data.vocabulary import TextVocabulary, Vocabulary
from shared.errors import UserError, first_line
from shared.model.decoder import Decoder
from shared.model.modeling_onedecoder import OneDecoderConfig

# Settings whose numbers come with the weights that a decoder starts from; 0 asks for nothing else.
NOISE = 0.002  # the deviation by which new embeddings differ from the mean that they start at
OF_THE_WEIGHTS = ("relative_attention", "position_period", "copy_attention")
WITH_FLAGS = ("mask", *OF_THE_WEIGHTS)
# name: (layers, width, heads). From distilgpt2 on, the published models' shapes (Radford et al. 2019, table 2).
SIZES = {
    "nano": (3, 128, 4),  # the samples of translation and summarization: a layer more brings neither anything
    "tiny": (4, 128, 4),
    "mini": (4, 256, 4),
    "small": (6, 384, 6),
    "medium": (6, 512, 8),
    "distilgpt2": (6, 768, 12),
    "gpt2": (12, 768, 12),
    "gpt2-medium": (24, 1024, 16),
    "gpt2-large": (36, 1280, 20),
    "gpt2-xl": (48, 1600, 25),
}


# What a config.json that is none raises.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, StrictDataclassError)


def new_decoder(
    size: str,
    vocabulary: Vocabulary,
    context: int,
    *,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    mask: str = "causal",
    relative_attention: int = 0,
    seed: int = 0,
    overrides: str | None = None,
    position_period: int = 0,
    copy_attention: int = 0,
) -> Decoder:
    """A decoder of one of `SIZES` with fresh weights; `overrides` changes its config, as in `n_layer=10,n_head=8`.

    Raises:
        UserError: if the `overrides` are no settings of GPT-2's config, or do not fit together.
    """
    layers, width, heads = SIZES[size]
    tokens = max(vocabulary.tokens.values()) + 1
    torch.manual_seed(seed)
    config = OneDecoderConfig(
        vocab_size=tokens,
        n_positions=context,
        n_layer=layers,
        n_embd=width,
        n_head=heads,
        mask=mask,
        relative_attention=relative_attention,
        position_period=position_period,
        copy_attention=copy_attention,
    )
    config.update({**_dropouts(dropout, attention_dropout), **_special_ids(vocabulary)})
    own = [getattr(config, name) for name in WITH_FLAGS]
    try:
        if overrides:
            config.update_from_string(overrides)
        if (config.n_positions, config.vocab_size) != (context, tokens):
            raise ValueError("positions and vocabulary come from --max_length and --vocab_size")
        if [getattr(config, name) for name in WITH_FLAGS] != own:
            raise ValueError(f"{', '.join(WITH_FLAGS)} have flags of their own")
        if min(config.n_layer, config.n_embd, config.n_head) < 1:
            raise ValueError("n_layer, n_embd and n_head are 1 or more")
        return Decoder(config)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"--config_overrides {overrides}: {first_line(error)}; give name=value,name=value") from error


def load_decoder(name: str, dropout: float = 0.0, attention_dropout: float = 0.0) -> Decoder:
    """From an earlier run's folder, any folder in transformers' format, or a name on the hub. Safetensors only.

    Raises:
        UserError: if there is no GPT-2, or its weights do not fit its config.
    """
    config = load_config(name)
    config.update(_dropouts(dropout, attention_dropout))
    try:
        loaded: Any = Decoder.from_pretrained(  # with the report, it is not the decoder alone, as its type says
            name, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (*UNREADABLE, RuntimeError, SafetensorError) as error:
        raise _not_loaded(name, error) from error
    decoder, report = loaded
    # transformers would start what is missing from random weights, and leave out what it does not know.
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if wrong := sorted(map(str, report[kind])):
            raise UserError(
                f"'{name}': its weights do not fit its config.json ({len(wrong)} {kind.replace('_', ' ')}, such as "
                f"{wrong[0]}); one of the two files is of another decoder"
            )
    if broken := [key for key, weight in decoder.state_dict().items() if not weight.isfinite().all()]:
        raise UserError(
            f"'{name}': {len(broken)} of its weights are no finite numbers, such as {broken[0]}; give an earlier "
            "checkpoint, or train it anew"
        )
    with torch.inference_mode():
        logits = decoder.packed_logits(torch.zeros(1, min(4, decoder.context), dtype=torch.long))
    if not logits.isfinite().all():
        raise UserError(f"'{name}': its weights are too large to compute with; give an earlier checkpoint")
    return decoder


def _not_loaded(name: str, error: Exception) -> UserError:
    return UserError(
        f"no GPT-2 could be loaded from '{name}': give an earlier run, a folder with config.json and "
        f"model.safetensors, or a name on the hub that this machine can reach ({first_line(error)})"
    )


def load_config(name: str) -> OneDecoderConfig:
    """The config of a GPT-2 or of one of our own runs; code that comes with a run is never loaded.

    Raises:
        UserError: if there is none, or it is of another model.
    """
    try:
        return _checked_config(name)
    except UNREADABLE as error:
        raise _not_loaded(name, error) from error


def _checked_config(name: str) -> OneDecoderConfig:
    settings, _ = OneDecoderConfig.get_config_dict(name)
    if not settings:
        raise OSError("there is no config.json")
    kind = settings.pop("model_type", None)
    if kind not in ("gpt2", OneDecoderConfig.model_type):
        raise UserError(f"'{name}' is a {kind} model: the core of this program is GPT-2")
    settings.pop("auto_map", None)
    if (mask := settings.get("mask", "causal")) not in ("causal", "prefix"):
        raise ValueError(f"config.json has mask {mask!r}")
    for count in OF_THE_WEIGHTS:
        if not isinstance(number := settings.get(count, 0), int) or number < 0:
            raise ValueError(f"config.json has {count} {number!r}")
    return OneDecoderConfig.from_dict(settings)


def change_vocabulary(decoder: Decoder, old: Vocabulary, new: Vocabulary) -> None:
    """Give a decoder the embeddings of another vocabulary, in place (see `new_embeddings`)."""
    layers: list[Callable[[], Any]] = [decoder.get_input_embeddings]  # of which to resize makes others
    if decoder.lm_head.weight is not decoder.transformer.wte.weight:
        layers.append(decoder.get_output_embeddings)
    weights = [new_embeddings(layer().weight, old, new) for layer in layers]
    decoder.resize_token_embeddings(len(weights[0]), mean_resizing=False)
    for layer, weight in zip(layers, weights, strict=True):
        layer().weight.data.copy_(weight)
    decoder.config.update(_special_ids(new))
    decoder.generation_config.update(**_special_ids(new))


def _dropouts(rate: float, attention: float) -> dict[str, float]:
    return {"resid_pdrop": rate, "embd_pdrop": rate, "attn_pdrop": attention}


def _special_ids(vocabulary: Vocabulary) -> dict[str, int]:
    return {
        "bos_token_id": vocabulary.end,
        "eos_token_id": vocabulary.end,
        "pad_token_id": vocabulary.padding,
    }


@torch.no_grad()
def new_embeddings(old_weight: torch.Tensor, old: Vocabulary, new: Vocabulary) -> torch.Tensor:
    """Embeddings [len(new.tokens), D] for a new vocabulary out of the old one's [len(old.tokens), D].

    A token that both have keeps its embedding. A new one starts at the mean of the old embeddings of the words that
    name it, with a little noise so that no two are equal; Hewitt 2021 ("Initializing New Word Embeddings for Pretrained
    Language Models") starts all new ones at the mean of everything, which is what remains where the old vocabulary has
    no words.
    """
    generator = torch.Generator().manual_seed(0)
    everything = old_weight.float().mean(0)
    size = max(new.tokens.values()) + 1
    weight = torch.randn(size, old_weight.shape[1], generator=generator) * NOISE
    for token, index in new.tokens.items():
        if old.tokens.get(token, len(old_weight)) < len(old_weight):  # the old padding may be new itself
            weight[index] = old_weight[old.tokens[token]].float()
            continue
        words: list[int] = old.encode(" " + new.words(token)) if isinstance(old, TextVocabulary) else []
        weight[index] += old_weight[words].float().mean(0) if words else everything
    return weight.to(old_weight.dtype)
