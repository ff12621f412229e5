"""A winding valley that leads outward for ever."""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.tabular import TabularOptimizee


@gin.register(module="l2o_tf.optimizees")
class OutwardSnake(TabularOptimizee):
    """Go as far from 0 as possible while each number follows the one before.

        f(p) = sum_i X_i0 / (|| p || + 1e-6)
               + sum_i sum_{j >= 1} ((p_j - pi cos p_{j-1}) X_ij)^2

    Sums over the rows, not means. p `[f]` starts from Normal(0, 1).

    Args:
        table: a `Table` of float features, at least two columns, such as
            `random_binary`.
        batch_size: int, rows per minibatch.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(self, table: Table, batch_size: int) -> None:
        super().__init__(table, batch_size)
        if self.num_columns < 2:
            raise ValueError(
                "A snake needs a table of at least two columns. "
                f"Received: features {table.features.shape}."
            )
        self.layout = Layout.from_shapes({"p": (self.num_columns,)})

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw p; there are no constants."""
        return seeds.normal(seed, [self.layout.size]), ()

    def loss(
        self, params: Vector, constants: tuple[()], batch: Table
    ) -> Scalar:
        """Compute f(p)."""
        del constants
        features = batch.features
        head = tf.reduce_sum(features[:, 0]) / (tf.norm(params) + 1e-6)
        bends = params[1:] - math.pi * tf.cos(params[:-1])
        return head + tf.reduce_sum(tf.square(bends * features[:, 1:]))
