"""Whether a schedule's episodes can be cut into an estimator's windows."""

from __future__ import annotations

from l2o_tf.estimators.base import MetaGradientEstimator
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.unroll.schedules import HorizonSchedule


def check_windows(
    schedule: HorizonSchedule,
    estimator: MetaGradientEstimator,
    imitation: Imitation | None,
) -> None:
    """Refuse horizons and windows that do not fit together.

    Raises:
        ValueError: if a horizon is not a multiple of the window; or, where the
            schedule draws windows, the longest is not the estimator's
            `unroll_length`, or some episodes imitate.
    """
    longest = schedule.longest_window
    if longest is None:
        for horizon in schedule.horizons():
            _check_multiple(horizon, estimator.unroll_length)
        return
    if longest != estimator.unroll_length:
        raise ValueError(
            "The estimator's `unroll_length` must be that of the longest "
            "window the schedule may draw. Received: "
            f"unroll_length={estimator.unroll_length}, longest "
            f"window={longest}."
        )
    if imitation is not None:
        raise ValueError(
            "Imitation has windows of one length, so it cannot follow a "
            "schedule that draws them. Received: "
            f"imitation={imitation!r}, schedule={schedule!r}."
        )


def _check_multiple(horizon: int, unroll_length: int) -> None:
    if horizon % unroll_length:
        low = horizon // unroll_length * unroll_length
        use = f"{low} or " if low else ""
        raise ValueError(
            "`horizon` must be a multiple of `unroll_length`. Received: "
            f"horizon={horizon}, unroll_length={unroll_length}. "
            f"Use {use}{low + unroll_length}."
        )
