"""A multi-layer perceptron over the rows of a table."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.mlp import ACTIVATIONS, dense_layers
from l2o_tf.optimizees.tabular import TabularClassifier


@gin.register(module="l2o_tf.optimizees")
class DenseClassifier(TabularClassifier):
    """Classify the rows of a table with a multi-layer perceptron.

        h_0 = row;  h_l = act(h_{l-1} W_l + b_l);
        z = h_L W_{L+1} + b_{L+1}                           (no activation)

    Every weight and every bias starts from Normal(0, init_stddev**2). The loss
    is that of a `TabularClassifier`. For images see `MLP`.

    Args:
        table: a `Table` of float features.
        num_classes: int, at least 2.
        hidden: tuple of int, units of the hidden layers.
        batch_size: int, rows per minibatch.
        activation: "sigmoid", "relu" or "tanh".
        init_stddev: float, defaults to 0.01.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Wichrowska et al., ICML 2017; spec l2o_scale.md 3.2.
    """

    def __init__(
        self,
        table: Table,
        num_classes: int,
        hidden: tuple[int, ...],
        batch_size: int,
        activation: str = "sigmoid",
        init_stddev: float = 0.01,
    ) -> None:
        super().__init__(table, num_classes, batch_size)
        self.activation = checks.one_of(
            "activation", activation, tuple(ACTIVATIONS)
        )
        self.init_stddev = checks.real("init_stddev", init_stddev, low=0.0)
        self.hidden = tuple(checks.positive_int("hidden", h) for h in hidden)
        widths = (self.num_columns, *self.hidden, num_classes)
        shapes: dict[str, tuple[int, ...]] = {}
        for i in range(len(widths) - 1):
            shapes[f"linear_{i}/w"] = (widths[i], widths[i + 1])
            shapes[f"linear_{i}/b"] = (widths[i + 1],)
        self.layout = Layout.from_shapes(shapes)

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw every coordinate; there are no constants."""
        return seeds.normal(seed, [self.layout.size], self.init_stddev), ()

    def logits(self, params: Vector, features: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from features `[B, f]`."""
        tensors = self.layout.split(params)
        return dense_layers(features, tensors, self.activation)
