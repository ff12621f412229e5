"""Least squares with an l1 penalty: convex, with a kink at every zero."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.types import Seed, Vector
from l2o_tf.optimizees.synthetic import RandomProblems


@gin.register(module="l2o_tf.optimizees")
class Lasso(RandomProblems):
    """Minimise B random lasso problems at once.

        f(x) = 1/B sum_b [ 1/2 || W_b x_b - y_b ||^2 + l1 sum_i |x_bi| ]

    x `[B, d]` starts from Normal(0, 0.01**2); W `[B, d, d]` and y `[B, d]` are
    uniform on (0, 1) and drawn anew at every reset. There is no minibatch.

    The norms sum over the components of one problem and the mean is over the
    batch, as in `Quadratic`: that is how the spec's "mean" is read here. At
    x_bi = 0 the gradient takes 0 from the penalty's subgradients [-l1, l1].

    Args:
        batch_size: int, B. Defaults to 128.
        dim: int, d. Defaults to 2: 256 coordinates.
        l1: float, weight of the penalty, >= 0. Defaults to 0.005.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Chen et al., "Learning to Optimize: A Primer and A Benchmark", JMLR
        2022 (Open-L2O); spec dm_rnnprop.md 1.9.
    """

    def __init__(
        self, batch_size: int = 128, dim: int = 2, l1: float = 0.005
    ) -> None:
        super().__init__(batch_size, dim)
        self.l1 = checks.real("l1", l1, low=0.0)

    def reset(self, seed: Seed) -> tuple[Vector, tuple[tf.Tensor, tf.Tensor]]:
        """Draw x and the constants (W, y)."""
        return self.draw_systems(seed)

    def each(
        self, x: tf.Tensor, constants: tuple[tf.Tensor, tf.Tensor]
    ) -> tf.Tensor:
        """Compute each problem's half square and penalty, `[B]`."""
        w, y = constants
        residual = tf.linalg.matvec(w, x) - y
        each = 0.5 * residual**2 + self.l1 * tf.abs(x)
        return tf.reduce_sum(each, axis=1)
