"""A chain in which each number can settle only after the one before it."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Vector
from l2o_tf.optimizees.synthetic import FixedFunction


@gin.register(module="l2o_tf.optimizees")
class DependencyChain(FixedFunction):
    """Minimise squares that are each measured against the last one.

        f(x) = sum_{j=1..k} [ x_0^2 + x_j^2 / (x_{j-1}^2 + 1e-6) ]

    x_0^2 counts k times, as in the released code. The minimum is f(0) = 0.
    x `[k + 1]` starts from Normal(0, 1). There are no constants; the original
    draws data for it, which its loss does not use.

    Args:
        length: int, k links: k + 1 coordinates.

    Raises:
        ValueError: if `length` is not a positive int.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2, 9 (17).
    """

    def __init__(self, length: int) -> None:
        self.length = checks.positive_int("length", length)
        self.layout = Layout.from_shapes({"x": (length + 1,)})

    def value(self, params: Vector) -> Scalar:
        """Compute f(x)."""
        squares = params**2
        links = squares[1:] / (squares[:-1] + 1e-6)
        return tf.reduce_sum(squares[0] + links)
