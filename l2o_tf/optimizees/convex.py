"""A small convex term to train beside a problem: one bowl per coordinate."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizees.synthetic import SyntheticOptimizee


@gin.register(module="l2o_tf.optimizees")
class ConvexQuadratic(SyntheticOptimizee):
    """Minimise the mean squared distance to a random point.

        g(z) = 1/n sum_i min((z_i - v_i)^2, cut_off)

    v `[n]` is uniform on (-1, 1) and drawn anew at every reset, the start z_0
    uniform on (-start_bound, start_bound). There is no minibatch.

    The defaults are those of the authors' program: it starts from 0 and cuts
    every square off at 10, beyond which the gradient is 0.

    Args:
        dim: int, n. Defaults to 20.
        start_bound: float >= 0. Defaults to 0.
        cut_off: float > 0. Defaults to 10.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Lv, Jiang, Li, ICML 2017, section 4.2, and its program; spec
        dm_rnnprop.md 10.1.
    """

    def __init__(
        self, dim: int = 20, start_bound: float = 0.0, cut_off: float = 10.0
    ) -> None:
        self.dim = checks.positive_int("dim", dim)
        self.start_bound = checks.real("start_bound", start_bound, low=0.0)
        self.cut_off = checks.real("cut_off", cut_off, low=0.0, low_open=True)
        self.layout = Layout.from_shapes({"z": (dim,)})

    def reset(self, seed: Seed) -> tuple[Vector, tf.Tensor]:
        """Draw z_0 and the constant v."""
        bound = self.start_bound
        z = seeds.uniform(seeds.fold_in(seed, 0), [self.dim], -bound, bound)
        v = seeds.uniform(seeds.fold_in(seed, 1), [self.dim], -1.0, 1.0)
        return z, v

    def loss(
        self, params: Vector, constants: tf.Tensor, batch: tuple[()]
    ) -> Scalar:
        """Compute g(z)."""
        del batch
        squares = (params - constants) ** 2
        return tf.reduce_mean(tf.minimum(squares, self.cut_off))
