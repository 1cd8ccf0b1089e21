"""The key-value cache: what the tokens that are decoded keep of those before them."""

import torch
from torch import Tensor

from shared.model.decoder import Decoder


class KeyValueCache:
    """Keys and values of every layer, [slots, heads, length, head width] each, every slot filled at its own position.

    Copy attention has one more, the last: of one head, whose values are the tokens' ids, [slots, 1, length, 1].

    `beam_origin` [slots, length], where it is there, names for every entry the slot in whose memory it lies: beams that
    branch share what they have in common, and a choice among them moves indices instead of keys and values.
    """

    def __init__(self, decoder: Decoder, slots: int, length: int, dtype: torch.dtype, beams: bool = False):
        config, self.device = decoder.config, decoder.device
        self.slots, self.length = slots, length
        shape = (2, slots, config.n_head, length, config.n_embd // config.n_head)
        # Zeros: what a mask hides still takes part with weight 0, and 0 times a NaN found in fresh memory is NaN.
        copied: list[Tensor] = []
        if config.copy_attention:
            place = slots, 1, length
            copied = [
                torch.zeros(*place, 2 * config.copy_attention, dtype=dtype, device=self.device),
                torch.zeros(*place, 1, dtype=torch.long, device=self.device),
            ]
        self._hold([torch.zeros(shape, dtype=dtype, device=self.device) for _ in range(config.n_layer)], copied)
        self.own = torch.arange(slots, dtype=torch.int32, device=self.device)[:, None]
        self.beam_origin = self.own.repeat(1, length) if beams else None
        self.prompts: list[tuple[int, ...]] = [()] * slots  # what each begins with, still there when it has ended
        # While prompts are read: those numbered `source` go to slots `destination`.
        self.destination: slice | Tensor = slice(0)
        self.source: slice | Tensor = slice(0)

    def _hold(self, pairs: list[Tensor], copied: list[Tensor]) -> None:
        """Keep each layer's keys and values side by side, so that a new token's are stored at once.

        `copied` are the keys and the ids of copy attention, or nothing.
        """
        self.pairs, self.copied = pairs, copied
        self.keys = [*(pair[0] for pair in pairs), *copied[:1]]
        self.values = [*(pair[1] for pair in pairs), *copied[1:]]

    def fill(self, slots: list[int], numbers: list[int]) -> None:
        """Let `update` store the prompts with these `numbers` in these `slots`."""
        self.destination, self.source = self._places(slots), self._places(numbers)

    def _places(self, numbers: list[int]) -> slice | Tensor:
        """A slice where it can be: a view takes a GPU's launcher a tenth of the time of an index."""
        first, count = numbers[0], len(numbers)
        if numbers == [*range(first, first + count)]:
            return slice(first, first + count)
        return torch.tensor(numbers, device=self.device)

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Store what `layer` computed for the prompts that are read, and give it back."""
        for stored, new in ((self.keys, keys), (self.values, values)):
            stored[layer][self.destination, :, : new.shape[2]] = new[self.source].to(stored[layer].dtype)
        return keys, values

    def begin(self, prompts: dict[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
        """Let slots begin with `prompts`; returns those that have to be read.

        A prompt that another slot holds is copied from there.
        """
        if self.beam_origin is not None:
            slots = torch.tensor([*prompts], device=self.device)
            self.beam_origin[slots] = self.own[slots]
        held = {prompt: slot for slot, prompt in enumerate(self.prompts)}
        holders = {slot: held[prompt] for slot, prompt in prompts.items() if prompt in held}
        copies = {slot: holder for slot, holder in holders.items() if self.prompts[slot] != prompts[slot]}
        if copies:  # all at once: a slot may be copied from while another prompt comes to it
            to, of = (torch.tensor([*slots], device=self.device) for slots in (copies.keys(), copies.values()))
            length = max(len(prompts[slot]) for slot in copies)
            for stored in (*self.keys, *self.values):
                stored[to, :, :length] = stored[of, :, :length]
        for slot, prompt in prompts.items():
            self.prompts[slot] = prompt
        return {slot: prompt for slot, prompt in prompts.items() if slot not in holders}

    def reorder(self, origins: Tensor, positions: Tensor) -> None:
        """Let beam i go on from what beam `origins[i]` has seen; its next entry, at `positions[i]`, will be its own."""
        assert self.beam_origin is not None, "only a cache of beams is reordered"
        self.beam_origin.copy_(self.beam_origin[origins])
        self.beam_origin.scatter_(1, positions[:, None], self.own)

    def clear(self) -> None:
        """Be empty again."""
        torch._foreach_zero_((*self.pairs, *self.copied))
        self.prompts = [()] * self.slots

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these."""
        self._hold([pair[:, slots] for pair in self.pairs], [tensor[slots] for tensor in self.copied])
        self.slots = len(slots)
        self.own = self.own[: self.slots]
        self.prompts = [self.prompts[slot] for slot in slots.tolist()]
