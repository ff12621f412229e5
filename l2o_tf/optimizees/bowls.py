"""Two squares in the plane: a bowl, long and turned, and a saddle."""

from __future__ import annotations

import math

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Vector
from l2o_tf.optimizees.synthetic import FixedFunction


@gin.register(module="l2o_tf.optimizees")
class Bowl(FixedFunction):
    """Minimise a two-dimensional quadratic of a given shape.

        f(x) = 1/2 || A x ||^2,    A = diag(sqrt(c), 1) R,
        R = [[cos a, -sin a], [sin a, cos a]]

    The Hessian R^T diag(c, 1) R has the eigenvalues c and 1. x `[2, 1]` starts
    from Normal(0, 1). There are no constants and no minibatch.

    Args:
        condition_number: float, c > 0.
        angle: float, a in radians. Defaults to 0.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(self, condition_number: float, angle: float = 0.0) -> None:
        self.condition_number = checks.real(
            "condition_number", condition_number, low=0.0, low_open=True
        )
        self.angle = checks.real("angle", angle)
        self.layout = Layout.from_shapes({"x": (2, 1)})
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        stretch = np.diag([math.sqrt(self.condition_number), 1.0])
        self._matrix = stretch @ np.array([[cos, -sin], [sin, cos]])

    def value(self, params: Vector) -> Scalar:
        """Compute f(x)."""
        matrix = tf.constant(self._matrix, params.dtype)
        return 0.5 * tf.reduce_sum(tf.matmul(matrix, params[:, None]) ** 2)


@gin.register(module="l2o_tf.optimizees")
class Saddle(FixedFunction):
    """Descend a saddle, f(x, y) = x^2 - y^2, which has no minimum.

    (x, y) starts from Normal(0, 1). There are no constants and no minibatch;
    the loss may be negative. Spec l2o_scale.md 3.2.
    """

    def __init__(self) -> None:
        self.layout = Layout.from_shapes({"x": (2,)})

    def value(self, params: Vector) -> Scalar:
        """Compute f(x, y)."""
        return params[0] ** 2 - params[1] ** 2
