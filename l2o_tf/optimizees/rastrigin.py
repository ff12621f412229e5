"""Random Rastrigin functions: a quadratic under a cosine per component."""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed, Vector
from l2o_tf.optimizees.synthetic import RandomProblems


@gin.register(module="l2o_tf.optimizees")
class Rastrigin(RandomProblems):
    """Minimise B random Rastrigin functions at once.

        f(x) = 1/B sum_n [ 1/2 || A_n x_n - b_n ||^2
                           - alpha sum_i c_ni cos(2 pi x_ni) + alpha d ]

    x, b, c `[B, d]` and A `[B, d, d]` are standard normal; A, b and c are drawn
    anew at every reset. The sums are over components, the mean over the batch.
    There is no minibatch. With A = I, b = 0 and c = 1 it is the textbook's
    function (its quadratic halved), whose minimum is f(0) = 0; a negative c_ni
    turns the wave over, and f may be negative.

    Args:
        batch_size: int, B. Defaults to 128.
        dim: int, d. Defaults to 2: 256 coordinates.
        alpha: float, height of the wave, >= 0. Defaults to 10.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Chen et al., "Learning to Optimize: A Primer and A Benchmark", JMLR
        2022 (Open-L2O); spec dm_rnnprop.md 1.9.
    """

    def __init__(
        self, batch_size: int = 128, dim: int = 2, alpha: float = 10.0
    ) -> None:
        super().__init__(batch_size, dim)
        self.alpha = checks.real("alpha", alpha, low=0.0)

    def reset(
        self, seed: Seed
    ) -> tuple[Vector, tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Draw x and the constants (A, b, c)."""
        n, d = self.batch_size, self.dim
        x = seeds.normal(seeds.fold_in(seed, 0), [n * d])
        a = seeds.normal(seeds.fold_in(seed, 1), [n, d, d])
        b = seeds.normal(seeds.fold_in(seed, 2), [n, d])
        c = seeds.normal(seeds.fold_in(seed, 3), [n, d])
        return x, (a, b, c)

    def each(
        self,
        x: tf.Tensor,
        constants: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
    ) -> tf.Tensor:
        """Compute each problem's bowl under its wave, `[B]`."""
        a, b, c = constants
        residual = tf.linalg.matvec(a, x) - b
        wave = self.alpha * c * tf.cos(2.0 * math.pi * x)
        bowl = tf.reduce_sum(0.5 * residual**2 - wave, axis=1)
        return bowl + self.alpha * self.dim
