"""Several candidates for one output: wherever another window is to be read, the best so far is what all go on with."""

from collections.abc import Callable
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field


@dataclass
class Request:
    """One prompt, what is written after it so far, how many tokens that may become, and whether it is over."""

    index: int
    prompt: list[int]
    written: list[int] = field(default_factory=list)
    longest: int = 0
    over: bool = False


class Rivals:
    """Candidates for the same output, `count` after another, judged by the one of the `judges` that is their output's.

    A judge takes what each has written, and gives the index of the best.
    """

    def __init__(self, count: int, judges: Tokens[Callable[[list[list[int]]], int]]):
        self.count, self.judges = count, judges
        self.resting: dict[int, list[Request]] = {}

    def rest(self, request: Request) -> list[Request]:
        """Those for which it is decided how they go on, now that one more rests at the end of a window or for good."""
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
