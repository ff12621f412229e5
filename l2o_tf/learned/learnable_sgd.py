"""Gradient descent with one learned number: the closed-form test subject.

One weight, no state, an update linear in the weight: the meta-gradient of a
quadratic can be written down, so everything that differentiates through an
unroll is tested on this cell.
"""

from __future__ import annotations

from typing import Any

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class LearnableSGD(OptimizerCell):
    """Step against the gradient, u_t = -eta g_t, with eta learned.

    The original program of L2O-Scale has the same optimizer, as
    GlobalLearningRate, from eta = 0.001 (spec l2o_scale.md 2.6).

    Args:
        learning_rate: float, where eta starts; of either sign. Defaults to
            0.01.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if `learning_rate` is not a finite number.
    """

    coordinatewise = True

    def __init__(
        self,
        learning_rate: float = 0.01,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        start = checks.real("learning_rate", learning_rate)
        self.initial_learning_rate = start
        self.learning_rate = self.add_weight(
            name="learning_rate",
            shape=(),
            initializer=lambda shape, dtype: tf.constant(start, dtype),
        )
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> tuple[()]:
        """Return no state."""
        del seed
        del layout
        return ()

    def call(
        self, inputs: OptimizerInputs, states: tuple[()]
    ) -> tuple[Vector, tuple[()]]:
        """Compute one update; see the class."""
        eta = tf.convert_to_tensor(self.learning_rate)
        return -eta * inputs.gradient, states

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "learning_rate": self.initial_learning_rate,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
