"""Learning rates that an optimizer keeps per coordinate, as logarithms."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.segments import segments
from l2o_tf.core.types import Seed, Vector

LOWEST_LOG_RATE = -33.0
"""No logarithm of a learning rate is lower; none starts above its negative."""


def check_range(name: str, bounds: Any) -> tuple[float, float]:
    """Return `bounds` if they are two positive numbers in order.

    Raises:
        ValueError: otherwise.
    """
    is_pair = isinstance(bounds, (tuple, list)) and len(bounds) == 2
    if is_pair:
        low, high = (checks.real(name, b, 0.0, low_open=True) for b in bounds)
        if low <= high:
            return low, high
    raise ValueError(
        f"`{name}` must be a pair (smallest, largest) of positive learning "
        f"rates. Received: {name}={bounds!r}."
    )


def draw_log_rates(
    seed: Seed, layout: Layout, bounds: tuple[float, float]
) -> Vector:
    """Draw logarithms of learning rates, float32 `[N]`.

        log lr_j = c + u_j,     c, u_j ~ U(ln(low) / 2, ln(high) / 2)

    with one c per tensor and one u per coordinate; equal bounds give the
    constant ln(low). Clipped to [-33, 33].

    References:
        Spec l2o_scale.md 2.3.
    """
    low, high = (math.log(bound) / 2.0 for bound in bounds)
    if low == high:
        rates = tf.fill([layout.size], tf.constant(2.0 * low, tf.float32))
        return tf.clip_by_value(rates, LOWEST_LOG_RATE, -LOWEST_LOG_RATE)
    shared = seeds.uniform(
        seeds.fold_in(seed, 0), [1, len(layout.sizes)], low, high
    )
    own = seeds.uniform(seeds.fold_in(seed, 1), [layout.size], low, high)
    rates = own + segments(layout).spread(shared)[0]
    return tf.clip_by_value(rates, LOWEST_LOG_RATE, -LOWEST_LOG_RATE)


def clip_straight_through(numbers: Vector, low: float, high: float) -> Vector:
    """Clip to [low, high], with the derivative of the unclipped numbers."""
    clipped = tf.clip_by_value(numbers, low, high)
    return numbers + tf.stop_gradient(clipped - numbers)
