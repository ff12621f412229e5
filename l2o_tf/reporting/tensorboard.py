"""Recorded curves as TensorBoard events: one run per curve."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from l2o_tf.core import checks
from l2o_tf.evaluation.curves import Curve
from l2o_tf.runtime.atomic import make_folder
from l2o_tf.runtime.events import EventFile


def averaged(losses: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Average losses over consecutive updates.

    Args:
        losses: `[steps]`.
        every: int, updates per average; the last one may have fewer.

    Returns:
        `(steps, means)`: the last update of each average, counted from 1, and
        the float64 average.

    Raises:
        ValueError: if `every` is not a positive int.
    """
    checks.positive_int("every", every)
    starts = np.arange(0, len(losses), every)
    ends = np.minimum(starts + every, len(losses))
    # Of an infinite loss and its opposite comes NaN, as it should.
    with np.errstate(invalid="ignore"):
        sums = np.add.reduceat(losses.astype(np.float64), starts)
    return ends, sums / (ends - starts)


def run_folder(folder: str | os.PathLike[str], curve: Curve) -> pathlib.Path:
    """Return `<folder>/tensorboard/<optimizer>/<optimizee>-<split>-seed<k>`.

    With `-measured_<split>` where the losses are of another.
    """
    measured = f"-measured_{curve.measured}" if curve.measured else ""
    optimizer, problem = (
        "_".join(name.split(os.sep))
        for name in (
            curve.optimizer,
            f"{curve.optimizee}-{curve.split or 'nodata'}{measured}",
        )
    )
    name = f"{problem}-seed{curve.seed}"
    return pathlib.Path(folder) / "tensorboard" / optimizer / name


def write_events(
    folder: str | os.PathLike[str], curves: Sequence[Curve], every: int = 10
) -> pathlib.Path:
    """Write curves as scalars `<optimizee>/loss`; replace what was there.

    Args:
        folder: of results, where a folder "tensorboard" is made.
        curves: one run each, see `run_folder`.
        every: int, updates; a scalar is the mean of so many raw losses and
            stands at the step of the last of them.

    Returns:
        What to give to TensorBoard as --logdir.

    Raises:
        ValueError: if `every` is not a positive int, or two curves would be
            the same run.
        OSError: if a file cannot be written.
    """
    checks.positive_int("every", every)
    places = [run_folder(folder, curve) for curve in curves]
    twice = sorted({str(p) for p in places if places.count(p) > 1})
    if twice:
        raise ValueError(
            "Each curve is a run of its own, of one optimizer, optimizee, "
            f"split and seed. Received: two curves of {twice[0]}. Give one of "
            "the optimizers another name."
        )
    for curve, place in zip(curves, places, strict=True):
        events = EventFile(make_folder(place))
        try:
            for step, loss in zip(*averaged(curve.losses, every), strict=True):
                events.scalars(int(step), {f"{curve.optimizee}/loss": loss})
            events.flush()
        finally:
            events.close()
    return pathlib.Path(folder) / "tensorboard"
