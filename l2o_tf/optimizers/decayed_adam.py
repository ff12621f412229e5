"""Adam with a decaying learning rate and a regularised loss.

The baseline of Metz et al. 2019, "Adam+Reg+Decay", with eight
hyper-parameters. Cost: two vectors of state.

References:
    Metz et al., ICML 2019, https://arxiv.org/abs/1810.10180, Figure 6; the
    rule as in Metz et al. 2020 ("TaskSet"), https://arxiv.org/abs/2002.11887.
    Spec metz.md 9.
"""

from __future__ import annotations

from typing import Any

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizers.adam import AdamState, bias_correction
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs

REFERENCE_STEPS = 10_000
_INSIDE_ROOT = 1e-10


def decay_multiplier(
    step: Scalar,
    num_steps: int,
    exponential_decay: float,
    linear_decay: float,
    dtype: tf.DType,
) -> Scalar:
    """Compute what the learning rate is multiplied by at one step.

        t' = (step - 1) 10000 / num_steps
        c  = max(1 - linear_decay t', 0) exp(-exponential_decay t')

    Steps are counted from 0 here, as in the reference: the first update is not
    decayed. Both rates are per step of a run of 10,000, so that runs of any
    length end with the same multiplier.

    Args:
        step: int scalar, counted from 1.
        num_steps: int, the length of the run.
        exponential_decay: float >= 0.
        linear_decay: float >= 0.
        dtype: of the result.

    Returns:
        A scalar in [0, 1]; it stays 0 from where the linear part is.
    """
    scaled = tf.cast(step - 1, dtype) * (REFERENCE_STEPS / num_steps)
    linear = tf.maximum(1.0 - linear_decay * scaled, 0.0)
    return linear * tf.exp(-exponential_decay * scaled)


def decayed_adam_update(
    gradient: Vector,
    state: AdamState,
    learning_rate: Scalar | float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    step: Scalar,
) -> tuple[Vector, AdamState]:
    """Compute one step of Adam as the baseline has it.

        m_t = beta_1 m_{t-1} + (1 - beta_1) g_t
        v_t = beta_2 v_{t-1} + (1 - beta_2) g_t^2
        u_t = -learning_rate (m_t / (1 - beta_1^t))
              / (sqrt(v_t / (1 - beta_2^t) + 1e-10) + epsilon)

    Unlike in `adam_update`, `epsilon` is added to the root of the CORRECTED
    second moment, and 1e-10 inside that root: below 1e-5 a gradient is no
    longer scaled up to the learning rate.

    Args:
        gradient: float `[N]`, g_t.
        state: m_{t-1} and v_{t-1}, of the gradient's dtype.
        learning_rate: float, or a scalar of the gradient's dtype.
        beta_1: float in [0, 1).
        beta_2: float in [0, 1).
        epsilon: float >= 0.
        step: int scalar, t, counted from 1.

    Returns:
        `(updates, state)`; `updates` is `[N]`, to be ADDED to the params.
    """
    m = beta_1 * state.first_moment + (1.0 - beta_1) * gradient
    v = beta_2 * state.second_moment + (1.0 - beta_2) * tf.square(gradient)
    corrected_m = m / bias_correction(beta_1, step, gradient.dtype)
    corrected_v = v / bias_correction(beta_2, step, gradient.dtype)
    root = tf.sqrt(corrected_v + _INSIDE_ROOT)
    return -learning_rate * corrected_m / (root + epsilon), AdamState(m, v)


def regularised_gradient(
    gradient: Vector, params: Vector, l1: float, l2: float
) -> Vector:
    """Compute the gradient of a loss with regularisation added.

        d/dx (f(x) + l1 sum|x| + l2 sum x^2) = g + l1 sign(x) + 2 l2 x

    The convention is l2 sum x^2, without a half; the slope of |x| at 0 is 0.

    Args:
        gradient: float `[N]`, of f.
        params: float `[N]`, x.
        l1: float >= 0.
        l2: float >= 0.

    Returns:
        Float `[N]`.
    """
    return gradient + l1 * tf.sign(params) + 2.0 * l2 * params


@gin.register(module="l2o_tf.optimizers")
@keras.saving.register_keras_serializable(package="l2o_tf")
class DecayedAdam(OptimizerCell):
    """Run Adam on a regularised loss with a decaying learning rate.

    One update is `decayed_adam_update` of `regularised_gradient` at
    `learning_rate` times `decay_multiplier`. The moments see the
    regularisation; the loss that is recorded does not. Params are read, and
    kept for a backward pass, only if `l1` or `l2` is not 0.

    Args:
        learning_rate: positive float. Defaults to 0.001.
        beta_1: float in [0, 1), decay of the first moment. Defaults to 0.9.
        beta_2: float in [0, 1), decay of the second. Defaults to 0.999.
        epsilon: float >= 0, added to the root of the corrected second moment.
            Defaults to 1e-8.
        exponential_decay: float >= 0, per step of a run of 10,000. Defaults
            to 0.
        linear_decay: float >= 0, likewise; at 1e-4 the rate ends at 0.
            Defaults to 0.
        l1: float >= 0. Defaults to 0.
        l2: float >= 0. Defaults to 0.
        num_steps: int, the length of the run that the decays are stretched
            to; not one of the eight. Defaults to 10,000.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    Example:
    >>> cell = DecayedAdam(learning_rate=0.5, linear_decay=1e-4, num_steps=4)
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
        exponential_decay: float = 0.0,
        linear_decay: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        num_steps: int = REFERENCE_STEPS,
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
        self.exponential_decay = checks.real(
            "exponential_decay", exponential_decay, low=0.0
        )
        self.linear_decay = checks.real("linear_decay", linear_decay, low=0.0)
        self.l1 = checks.real("l1", l1, low=0.0)
        self.l2 = checks.real("l2", l2, low=0.0)
        self.num_steps = checks.positive_int("num_steps", num_steps)
        self.reads_params = self.l1 > 0.0 or self.l2 > 0.0
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
        """Compute one update; see the class."""
        gradient = inputs.gradient
        if self.reads_params:
            gradient = regularised_gradient(
                gradient, inputs.params, self.l1, self.l2
            )
        multiplier = decay_multiplier(
            inputs.step,
            self.num_steps,
            self.exponential_decay,
            self.linear_decay,
            gradient.dtype,
        )
        return decayed_adam_update(
            gradient,
            states,
            self.learning_rate * multiplier,
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
            "exponential_decay": self.exponential_decay,
            "linear_decay": self.linear_decay,
            "l1": self.l1,
            "l2": self.l2,
            "num_steps": self.num_steps,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
