"""Episodes of random length, cut into windows of random length."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed
from l2o_tf.unroll.schedules import FixedHorizon, ScheduleState


@gin.register(module="l2o_tf.unroll")
class LongTail:
    """Draw whole numbers with an exponential tail.

        n = min(round(E) + minimum, maximum),    E exponential with mean scale

    Args:
        scale: positive float.
        minimum: int >= 1.
        maximum: int >= minimum. Arrays are as long as that; 12 scales above
            the minimum leave out one draw in 160,000.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Spec l2o_scale.md 4.1.
    """

    def __init__(self, scale: float, minimum: int, maximum: int) -> None:
        self.scale = checks.real("scale", scale, low=0.0, low_open=True)
        self.minimum = checks.positive_int("minimum", minimum)
        self.maximum = checks.positive_int("maximum", maximum)
        if maximum < minimum:
            raise ValueError(
                "`maximum` must be at least `minimum`. Received: "
                f"minimum={minimum}, maximum={maximum}."
            )

    def draw(self, seed: Seed, count: int) -> tuple[int, ...]:
        """Return `count` independent numbers."""
        uniform = seeds.uniform(seed, [count])
        drawn = tf.round(-self.scale * tf.math.log(uniform))
        drawn = tf.minimum(
            tf.cast(drawn, tf.int32) + self.minimum, self.maximum
        )
        return tuple(int(n) for n in drawn.numpy())


@gin.register(module="l2o_tf.unroll")
class RandomWindows(FixedHorizon):
    """Draw the number of windows of every episode, and the length of each.

    Args:
        num_windows: a `LongTail`.
        unroll_length: a `LongTail`, inner steps of a window; the estimator's
            own `unroll_length` must be its maximum.
        validation_horizon: int, N_valid.

    Raises:
        ValueError: if an argument is out of range or of another kind.

    References:
        Wichrowska et al., ICML 2017, section 4.3; spec l2o_scale.md 4.1, 8
        #18, #19.
    """

    def __init__(
        self,
        num_windows: LongTail,
        unroll_length: LongTail,
        validation_horizon: int,
    ) -> None:
        self.num_windows = checks.instance("num_windows", num_windows, LongTail)
        self.unroll_length = checks.instance(
            "unroll_length", unroll_length, LongTail
        )
        longest = num_windows.maximum * unroll_length.maximum
        super().__init__(longest, validation_horizon)
        self.longest_window = unroll_length.maximum
        self.most_windows = num_windows.maximum

    def window_lengths(
        self, state: ScheduleState, seed: Seed, updates: int = 0
    ) -> tuple[int, ...]:
        """Draw the lengths of one episode's windows."""
        del state, updates
        (count,) = self.num_windows.draw(seeds.fold_in(seed, 0), 1)
        return self.unroll_length.draw(seeds.fold_in(seed, 1), count)
