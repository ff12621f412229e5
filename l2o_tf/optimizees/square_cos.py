"""Quadratics under a wave: many local minima around a convex bowl."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee

# Not 2 pi: the original writes pi as 3.1415926, which float32 tells from it.
_FREQUENCY = 2 * 3.1415926


@gin.register(module="l2o_tf.optimizees")
class SquareCos(Optimizee):
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
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.dim = checks.positive_int("dim", dim)
        self.layout = Layout.from_shapes({"x": (batch_size, dim)})

    def reset(
        self, seed: Seed
    ) -> tuple[Vector, tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Draw x and the constants (W, y, V)."""
        b, d = self.batch_size, self.dim
        x = seeds.normal(seeds.fold_in(seed, 0), [b * d], 0.01)
        w = seeds.uniform(seeds.fold_in(seed, 1), [b, d, d])
        y = seeds.uniform(seeds.fold_in(seed, 2), [b, d])
        wcos = seeds.uniform(seeds.fold_in(seed, 3), [b, d, d])
        return x, (w, y, wcos)

    def sample(self, seed: Seed) -> tuple[()]:
        """Return no batch."""
        del seed
        return ()

    def loss(
        self,
        params: Vector,
        constants: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
        batch: tuple[()],
    ) -> Scalar:
        """Compute f(x)."""
        del batch
        w, y, wcos = constants
        x = tf.reshape(params, [self.batch_size, self.dim])
        residual = tf.linalg.matvec(w, x) - y
        wave = tf.linalg.matvec(wcos, 10.0 * tf.cos(_FREQUENCY * x))
        each = tf.reduce_sum(residual**2 - wave, axis=1) + 10.0 * self.dim
        return tf.reduce_mean(each)
