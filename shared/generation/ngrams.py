"""Which next tokens would write an n-gram a second time."""

import torch
from torch import Tensor


def repeats(ids: Tensor, length: Tensor | int, n: int, vocabulary: int) -> Tensor:
    """The tokens that would complete an n-gram that its row holds already, bool [N, V].

    `ids` [N, T] are what each row has written, of which the first `length` count: [N], or one number for all, also as
    a 0-d tensor. Blocking them is the trigram rule of Paulus et al. 2018, "A Deep Reinforced Model for Abstractive
    Summarization", as in transformers' NoRepeatNGramLogitsProcessor, which takes in the prompt as well: here a summary
    may quote its article, and only what is written counts. All shapes are static and nothing waits for the GPU, so
    that a CUDA graph can hold it.
    """
    rows, longest = ids.shape
    banned = torch.zeros(rows, vocabulary + 1, dtype=torch.bool, device=ids.device)
    if longest >= n:
        length = torch.as_tensor(length, device=ids.device).expand(rows)[:, None]
        windows = ids.unfold(1, n, 1)  # [N, T - n + 1, n]
        last = (length - n + 1 + torch.arange(n - 1, device=ids.device)).clamp(min=0)
        same = (windows[..., :-1] == ids.gather(1, last)[:, None]).all(-1)
        inside = torch.arange(n, longest + 1, device=ids.device) <= length
        # What is not to be banned goes to a column beyond the vocabulary, which is cut off again.
        banned.scatter_(1, torch.where(same & inside, windows[..., -1], vocabulary), True)
    return banned[:, :vocabulary]
