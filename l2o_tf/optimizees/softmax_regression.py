"""Linear classifiers: of rows of numbers, and of rows of ids."""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.tabular import TabularClassifier


class _LinearClassifier(TabularClassifier):
    """What both have: the start.

    Each tensor starts from Normal(0, s**2), s = 1.2 start_scale / sqrt(first
    dimension of its shape).
    """

    def __init__(
        self,
        table: Table,
        num_classes: int,
        batch_size: int,
        start_scale: float,
    ) -> None:
        super().__init__(table, num_classes, batch_size)
        self.start_scale = checks.real("start_scale", start_scale, low=0.0)

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw the start; there are no constants."""
        drawn = [
            seeds.normal(
                seeds.fold_in(seed, i),
                shape,
                1.2 * self.start_scale / math.sqrt(shape[0]),
            )
            for i, shape in enumerate(self.layout.shapes)
        ]
        return self.layout.flatten(drawn), ()


@gin.register(module="l2o_tf.optimizees")
class SoftmaxRegression(_LinearClassifier):
    """Classify rows of f numbers: z = X W + b.

    W `[f, c]`, b `[c]`; each tensor starts from Normal(0, s**2) with s =
    1.2 start_scale / sqrt(first dimension of its shape). The loss is that of a
    `TabularClassifier`.

    Args:
        table: a `Table` of float features.
        num_classes: int, c, at least 2.
        batch_size: int, rows per minibatch.
        start_scale: float, >= 0. Defaults to 1, as in the ensemble; the
            authors' training program has 0.01.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(
        self,
        table: Table,
        num_classes: int,
        batch_size: int,
        start_scale: float = 1.0,
    ) -> None:
        super().__init__(table, num_classes, batch_size, start_scale)
        self.layout = Layout.from_shapes(
            {"w": (self.num_columns, num_classes), "b": (num_classes,)}
        )

    def logits(self, params: Vector, features: tf.Tensor) -> tf.Tensor:
        """Compute `[B, c]` from features `[B, f]`."""
        w, b = self.layout.split(params)
        return tf.matmul(features, w) + b


@gin.register(module="l2o_tf.optimizees")
class SparseSoftmaxRegression(_LinearClassifier):
    """Classify rows of m ids by the sum of what the ids stand for.

        z = (sum_j E[X_j]) W + b,    X_j from 0 to c - 1

    E `[c, f]`, W `[f, c]`, b `[c]`, started as in `SoftmaxRegression`. The ids
    have as many values as there are classes, as in the original.

    Args:
        table: a `Table` of int ids, such as `noisy_parity`.
        num_classes: int, c, at least 2.
        num_features: int, f, the width of an id's row.
        batch_size: int, rows per minibatch.
        one_hot: bool, whether E is multiplied by one-hot ids instead of its
            rows being gathered: the same numbers, another gradient kernel.
        start_scale: float, >= 0. Defaults to 1.

    Raises:
        ValueError: if an argument is out of range, or an id is.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(
        self,
        table: Table,
        num_classes: int,
        num_features: int,
        batch_size: int,
        one_hot: bool = False,
        start_scale: float = 1.0,
    ) -> None:
        super().__init__(table, num_classes, batch_size, start_scale)
        checks.positive_int("num_features", num_features)
        self.one_hot = checks.boolean("one_hot", one_hot)
        ids = table.features
        if not ids.dtype.is_integer:
            raise ValueError(
                "The features of this problem are ids, ints. "
                f"Received: features of dtype {ids.dtype.name}."
            )
        low, high = int(tf.reduce_min(ids)), int(tf.reduce_max(ids))
        if low < 0 or high >= num_classes:
            raise ValueError(
                f"Ids must be from 0 to num_classes - 1 = {num_classes - 1}. "
                f"Received: ids from {low} to {high}."
            )
        self.layout = Layout.from_shapes(
            {
                "embedding": (num_classes, num_features),
                "w": (num_features, num_classes),
                "b": (num_classes,),
            }
        )

    def logits(self, params: Vector, features: tf.Tensor) -> tf.Tensor:
        """Compute `[B, c]` from ids `[B, m]`."""
        embedding, w, b = self.layout.split(params)
        if self.one_hot:
            one_hot = tf.one_hot(
                features, self.num_classes, dtype=embedding.dtype
            )
            rows = tf.matmul(tf.reduce_sum(one_hot, axis=1), embedding)
        else:
            rows = tf.reduce_sum(tf.gather(embedding, features), axis=1)
        return tf.matmul(rows, w) + b
