"""Metz et al.'s learned optimizer: an MLP applied to every coordinate.

It is named `MetzMLP` as `DMLSTM` is: whose it is, and what; `MLP` is an
optimizee. Cost per coordinate and step, by default: 12 x 32 + 32 x 2
multiplications, a sum over the tensor for each of 7 numbers, and 5 numbers of
state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.segments import Segments, segments
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.learned.linear import Linear
from l2o_tf.learned.state_layout import layout_of, with_layout
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs

NORM_EPSILON = 1e-5
"""Added to the mean square that a feature is divided by the root of."""
SECOND_MOMENT_EPSILON = 1e-6
"""Added to r, the second moment that stays 0."""

_INVERSE_ROOT = 1.0 / math.sqrt(SECOND_MOMENT_EPSILON)


class MetzMLPState(NamedTuple):
    """The state; its type knows the layout.

    Attributes:
        moments: `[D, N]`, a row per decay, zero at reset.
    """

    moments: tf.Tensor


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class MetzMLP(OptimizerCell):
    """Compute each coordinate's direction and step size by a shared MLP.

    With g a coordinate's gradient, w its parameter and, for each of the D
    decays b, an average that begins at 0 and is not corrected for that:

        m_b <- b m_b + (1 - b) g
        y    = [g, m_b / sqrt(r + 1e-6), w, m_b, r, 1 / sqrt(r + 1e-6)]
               (1 + D + 1 + D + D + D numbers; r = 0, see below)
        x_i  = y_i / sqrt(1e-5 + mean over the tensor of y_i^2)
        z_s  = tanh((t - 1) / s - 1)         for each of the S time scales s
        d, a = linear(relu(linear([x, z])))  (all but the last layer: ReLU)
        u    = -step_multiplier d exp(exponent_multiplier a)

    t is `inputs.step`, so that time is 0 at the first step. The authors keep
    second moments r but never update them: they stay 0. So of the 31 inputs
    the 5 of r are 0 and the 5 of 1/sqrt(r + 1e-6) are 1, biases in fact. The
    5 of 1000 m_b do not see its scale down to gradients of 3e-6, as
    1000 m_b = y_i divides it by sqrt(1e-11 + mean of m_b^2); the 5 of m_b do
    from 3e-3 downwards. A number that all coordinates share is multiplied by
    its weights once, into the first layer's bias: the result is the authors',
    so are weights and their initial spread, and 12 inputs are left to pay for.

    With the defaults there are 31 x 32 + 32 + 32 x 2 + 2 = 1,090 weights. No
    momentum and no time are the ablations of Metz et al.'s Figure 8:

        decays=()                     450: 11 inputs, g, w and time
        time_scales=()                802: 22 inputs
        both                          162: 2 inputs
        second_moment_features=False  610: 16 inputs, none of r

    The same model as learned_optimization has it, `LEARNED_OPTIMIZATION` here,
    has no r, two hidden layers, 6 decays, 11 time scales: 1,762 weights, 706
    with one hidden layer; 1,570 without momentum, 1,410 without time.

    Weights start from a truncated normal of sigma 1/sqrt(inputs of the layer),
    biases at 0, as the libraries do that both programs use.

    Args:
        units: tuple of int, one per hidden layer. Defaults to `(32,)`.
        decays: tuple of D floats in [0, 1). Defaults to 0.5, 0.9, .. 0.9999;
            `()` for no momentum, nor anything of r.
        time_scales: tuple of S positive floats, defaults to 3, 10, .. 10,000
            and 300,000, as the authors wrote it; `()` for no time.
        second_moment_features: bool, whether the inputs of r are there.
        step_multiplier: float, defaults to 0.001.
        exponent_multiplier: float, defaults to 0.001.
        seed: int, of the initial weights.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Metz et al., "Understanding and correcting pathologies in the training
        of learned optimizers", ICML 2019, https://arxiv.org/abs/1810.10180;
        spec metz.md 1.2 (the authors' program) and 1.3.
    """

    reads_params = True

    def __init__(
        self,
        units: tuple[int, ...] = (32,),
        decays: tuple[float, ...] = (0.5, 0.9, 0.99, 0.999, 0.9999),
        time_scales: tuple[float, ...] = (
            3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e5,
        ),
        second_moment_features: bool = True,
        step_multiplier: float = 0.001,
        exponent_multiplier: float = 0.001,
        seed: int = 0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        self.units = _check_units(units)
        self.decays = tuple(
            checks.real("decays", d, 0.0, 1.0, high_open=True)
            for d in _sequence("decays", decays)
        )
        self.time_scales = tuple(
            checks.real("time_scales", s, low=0.0, low_open=True)
            for s in _sequence("time_scales", time_scales)
        )
        self.second_moment_features = checks.boolean(
            "second_moment_features", second_moment_features
        )
        self.step_multiplier = checks.real("step_multiplier", step_multiplier)
        self.exponent_multiplier = checks.real(
            "exponent_multiplier", exponent_multiplier
        )
        self.seed = seed
        root = seeds.make_seed(seed)
        sizes = (self._input_size(), *self.units, 2)
        self.linears = [
            Linear(
                sizes[i],
                sizes[i + 1],
                seeds.fold_in(root, i),
                name=f"linear_{i + 1}",
                dtype=dtype,
            )
            for i in range(len(sizes) - 1)
        ]
        self.built = True

    def _input_size(self) -> int:
        per_decay = 4 if self.second_moment_features else 1
        return 2 + per_decay * len(self.decays) + len(self.time_scales)

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> MetzMLPState:
        """Return zero moments."""
        del seed
        return with_layout(MetzMLPState, layout)(
            tf.zeros([len(self.decays), layout.size], self.compute_dtype)
        )

    def call(
        self, inputs: OptimizerInputs, states: MetzMLPState
    ) -> tuple[Vector, MetzMLPState]:
        """Compute one update; see the class."""
        of = segments(layout_of(states))
        moments = self._averaged(inputs.gradient, states.moments)
        columns = self._columns(inputs, moments, of)
        first, *others = self.linears
        outputs = first.call(columns, self._shared(inputs.step))
        for linear in others:
            outputs = linear.call(tf.nn.relu(outputs))
        direction, exponent = tf.unstack(outputs)
        size = self.step_multiplier * tf.exp(
            self.exponent_multiplier * exponent
        )
        return -size * direction, states._replace(moments=moments)

    def _averaged(self, gradient: Vector, moments: tf.Tensor) -> tf.Tensor:
        """Return the new m, `[D, N]`."""
        decays = self._column(self.decays)
        rest = self._column([1.0 - decay for decay in self.decays])
        return decays * moments + rest * gradient

    def _column(self, numbers: Sequence[float]) -> tf.Tensor:
        """Return the numbers as `[F, 1]`."""
        return tf.constant(numbers, self.compute_dtype, shape=[len(numbers), 1])

    def _columns(
        self, inputs: OptimizerInputs, moments: tf.Tensor, of: Segments
    ) -> tf.Tensor:
        """Return the x that differ between coordinates, in their order."""
        gradient = inputs.gradient[tf.newaxis]
        params = inputs.params[tf.newaxis]
        squares = tf.square(tf.concat([gradient, moments, params], axis=0))
        g, m, w = tf.split(of.mean(squares), [1, len(self.decays), 1])
        columns = [gradient, params, moments]
        means = [g + NORM_EPSILON, w + NORM_EPSILON, m + NORM_EPSILON]
        if self.second_moment_features:
            # 1000 m / sqrt(1e-5 + mean of (1000 m)^2), both over 1000.
            columns.insert(1, moments)
            means.insert(1, m + NORM_EPSILON * SECOND_MOMENT_EPSILON)
        factors = tf.math.rsqrt(tf.concat(means, axis=0))  # [F, P]
        return tf.concat(columns, axis=0) * of.spread(factors)

    def _shared(self, step: Scalar) -> tf.Tensor | None:
        """Return the inputs that all coordinates share, `[C, 1]`."""
        parts = []
        if self.decays and self.second_moment_features:
            size = math.sqrt(NORM_EPSILON + _INVERSE_ROOT**2)
            constants = [0.0] * len(self.decays)
            constants += [_INVERSE_ROOT / size] * len(self.decays)
            parts.append(self._column(constants))
        if self.time_scales:
            time = tf.cast(step - 1, self.compute_dtype)
            parts.append(tf.tanh(time / self._column(self.time_scales) - 1.0))
        return tf.concat(parts, axis=0) if parts else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "units": self.units,
            "decays": self.decays,
            "time_scales": self.time_scales,
            "second_moment_features": self.second_moment_features,
            "step_multiplier": self.step_multiplier,
            "exponent_multiplier": self.exponent_multiplier,
            "seed": self.seed,
            "dtype": self.compute_dtype,
            "name": self.name,
        }


LEARNED_OPTIMIZATION: dict[str, Any] = {
    "units": (32, 32),
    "decays": (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999),
    "time_scales": (
        1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5,
    ),
    "second_moment_features": False,
}  # fmt: skip
"""The arguments of learned_optimization's model; see `MetzMLP`."""


def _sequence(name: str, values: Any) -> Sequence[Any]:
    """Return the values, if they are a tuple or a list."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(
            f"`{name}` must be a tuple of numbers. Received: {name}={values!r}."
        )
    return values


def _check_units(units: Any) -> tuple[int, ...]:
    """Return the sizes of the hidden layers, if there is one."""
    sizes = tuple(
        checks.positive_int("units", u) for u in _sequence("units", units)
    )
    if not sizes:
        raise ValueError(
            "A MetzMLP needs at least one hidden layer. Received: units=()."
        )
    return sizes
