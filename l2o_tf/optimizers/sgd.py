"""Gradient descent, the plainest hand-designed optimizer and teacher.

Cost: one multiplication per coordinate, no state.
"""

from __future__ import annotations

from typing import Any

import gin
import keras

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


def sgd_update(
    gradient: Vector, state: tuple[()], learning_rate: float
) -> tuple[Vector, tuple[()]]:
    """Compute one step of gradient descent.

        u_t = -learning_rate g_t

    Args:
        gradient: float `[N]`, g_t.
        state: `()`, there is none.
        learning_rate: float.

    Returns:
        `(updates, state)`; `updates` is `[N]`, to be ADDED to the params.
    """
    return -learning_rate * gradient, state


@gin.register(module="l2o_tf.optimizers")
@keras.saving.register_keras_serializable(package="l2o_tf")
class SGD(OptimizerCell):
    """Step against the gradient; see `sgd_update`.

    Args:
        learning_rate: positive float. Defaults to 0.01, the rate of the
            teachers in Chen et al. 2020.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if `learning_rate` is not a positive finite number.

    Example:
    >>> gradient = keras.ops.array([2.0, -4.0])
    >>> inputs = OptimizerInputs(gradient, (), loss=3.0, step=1)
    >>> SGD(learning_rate=0.5).call(inputs, ())[0].numpy()
    array([-1.,  2.], dtype=float32)
    """

    coordinatewise = True

    def __init__(
        self,
        learning_rate: float = 0.01,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.learning_rate = checks.real(
            "learning_rate", learning_rate, low=0.0, low_open=True
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
        """Compute one update; see `sgd_update`."""
        return sgd_update(inputs.gradient, states, self.learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
