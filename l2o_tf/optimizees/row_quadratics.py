"""Quadratics of one row of parameters, given by the rows of a table."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.tabular import TabularOptimizee


class _RowQuadratic(TabularOptimizee):
    """What both have: p `[1, f]`, as wide as the table, from Normal(0, 1)."""

    def __init__(self, table: Table, batch_size: int) -> None:
        super().__init__(table, batch_size)
        self.layout = Layout.from_shapes({"p": (1, self.num_columns)})

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw p; there are no constants."""
        return seeds.normal(seed, [self.layout.size]), ()


@gin.register(module="l2o_tf.optimizees")
class SumOfQuadratics(_RowQuadratic):
    """Come near to many points at once, against being at 0.

        f(p) = sum_i || p - X_i ||^2 - sum_i || X_i ||^2 + 1e-12

    A sum over the rows, not their mean. Over rows and their negatives (see
    `random_symmetric`) it is n || p ||^2, least at 0; on a minibatch it may be
    negative. p `[1, f]` starts from Normal(0, 1).

    Args:
        table: a `Table` of float features.
        batch_size: int, rows per minibatch.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def loss(
        self, params: Vector, constants: tuple[()], batch: Table
    ) -> Scalar:
        """Compute f(p) as sum_i <p, p - 2 X_i> + 1e-12.

        The same, without the difference of two large sums: near the minimum
        its rounding would be larger than f, and of either sign.
        """
        del constants
        return tf.reduce_sum(params * (params - 2.0 * batch.features)) + 1e-12


@gin.register(module="l2o_tf.optimizees")
class ProjectionQuadratic(_RowQuadratic):
    """Minimise a quadratic that is along the axes.

        f(p) = sum_i sum_j (p_j X_ij)^2

    A sum over the rows, not their mean. p `[1, f]` starts from Normal(0, 1).

    Args:
        table: a `Table` of float features.
        batch_size: int, rows per minibatch.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def loss(
        self, params: Vector, constants: tuple[()], batch: Table
    ) -> Scalar:
        """Compute f(p)."""
        del constants
        return tf.reduce_sum(tf.square(params * batch.features))
