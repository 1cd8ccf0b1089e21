"""How many multiplications each step of writing a line takes, with kept keys and values and without."""

from onedecoder.core import Decoder


def counts(model: Decoder, length: int) -> tuple[list[int], list[int]]:
    """For a line of 1 … `length` tokens the multiplications of its last step: with a cache, and without.

    A token takes 12 D² in every block (queries, keys and values 3, c_proj 1, the MLP 8), two times D for each position
    that it sees (its score and its share of the values; three times with relative attention), and the step's last
    token V × D for the scores. Norms, softmax, gelu and copy attention are not counted.
    """
    config = model.config
    matrices = config.n_layer * 12 * config.n_embd**2
    seen = config.n_layer * (3 if config.relative_attention else 2) * config.n_embd
    head = config.vocab_size * config.n_embd
    steps = range(1, length + 1)
    with_cache = [matrices + seen * step + head for step in steps]
    return with_cache, [matrices * step + seen * step * (step + 1) // 2 + head for step in steps]
