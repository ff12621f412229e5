"""A well between walls that only the extreme coordinates feel."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Vector
from l2o_tf.optimizees.synthetic import FixedFunction


@gin.register(module="l2o_tf.optimizees")
class MinMaxWell(FixedFunction):
    """Minimise the largest square plus the inverse of the smallest one.

        f(x) = max_j x_j^2 + 1 / min_j x_j^2 - 2 + 1e-12

    The gradient is zero but for two coordinates, and infinite where one is 0.
    The minimum is 1e-12, where every |x_j| = 1. x `[k]` starts from
    Normal(0, 1). There are no constants and no minibatch.

    Args:
        dim: int, k.

    Raises:
        ValueError: if `dim` is not a positive int.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(self, dim: int) -> None:
        self.layout = Layout.from_shapes(
            {"x": (checks.positive_int("dim", dim),)}
        )

    def value(self, params: Vector) -> Scalar:
        """Compute f(x)."""
        squares = params**2
        high, low = tf.reduce_max(squares), tf.reduce_min(squares)
        return high + 1.0 / low - 2.0 + 1e-12
