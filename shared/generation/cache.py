"""The key-value cache: what the tokens that are decoded keep of those before them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from shared.model.decoder import Decoder
from shared.model.masks import Mask, choose_mask, dense_mask


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
        # While prompts are read: those numbered `source` [n] go to slots `destination` [n].
        self.destination = self.source = self.own[:, 0].long()

    def _hold(self, pairs: list[Tensor], copied: list[Tensor]) -> None:
        """Keep each layer's keys and values side by side, so that a new token's are stored at once.

        `copied` are the keys and the ids of copy attention, or nothing.
        """
        self.pairs, self.copied = pairs, copied
        self.keys = [*(pair[0] for pair in pairs), *copied[:1]]
        self.values = [*(pair[1] for pair in pairs), *copied[1:]]

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Store what `layer` computed for the prompts that are read; transformers' attention calls it."""
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

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these."""
        self._hold([pair[:, slots] for pair in self.pairs], [tensor[slots] for tensor in self.copied])
        self.slots = len(slots)
        self.own = self.own[: self.slots]
        self.prompts = [self.prompts[slot] for slot in slots.tolist()]


def prefill(decoder: Decoder, cache: KeyValueCache, prompts: Mapping[int, Sequence[int]]) -> None:
    """Fill slots of the cache with their prompts; one that is asked for several times, now or before, is read once."""
    new, device = cache.begin({slot: tuple(prompt) for slot, prompt in prompts.items()}), decoder.device
    if not new:
        return
    unique = list(dict.fromkeys(new.values()))
    places = {prompt: place for place, prompt in enumerate(unique)}
    lengths = torch.tensor([len(prompt) for prompt in unique])
    longest = int(lengths.max())
    ids = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in unique])
    cache.destination = torch.tensor([*new], device=device)
    cache.source = torch.tensor([places[prompt] for prompt in new.values()], device=device)
    position_ids = torch.arange(ids.shape[1]).expand_as(ids)
    if decoder.config.mask == "prefix":
        mask: Mask = dense_mask(position_ids, position_ids < lengths[:, None]).to(device)
    else:
        # On a GPU it stays plain: the kernel of packed rows has not been tried on prompts.
        relative = getattr(decoder.blocks[0].attn, "relative", None) if device.type == "cpu" else None
        mask = choose_mask(ids.shape, None, None, device=device, dtype=decoder.dtype, relative=relative)
    decoder.body(ids.to(device), position_ids.to(device), mask, cache)
