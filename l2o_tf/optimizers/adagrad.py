"""Adagrad in TensorFlow 1's form, a teacher.

The accumulator starts at 0.1 as in Keras, but nothing is added under the root
by default (Keras adds 1e-7).
Cost: one vector of state.

Reference: Duchi, Hazan, Singer, JMLR 12 (2011), pages 2121-2159.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gin
import keras
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


class AdagradState(NamedTuple):
    """The state: `accumulator` `[N]`, the sum of squared gradients so far."""

    accumulator: Vector


def adagrad_update(
    gradient: Vector,
    state: AdagradState,
    learning_rate: float,
    epsilon: float,
) -> tuple[Vector, AdagradState]:
    """Compute one step of Adagrad.

        a_t = a_{t-1} + g_t^2
        u_t = -learning_rate g_t / sqrt(a_t + epsilon)

    Guard: with a start and an epsilon of 0, a coordinate whose gradient has
    been 0 so far would give 0 / 0. The root's argument is kept at the dtype's
    smallest normal number or above, so the update is 0 there, and nothing else
    changes unless squares underflow.

    Args:
        gradient: float `[N]`, g_t.
        state: a_{t-1}, of the gradient's dtype.
        learning_rate: float.
        epsilon: float >= 0, inside the root.

    Returns:
        `(updates, state)`; `updates` is `[N]`, to be ADDED to the params.
    """
    a = state.accumulator + tf.square(gradient)
    tiny = np.finfo(a.dtype.as_numpy_dtype).tiny
    root = tf.sqrt(tf.maximum(a + epsilon, tiny))
    return -learning_rate * gradient / root, AdagradState(a)


@gin.register(module="l2o_tf.optimizers")
@keras.saving.register_keras_serializable(package="l2o_tf")
class Adagrad(OptimizerCell):
    """Divide gradients by the root of their sum of squares.

    See `adagrad_update`.

    Args:
        learning_rate: positive float. Defaults to 0.01, the rate of the
            teachers in Chen et al. 2020.
        initial_accumulator: float >= 0, a_0. Defaults to 0.1.
        epsilon: float >= 0, inside the root. Defaults to 0.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    Example:
    >>> cell = Adagrad(learning_rate=1.0, initial_accumulator=0.0)
    >>> state = cell.get_initial_state(Layout(("x",), ((2,),)))
    >>> zero, step = tf.constant(0.0), tf.constant(1)
    >>> inputs = OptimizerInputs(tf.constant([4.0, 0.0]), (), zero, step)
    >>> cell.call(inputs, state)[0].numpy()
    array([-1., -0.], dtype=float32)
    """

    coordinatewise = True

    def __init__(
        self,
        learning_rate: float = 0.01,
        initial_accumulator: float = 0.1,
        epsilon: float = 0.0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.learning_rate = checks.real(
            "learning_rate", learning_rate, low=0.0, low_open=True
        )
        self.initial_accumulator = checks.real(
            "initial_accumulator", initial_accumulator, low=0.0
        )
        self.epsilon = checks.real("epsilon", epsilon, low=0.0)
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> AdagradState:
        """Return a_0 = `initial_accumulator`, `[N]`."""
        del seed
        zeros = tf.zeros([layout.size], self.compute_dtype)
        return AdagradState(zeros + self.initial_accumulator)

    def call(
        self, inputs: OptimizerInputs, states: AdagradState
    ) -> tuple[Vector, AdagradState]:
        """Compute one update; see `adagrad_update`."""
        return adagrad_update(
            inputs.gradient, states, self.learning_rate, self.epsilon
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "initial_accumulator": self.initial_accumulator,
            "epsilon": self.epsilon,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
