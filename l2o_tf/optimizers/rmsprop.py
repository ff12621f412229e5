"""RMSProp in TensorFlow 1's form: teacher, and meta-optimizer of L2O-Scale.

Two things differ from Keras' RMSprop: the mean square starts at 1, not at 0
(so that for small gradients the first hundred steps are much shorter), and
epsilon is 1e-10, not 1e-7. Both are arguments here.
Cost: two vectors of state.

Reference: Tieleman & Hinton, lecture 6.5 of "Neural Networks for Machine
Learning", 2012.
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


class RMSPropState(NamedTuple):
    """The state, both `[N]`.

    Attributes:
        mean_square: r, the moving average of squared gradients.
        momentum: p, the decayed sum of steps, from 0.
    """

    mean_square: Vector
    momentum: Vector


def rmsprop_update(
    gradient: Vector,
    state: RMSPropState,
    learning_rate: float,
    decay: float,
    momentum: float,
    epsilon: float,
) -> tuple[Vector, RMSPropState]:
    """Compute one step of RMSProp.

        r_t = decay r_{t-1} + (1 - decay) g_t^2
        p_t = momentum p_{t-1} + learning_rate g_t / sqrt(r_t + epsilon)
        u_t = -p_t

    Args:
        gradient: float `[N]`, g_t.
        state: r_{t-1} and p_{t-1}, of the gradient's dtype.
        learning_rate: float.
        decay: float in [0, 1).
        momentum: float in [0, 1).
        epsilon: positive float, inside the root.

    Returns:
        `(updates, state)`; `updates` is `[N]`, to be ADDED to the params.
    """
    r = decay * state.mean_square + (1.0 - decay) * tf.square(gradient)
    scaled = learning_rate * gradient / tf.sqrt(r + epsilon)
    p = momentum * state.momentum + scaled
    return -p, RMSPropState(r, p)


@gin.register(module="l2o_tf.optimizers")
@keras.saving.register_keras_serializable(package="l2o_tf")
class RMSProp(OptimizerCell):
    """Divide gradients by their root mean square; see `rmsprop_update`.

    Args:
        learning_rate: positive float. Defaults to 0.01, the rate of the
            teachers in Chen et al. 2020; as the meta-optimizer of L2O-Scale
            it is 1e-6.
        decay: float in [0, 1). Defaults to 0.9.
        momentum: float in [0, 1). Defaults to 0.
        epsilon: positive float, inside the root. Defaults to 1e-10.
        initial_mean_square: float >= 0, r_0. Defaults to 1, TensorFlow 1's
            start; Keras has 0.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    Example:
    >>> cell = RMSProp(learning_rate=1.0, decay=0.75)
    >>> state = cell.get_initial_state(Layout(("x",), ((1,),)))
    >>> zero, step = tf.constant(0.0), tf.constant(1)
    >>> inputs = OptimizerInputs(tf.constant([1.0]), (), zero, step)
    >>> cell.call(inputs, state)[0].numpy()
    array([-1.], dtype=float32)
    """

    coordinatewise = True

    def __init__(
        self,
        learning_rate: float = 0.01,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        initial_mean_square: float = 1.0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.learning_rate = checks.real(
            "learning_rate", learning_rate, low=0.0, low_open=True
        )
        self.decay = checks.real(
            "decay", decay, low=0.0, high=1.0, high_open=True
        )
        self.momentum = checks.real(
            "momentum", momentum, low=0.0, high=1.0, high_open=True
        )
        self.epsilon = checks.real("epsilon", epsilon, low=0.0, low_open=True)
        self.initial_mean_square = checks.real(
            "initial_mean_square", initial_mean_square, low=0.0
        )
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> RMSPropState:
        """Return r_0 = `initial_mean_square` and p_0 = 0, each `[N]`."""
        del seed
        zeros = tf.zeros([layout.size], self.compute_dtype)
        return RMSPropState(zeros + self.initial_mean_square, zeros)

    def call(
        self, inputs: OptimizerInputs, states: RMSPropState
    ) -> tuple[Vector, RMSPropState]:
        """Compute one update; see `rmsprop_update`."""
        return rmsprop_update(
            inputs.gradient,
            states,
            self.learning_rate,
            self.decay,
            self.momentum,
            self.epsilon,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "decay": self.decay,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "initial_mean_square": self.initial_mean_square,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
