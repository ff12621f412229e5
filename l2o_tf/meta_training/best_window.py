"""The best validation inside every so many episodes, beside that of the run.

A window here is a stretch of training episodes, not of inner steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from l2o_tf.core import checks
from l2o_tf.core.numerics import nan_to_inf
from l2o_tf.unroll.schedules import HorizonSchedule


class WindowBest(NamedTuple):
    """The best validation of a window so far; JSON-serialisable.

    The weights are not here: they are those of the validation, and go to
    their file with it.

    Attributes:
        first: int, the window's first episode, counted from 1; 0 before any
            finite validation.
        last: int, its last episode.
        episode: int, episodes trained before the best validation.
        cost: float, what that validation found.
    """

    first: int = 0
    last: int = 0
    episode: int = 0
    cost: float = math.inf

    @property
    def file_name(self) -> str:
        """`episodes_<last>.npz`."""
        return f"episodes_{self.last}.npz"


def check_best_window(
    best_window: int | None, validation_period: int, schedule: HorizonSchedule
) -> int | None:
    """Return `best_window` if windows of so many episodes can be compared.

    Raises:
        ValueError: if it is neither None nor a positive multiple of the
            validation period, or the schedule validates at several horizons.
    """
    if best_window is None:
        return None
    checks.positive_int("best_window", best_window)
    if best_window % validation_period:
        low = best_window // validation_period * validation_period
        use = f"{low} or " if low else ""
        raise ValueError(
            "`best_window` must be a multiple of `validation_period`, so that "
            "every window ends with a validation. Received: "
            f"best_window={best_window}, "
            f"validation_period={validation_period}. "
            f"Use {use}{low + validation_period}."
        )
    horizons = sorted(set(schedule.validation_horizons()))
    if len(horizons) > 1:
        raise ValueError(
            "The best of a window needs validations that can be compared, so "
            "all at one horizon. Received: "
            f"best_window={best_window}, schedule={type(schedule).__name__} "
            f"validating at {', '.join(map(str, horizons))}. Use "
            "FixedHorizon, or leave out Trainer.best_window."
        )
    return best_window


def best_of_window(
    best: WindowBest,
    best_window: int | None,
    num_episodes: int,
    episode: int,
    cost: float,
) -> WindowBest:
    """Judge a validation among those of its window.

    Args:
        best: the best of this window, or of an earlier one.
        best_window: int, episodes per window; None for no windows.
        num_episodes: int, the run's; the last window may be cut off there.
        episode: int >= 1, episodes trained before the validation.
        cost: float, lower is better; NaN is never better.

    Returns:
        The very same `best`, unless this validation is strictly better or
        the first finite one of its window.
    """
    if best_window is None:
        return best
    start = (episode - 1) // best_window * best_window
    to_beat = best.cost if best.first == start + 1 else math.inf
    if not nan_to_inf(cost) < to_beat:
        return best
    last = min(start + best_window, num_episodes)
    return WindowBest(start + 1, last, episode, cost)
