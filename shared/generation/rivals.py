"""Best of n, window by window: of several samples for one output, the best so far is what all go on with.

An output that fits into one window is sampled `count` times, and the best is taken. A longer one is judged wherever the
next window is to be read: all its candidates then go on after the same, each with random numbers of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Request:
    """One prompt that is to be continued."""

    index: int  # among the prompts
    prompt: list[int]
    written: list[int] = field(default_factory=list)  # after the prompt, in all windows so far
    longest: int = 0  # how many tokens `written` may become
    over: bool = False  # whether it is finished, and reads no other window


class Rivals:
    """Requests in groups: those of index i * `count` to (i + 1) * `count` - 1 are candidates for output i.

    `judges[i]` takes what each candidate for output i has written, in their order, and gives the index of the best. In
    `resting` are, by output, the candidates that have come to the end of their window and wait for the others.
    """

    def __init__(self, count: int, judges: Sequence[Callable[[list[list[int]]], int]]):
        self.count, self.judges = count, judges
        self.resting: dict[int, list[Request]] = {}

    def rest(self, request: Request) -> list[Request]:
        """Take in a request that is over or at the end of its window, and has left the running batch.

        Returns all candidates for its output if it was the last of them to come, each with what the best has written
        and `over` as that is; none while others are still being written.
        """
        output = request.index // self.count
        group = self.resting.setdefault(output, [])
        group.append(request)
        if len(group) < self.count:
            return []
        del self.resting[output]
        group.sort(key=lambda rival: rival.index)
        best = group[self.judges[output]([rival.written for rival in group])]
        for rival in group:
            rival.written, rival.over = [*best.written], best.over
        return group
