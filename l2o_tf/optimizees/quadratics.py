"""Convex problems with known answers: a batch of quadratics, and x squared."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizees.synthetic import RandomProblems, SyntheticOptimizee


@gin.register(module="l2o_tf.optimizees")
class Quadratic(RandomProblems):
    """Minimise B random quadratics at once.

        f(x) = 1/B sum_b || W_b x_b - y_b ||^2

    x `[B, d]` starts from Normal(0, 0.01**2); W `[B, d, d]` and y `[B, d]` are
    uniform on (0, 1) and drawn anew at every reset. There is no minibatch.

    Args:
        batch_size: int, B. Defaults to 128.
        dim: int, d. Defaults to 10: 1,280 coordinates.

    Raises:
        ValueError: if an argument is not a positive int.

    References:
        Andrychowicz et al., NeurIPS 2016, section 3.1; spec dm_rnnprop.md 1.9.
    """

    def __init__(self, batch_size: int = 128, dim: int = 10) -> None:
        super().__init__(batch_size, dim)

    def reset(self, seed: Seed) -> tuple[Vector, tuple[tf.Tensor, tf.Tensor]]:
        """Draw x and the constants (W, y)."""
        return self.draw_systems(seed)

    def each(
        self, x: tf.Tensor, constants: tuple[tf.Tensor, tf.Tensor]
    ) -> tf.Tensor:
        """Compute || W_b x_b - y_b ||^2, `[B]`."""
        w, y = constants
        residual = tf.linalg.matvec(w, x) - y
        return tf.reduce_sum(residual**2, axis=1)


@gin.register(module="l2o_tf.optimizees")
class Simple(SyntheticOptimizee):
    """Minimise x^2 of one number, from x = 1 (spec dm_rnnprop.md 1.9)."""

    def __init__(self) -> None:
        self.layout = Layout.from_shapes({"x": ()})

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Return x = 1."""
        del seed
        return tf.ones([1]), ()

    def loss(
        self, params: Vector, constants: tuple[()], batch: tuple[()]
    ) -> Scalar:
        """Compute f(x)."""
        del constants, batch
        return tf.reduce_sum(params**2)
