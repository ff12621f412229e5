"""Gradient descent with momentum, plain or Nesterov's (the teacher "nag").

The rule is TensorFlow 1's: the velocity sums gradients, not steps, so the
learning rate multiplies all of it. At a constant rate that is the same
trajectory as Keras' SGD, whose velocity sums steps.
Cost: one vector of state.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


class MomentumState(NamedTuple):
    """The state: `velocity` `[N]`, the decayed sum of gradients, from 0."""

    velocity: Vector


def momentum_update(
    gradient: Vector,
    state: MomentumState,
    learning_rate: float,
    momentum: float,
    nesterov: bool,
) -> tuple[Vector, MomentumState]:
    """Compute one step of gradient descent with momentum.

        a_t = momentum a_{t-1} + g_t
        u_t = -learning_rate a_t                              (plain)
        u_t = -learning_rate (g_t + momentum a_t)             (Nesterov)

    Args:
        gradient: float `[N]`, g_t.
        state: a_{t-1}, of the gradient's dtype.
        learning_rate: float.
        momentum: float.
        nesterov: bool, which of the two.

    Returns:
        `(updates, state)`; `updates` is `[N]`, to be ADDED to the params.

    References:
        Sutskever et al., ICML 2013, section 2, gives Nesterov's method in this
        form: params are those at which the next gradient is taken.
    """
    a = momentum * state.velocity + gradient
    direction = gradient + momentum * a if nesterov else a
    return -learning_rate * direction, MomentumState(a)


@gin.register(module="l2o_tf.optimizers")
@keras.saving.register_keras_serializable(package="l2o_tf")
class Momentum(OptimizerCell):
    """Step along a decayed sum of gradients; see `momentum_update`.

    Args:
        learning_rate: positive float. Defaults to 0.01, the rate of the
            teachers in Chen et al. 2020.
        momentum: float in [0, 1). Defaults to 0.9.
        nesterov: bool. Defaults to False; the teacher "nag" has True.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    Example:
    >>> cell = Momentum(learning_rate=1.0, momentum=0.5)
    >>> state = MomentumState(tf.constant([4.0]))
    >>> zero, step = tf.constant(0.0), tf.constant(1)
    >>> inputs = OptimizerInputs(tf.constant([1.0]), (), zero, step)
    >>> cell.call(inputs, state)[0].numpy()
    array([-3.], dtype=float32)
    """

    coordinatewise = True

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
        nesterov: bool = False,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.learning_rate = checks.real(
            "learning_rate", learning_rate, low=0.0, low_open=True
        )
        self.momentum = checks.real(
            "momentum", momentum, low=0.0, high=1.0, high_open=True
        )
        if not isinstance(nesterov, bool):
            raise ValueError(
                "`nesterov` must be True or False. "
                f"Received: nesterov={nesterov!r}."
            )
        self.nesterov = nesterov
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> MomentumState:
        """Return a_0 = 0, `[N]`."""
        del seed
        return MomentumState(tf.zeros([layout.size], self.compute_dtype))

    def call(
        self, inputs: OptimizerInputs, states: MomentumState
    ) -> tuple[Vector, MomentumState]:
        """Compute one update; see `momentum_update`."""
        return momentum_update(
            inputs.gradient,
            states,
            self.learning_rate,
            self.momentum,
            self.nesterov,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
