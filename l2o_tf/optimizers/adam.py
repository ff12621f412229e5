"""Adam in TensorFlow 1's form: teacher, baseline and meta-optimizer.

Cost: two vectors of state.

Reference: Kingma & Ba, ICLR 2015, https://arxiv.org/abs/1412.6980.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import gin
import keras
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


class AdamState(NamedTuple):
    """The state, both `[N]`, from 0.

    Attributes:
        first_moment: m, the moving average of gradients.
        second_moment: v, the moving average of their squares.
    """

    first_moment: Vector
    second_moment: Vector


def bias_correction(beta: float, step: Scalar, dtype: tf.DType) -> Scalar:
    """Compute the weight a moving average from 0 has gathered after t steps.

        1 - beta^t = -expm1(t ln(beta))

    The right-hand side is accurate to a few units in the last place for every
    t: in float32, 1 - 0.999^t by a power loses up to 5 digits.

    Args:
        beta: float in [0, 1), the decay.
        step: int scalar, t, counted from 1.
        dtype: of the result.

    Returns:
        A scalar in (0, 1].
    """
    log_beta = math.log(beta) if beta > 0.0 else -math.inf
    return -tf.math.expm1(tf.cast(step, dtype) * log_beta)


def adam_update(
    gradient: Vector,
    state: AdamState,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    step: Scalar,
) -> tuple[Vector, AdamState]:
    """Compute one step of Adam.

        m_t  = beta_1 m_{t-1} + (1 - beta_1) g_t
        v_t  = beta_2 v_{t-1} + (1 - beta_2) g_t^2
        lr_t = learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t)
        u_t  = -lr_t m_t / (sqrt(v_t) + epsilon)

    `epsilon` is the paper's "epsilon hat" (the end of its section 2): it is
    added to the root of the uncorrected v_t. Against Algorithm 1 it acts as
    epsilon / sqrt(1 - beta_2^t).

    Args:
        gradient: float `[N]`, g_t.
        state: m_{t-1} and v_{t-1}, of the gradient's dtype.
        learning_rate: float.
        beta_1: float in [0, 1).
        beta_2: float in [0, 1).
        epsilon: float >= 0.
        step: int scalar, t, counted from 1.

    Returns:
        `(updates, state)`; `updates` is `[N]`, to be ADDED to the params.
        Both are finite, and so are their derivatives, at g_t = 0 too.
    """
    m = beta_1 * state.first_moment + (1.0 - beta_1) * gradient
    v = beta_2 * state.second_moment + (1.0 - beta_2) * tf.square(gradient)
    correction_1 = bias_correction(beta_1, step, gradient.dtype)
    correction_2 = bias_correction(beta_2, step, gradient.dtype)
    lr_t = learning_rate * tf.sqrt(correction_2) / correction_1
    # The root has an infinite slope at 0, where every unused coordinate is.
    # Its argument stops at the smallest normal number: a root of 1e-19.
    tiny = np.finfo(v.dtype.as_numpy_dtype).tiny
    root = tf.sqrt(tf.maximum(v, tiny))
    return -lr_t * m / (root + epsilon), AdamState(m, v)


@gin.register(module="l2o_tf.optimizers")
@keras.saving.register_keras_serializable(package="l2o_tf")
class Adam(OptimizerCell):
    """Divide averaged gradients by their root mean square; see `adam_update`.

    The step number of the bias correction is `inputs.step`: a run that starts
    with fresh moments starts at step 1.

    Args:
        learning_rate: positive float. Defaults to 0.001, the meta-optimizer of
            L2O-DM and RNNprop; as a teacher it is 0.01 (Chen et al. 2020).
        beta_1: float in [0, 1), decay of the first moment. Defaults to 0.9.
        beta_2: float in [0, 1), decay of the second. Defaults to 0.999.
        epsilon: float >= 0, added to the root of the uncorrected second
            moment. Defaults to 1e-8, TensorFlow 1's (Keras has 1e-7).
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    Example:
    >>> cell = Adam(learning_rate=0.5)
    >>> state = cell.get_initial_state(Layout(("x",), ((2,),)))
    >>> zero, step = tf.constant(0.0), tf.constant(1)
    >>> inputs = OptimizerInputs(tf.constant([3.0, -0.1]), (), zero, step)
    >>> cell.call(inputs, state)[0].numpy().round(4)
    array([-0.5,  0.5], dtype=float32)
    """

    coordinatewise = True

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.learning_rate = checks.real(
            "learning_rate", learning_rate, low=0.0, low_open=True
        )
        self.beta_1 = checks.real(
            "beta_1", beta_1, low=0.0, high=1.0, high_open=True
        )
        self.beta_2 = checks.real(
            "beta_2", beta_2, low=0.0, high=1.0, high_open=True
        )
        self.epsilon = checks.real("epsilon", epsilon, low=0.0)
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> AdamState:
        """Return m_0 = v_0 = 0, each `[N]`."""
        del seed
        zeros = tf.zeros([layout.size], self.compute_dtype)
        return AdamState(zeros, zeros)

    def call(
        self, inputs: OptimizerInputs, states: AdamState
    ) -> tuple[Vector, AdamState]:
        """Compute one update; see `adam_update`."""
        return adam_update(
            inputs.gradient,
            states,
            self.learning_rate,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            inputs.step,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
