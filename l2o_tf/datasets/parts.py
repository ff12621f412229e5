"""A part of a split, drawn by seed: which examples it has, and how it is named.

    train[5%]           5 % of each class of "train", drawn with seed 0
    train[5%,seed=3]    another such part

A name, so that whatever names a split may name a part of it: an optimizee, a
comparison's tuning, a binding.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from l2o_tf.core import checks, seeds

_NAME = re.compile(
    r"(?P<split>\w+)\[(?P<percent>\d+(?:\.\d+)?)%(?:,\s*seed=(?P<seed>-?\d+))?\]"
)


class Part(NamedTuple):
    """Some of the examples of a split.

    Attributes:
        split: str, of which.
        fraction: float in (0, 1], of each class.
        seed: int, of the draw.
    """

    split: str
    fraction: float
    seed: int


def parse_part(name: str) -> Part | None:
    """Read the name of a part.

    Returns:
        The part; None for a name without brackets, that of a whole split.

    Raises:
        ValueError: if what is in brackets cannot be read, or the fraction is
            out of range.
    """
    if not isinstance(name, str) or "[" not in name:
        return None
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            "A part of a split is named as 'train[5%]' or 'train[5%,seed=1]'. "
            f"Received: split={name!r}."
        )
    fraction = float(match["percent"]) / 100.0
    return Part(
        match["split"], checked_fraction(fraction), int(match["seed"] or 0)
    )


def checked_fraction(fraction: float) -> float:
    """Return the fraction.

    Raises:
        ValueError: unless it is in (0, 1].
    """
    return checks.real("fraction", fraction, 0.0, 1.0, low_open=True)


def stratified(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Draw the same fraction of the examples of each class.

        n_c' = max(1, floor(fraction n_c + 1/2))

    without replacement. A larger fraction with the same seed contains the
    smaller one's.

    Args:
        labels: int `[n]`.
        fraction: float in (0, 1].
        seed: int.

    Returns:
        The places of the examples, int64, increasing.

    Raises:
        ValueError: if `fraction` is outside (0, 1], or `seed` no seed.
    """
    checked_fraction(fraction)
    root = seeds.make_seed(seed)
    chosen = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        count = max(1, math.floor(fraction * len(places) + 0.5))
        order = seeds.permutation(
            seeds.fold_in(root, int(label)), len(places)
        ).numpy()
        chosen.append(places[order[:count]])
    return np.sort(np.concatenate(chosen))
