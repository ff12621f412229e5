"""Counts over equal bins, as a row of a table and as TensorBoard's buckets.

Cost: `BINS` numbers per histogram, whatever was counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

BINS = 80
COLUMNS = (
    "tag",
    "lower",
    "upper",
    "not_finite",
    *(f"count_{i}" for i in range(BINS)),
)
"""The columns of a table of histograms, after that of the step."""


class Histogram(NamedTuple):
    """How many numbers fell into each of `BINS` bins of one width.

    Attributes:
        lower: float, where the first bin begins.
        upper: float, where the last bin ends.
        not_finite: int, numbers that were NaN or infinite; in no bin.
        counts: tuple of int; the outermost bins hold what lies beyond, too.
    """

    lower: float
    upper: float
    not_finite: int
    counts: tuple[int, ...]

    def row(self, tag: str) -> dict[str, object]:
        """Return the cells of `COLUMNS`."""
        values = (tag, self.lower, self.upper, self.not_finite, *self.counts)
        return dict(zip(COLUMNS, values, strict=True))

    def buckets(self) -> np.ndarray:
        """Return `[k, 3]`: left edge, right edge and count of each bin.

        Without the empty bins at both ends, so that what is drawn is as wide
        as what was counted; `k` is 0 if nothing was.
        """
        counts = np.array(self.counts, np.float64)
        edges = np.linspace(self.lower, self.upper, len(counts) + 1)
        all_buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)
        filled = np.flatnonzero(counts)
        if not filled.size:
            return all_buckets[:0]
        return all_buckets[filled[0] : filled[-1] + 1]


def from_row(cells: Mapping[str, str]) -> Histogram:
    """Return the histogram that `Histogram.row` made the cells of."""
    return Histogram(
        float(cells["lower"]),
        float(cells["upper"]),
        int(cells["not_finite"]),
        tuple(int(cells[name]) for name in COLUMNS[4:]),
    )
