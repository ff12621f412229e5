"""What all problems over a table of rows share: minibatches and objective."""

from __future__ import annotations

import abc

import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.base import Optimizee


class TabularOptimizee(Optimizee):
    """A problem whose batches are rows of a table.

    A minibatch is `batch_size` rows drawn independently, uniformly, with
    replacement; all rows in order if there are no more of them than that. The
    objective is measured on all rows. A table has no splits.

    Args:
        table: a `Table`.
        batch_size: int, rows per minibatch.

    Attributes:
        num_rows: int.
        num_columns: int.

    Raises:
        ValueError: if `table` is none, its parts do not fit together, or
            `batch_size` is not a positive int.
    """

    def __init__(self, table: Table, batch_size: int) -> None:
        features, labels = checks.instance("table", table, Table)
        if features.shape.rank != 2 or labels.shape != features.shape[:1]:
            raise ValueError(
                "A table has features [n, f] and labels [n]. Received: "
                f"features {features.shape}, labels {labels.shape}."
            )
        self.table = table
        self.num_rows, self.num_columns = map(int, features.shape)
        if 0 in (self.num_rows, self.num_columns):
            raise ValueError(
                "A table needs a row and a column. "
                f"Received: features {features.shape}."
            )
        self.batch_size = checks.positive_int("batch_size", batch_size)

    def sample(self, seed: Seed) -> Table:
        """Draw `batch_size` rows, or return all where there are no more."""
        if self.batch_size >= self.num_rows:
            return self.table
        indices = seeds.integers(seed, [self.batch_size], self.num_rows)
        return Table(*(tf.gather(part, indices) for part in self.table))

    def sample_objective(self, seed: Seed) -> Table:
        """Return all rows."""
        del seed
        return self.table


class TabularClassifier(TabularOptimizee):
    """Classify the rows of a table with a model that a subclass writes down.

        2 classes:  f = mean of  softplus(z_0) - label z_0
        more:       f = mean of  cross-entropy(softmax(z), label)

    With z `[B, classes]` the logits. Of two logits only the first counts: it
    is that of label 1, and the second has no gradient, as in the original.

    A subclass calls `super().__init__` first and then sets `layout`.

    Args:
        table: a `Table`.
        num_classes: int, at least 2.
        batch_size: int, rows per minibatch.

    Raises:
        ValueError: if an argument is out of range, or a label is.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(self, table: Table, num_classes: int, batch_size: int) -> None:
        super().__init__(table, batch_size)
        self.num_classes = checks.positive_int("num_classes", num_classes)
        labels = table.labels
        low, high = int(tf.reduce_min(labels)), int(tf.reduce_max(labels))
        if num_classes < 2 or low < 0 or high >= num_classes:
            raise ValueError(
                "There must be at least two classes, and labels from 0 to "
                f"num_classes - 1. Received: num_classes={num_classes}, "
                f"labels from {low} to {high}."
            )

    @abc.abstractmethod
    def logits(self, params: Vector, features: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from features `[B, f]`."""

    def loss(self, params: Vector, constants: Nest, batch: Table) -> Scalar:
        """Compute the mean cross-entropy of a minibatch."""
        del constants
        features, labels = batch
        logits = self.logits(params, features)
        if self.num_classes == 2:
            first = logits[:, 0]
            entropies = tf.nn.sigmoid_cross_entropy_with_logits(
                tf.cast(labels, first.dtype), first
            )
        else:
            entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, logits
            )
        return tf.reduce_mean(entropies)
