"""What several seeds say together: mean, spread, and who diverged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from l2o_tf.core import checks
from l2o_tf.evaluation.curves import Curve


class Spread(NamedTuple):
    """The curves of one optimizer on one optimizee, over seeds.

    Attributes:
        steps: int `[T]`, the update number at the end of each smoothing
            window.
        mean: float64 `[T]`, over the finite runs.
        low: float64 `[T]`, the lowest run.
        high: float64 `[T]`, the highest finite run.
        runs: int, how many there are.
        diverged: int, runs with a loss that is not finite.
    """

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int
    diverged: int


def smooth(losses: np.ndarray, window: int) -> np.ndarray:
    """Return the running mean of raw losses over `window` steps.

    Entry j is the mean of losses[j : j + window]; `window` - 1 entries fewer
    come out than went in. It stands at the window's end on the step axis.

    Raises:
        ValueError: if `window` is not from 1 to the number of losses.
    """
    checks.positive_int("window", window)
    if window > len(losses):
        raise ValueError(
            "The smoothing window is longer than the curve. Received: "
            f"window={window}, steps={len(losses)}."
        )
    sums = np.cumsum(np.concatenate([[0.0], losses.astype(np.float64)]))
    return (sums[window:] - sums[:-window]) / window


def spread(curves: Sequence[Curve], window: int = 1) -> Spread:
    """Summarise runs of equal length.

    Runs with a loss that is not finite are counted in `diverged` and are not
    in the mean; if all diverged, the mean is NaN.

    Raises:
        ValueError: if there is no curve, or their lengths differ.
    """
    lengths = sorted({len(curve.losses) for curve in curves})
    if len(lengths) != 1:
        raise ValueError(
            "Curves are summarised over seeds of one length. "
            f"Received: steps={lengths}."
        )
    finite = [c for c in curves if np.isfinite(c.losses).all()]
    steps = np.arange(window, lengths[0] + 1)
    if finite:
        rows = np.stack([smooth(c.losses, window) for c in finite])
    else:
        rows = np.full((1, len(steps)), np.nan)
    return Spread(
        steps=steps,
        mean=rows.mean(axis=0),
        low=rows.min(axis=0),
        high=rows.max(axis=0),
        runs=len(curves),
        diverged=len(curves) - len(finite),
    )
