"""How long what must not take long took: histograms and percentiles."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from shared.tables import table

BINS = (1, 2, 5, 10, 20, 50, 100)  # upper limits in ms; what is above the last has a bin of its own
PERCENTILES = (50, 90, 99)


class Latencies:
    """Durations by what was waited for."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def add(self, kind: str, seconds: float) -> None:
        """One more duration; what was early was in time."""
        self.seconds[kind].append(max(0.0, seconds))

    def histograms(self) -> dict[str, dict[str, float]]:
        """For each kind its `count`, how many took at most so many ms (`≤1` …), and percentiles in ms (`p50` …)."""
        found: dict[str, dict[str, float]] = {}
        for kind, seconds in self.seconds.items():
            milliseconds = 1000 * np.array(seconds)
            counts, _ = np.histogram(milliseconds, [0, *np.nextafter(BINS, np.inf), np.inf])
            names = [*(f"≤{most}" for most in BINS), f">{BINS[-1]}"]
            found[kind] = {"count": len(seconds), **dict(zip(names, map(int, counts), strict=True))}
            found[kind] |= {f"p{p}": round(float(np.percentile(milliseconds, p)), 3) for p in PERCENTILES}
            found[kind]["most"] = round(float(milliseconds.max()), 3)
        return found


def latency_table(histograms: Mapping[str, Mapping[str, float]]) -> str:
    """A row for each kind, in ms."""
    rows = []
    for kind, row in histograms.items():
        cells = {name: str(value) if isinstance(value, int) else f"{value:.1f}" for name, value in row.items()}
        rows.append({"latency in ms": kind} | cells)
    return table(["latency in ms", *next(iter(histograms.values()), {})], rows)
