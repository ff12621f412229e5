"""Gradients made fit for use before an optimizer sees them.

The meta-gradients of L2O-Scale: single numbers that are not finite are left
out, the others clipped. Cost: two elementwise operations.
"""

from __future__ import annotations

from typing import Any

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Seed, Vector
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


@gin.register(module="l2o_tf.optimizers")
@keras.saving.register_keras_serializable(package="l2o_tf")
class RepairedGradients(OptimizerCell):
    """Run an optimizer on repaired gradients.

        g_i <- 0 if g_i is not finite, else clip(g_i, -bound, bound)

    A gradient without a finite number is so a step with gradient 0: averages
    of gradients still decay.

    Args:
        optimizer: the hand-designed `OptimizerCell` to run.
        bound: positive float. Defaults to 1e4.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if `bound` is out of range, or `optimizer` is something
            else or has weights.

    References:
        Spec l2o_scale.md 4.3.
    """

    repairs_gradients = True

    def __init__(
        self,
        optimizer: OptimizerCell,
        bound: float = 1e4,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.optimizer = checks.instance("optimizer", optimizer, OptimizerCell)
        if optimizer.trainable_variables:
            raise ValueError(
                "Gradients are repaired for a hand-designed optimizer. "
                f"Received: optimizer={optimizer!r}, which has weights."
            )
        self.bound = checks.real("bound", bound, low=0.0, low_open=True)
        self.reads_params = optimizer.reads_params
        self.coordinatewise = optimizer.coordinatewise
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> Nest:
        """Return the optimizer's."""
        return self.optimizer.get_initial_state(layout, seed)

    def call(
        self, inputs: OptimizerInputs, states: Nest
    ) -> tuple[Vector, Nest]:
        """Repair the gradient, then compute one update."""
        gradient = inputs.gradient
        finite = tf.where(
            tf.math.is_finite(gradient), gradient, tf.zeros_like(gradient)
        )
        clipped = tf.clip_by_value(finite, -self.bound, self.bound)
        return self.optimizer.call(inputs._replace(gradient=clipped), states)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "bound": self.bound,
            "dtype": self.compute_dtype,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RepairedGradients:
        """Rebuild the cell from `get_config`'s answer."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        return cls(**dict(config, optimizer=optimizer))
