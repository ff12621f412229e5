"""Quadratics under a wave: many local minima around a convex bowl."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.types import Seed, Vector
from l2o_tf.optimizees.synthetic import RandomProblems

# Not 2 pi: the original writes pi as 3.1415926, which float32 tells from it.
_FREQUENCY = 2 * 3.1415926


@gin.register(module="l2o_tf.optimizees")
class SquareCos(RandomProblems):
    """Minimise B random quadratics, each minus random sums of cosines.

        f(x) = 1/B sum_b [ || W_b x_b - y_b ||^2
                           - sum_i (V_b 10 cos(2 pi x_b))_i + 10 d ]

    x `[B, d]` starts from Normal(0, 0.01**2); W, V `[B, d, d]` and y `[B, d]`
    are uniform on (0, 1) and drawn anew at every reset. The mean is over the
    batch, the sums over components. There is no minibatch.

    Args:
        batch_size: int, B. Defaults to 128.
        dim: int, d. Defaults to 2: 256 coordinates.

    Raises:
        ValueError: if an argument is not a positive int.

    References:
        Chen et al. 2020, released code; spec dm_rnnprop.md 1.9.
    """

    def __init__(self, batch_size: int = 128, dim: int = 2) -> None:
        super().__init__(batch_size, dim)

    def reset(
        self, seed: Seed
    ) -> tuple[Vector, tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Draw x and the constants (W, y, V)."""
        x, (w, y) = self.draw_systems(seed)
        shape = [self.batch_size, self.dim, self.dim]
        return x, (w, y, seeds.uniform(seeds.fold_in(seed, 3), shape))

    def each(
        self,
        x: tf.Tensor,
        constants: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
    ) -> tf.Tensor:
        """Compute each problem's square under its wave, `[B]`."""
        w, y, wcos = constants
        residual = tf.linalg.matvec(w, x) - y
        wave = tf.linalg.matvec(wcos, 10.0 * tf.cos(_FREQUENCY * x))
        return tf.reduce_sum(residual**2 - wave, axis=1) + 10.0 * self.dim
