"""SimpleOptimizer: a tanh RNN of 132 weights without a bias.

It bears the paper's name; as `SimpleRNN` it would be taken for Keras' layer,
which has a bias and shares nothing between its rows. Cost per coordinate and
step: 100 + 10 + 10 multiplications, one sum over all coordinates, 10 numbers of
state.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.learned.drawn_weight import drawn_weight
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs

AGGREGATES = ("mean", "max", "sum_over_root", "none")
_DOWNHILL_STEPS = 20
_BLOCK = 256


class SimpleState(NamedTuple):
    """The state: `hidden`, `[units, N]`, zero at reset."""

    hidden: tf.Tensor


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class SimpleOptimizer(OptimizerCell):
    """Compute each coordinate's update by a tanh RNN that hears of all others.

    For the coordinate p of N, with the raw gradient as the only input:

        h_p <- tanh(W_x^T g_p + W_h^T h_p)                  (units)
        a    = mean over p of h_p                           (units)
        u_p  = output_scale W_o^T [alpha h_p; beta a]

    alpha and beta are weights, one number each. No bias, so that u = 0 where
    g = 0 and h = 0; under zero gradients the updates die out if the recurrence
    contracts. With the defaults there are 132 weights: 10 + 100 in W_x and
    W_h, 20 in W_o, alpha and beta. The options:

        use_bias                143: + 10 inside the tanh, + 1 of the read-out
        recurrent_aggregate     232: W_h is [20, 10] and takes the old
                                [alpha h_p; beta a]; with use_bias 243
        aggregate="none"        120: 10 + 100 + 10; no alpha, which would only
                                scale W_o; with use_bias 131

    Inferred, where the paper is silent or contradicts itself: it passes
    [alpha h_p; beta a] to the next step too, but its 132 weights leave no room
    for that; which biases the ablation brings back; what is left without an
    aggregate; the initial weights; `output_scale`.

    Weights drawn at random go uphill as often as down, and then a loss without
    a bound (a ReLU network's) runs away within an episode, and the
    meta-gradient with it. So `downhill_start` turns the sign of W_o where that
    is needed, which leaves the distribution of every weight as it was. Under
    the same small gradient g the 20th update of a coordinate by itself is then

        r g,    r = output_scale alpha W_x (I + A + .. + A^19) W_o < 0

    with the part of W_o, and of a [20, 10] W_h as A, that alpha goes with.

    Args:
        units: int, defaults to 10.
        use_bias: bool, whether the biases are there. They start at 0, or as
            `initial_weights` says.
        aggregate: "mean"; "max", the largest of each unit; "sum_over_root",
            the sum divided by the root of N; "none".
        recurrent_aggregate: bool, whether W_h takes the aggregate too.
        output_scale: float, defaults to 0.1: with 1, on the base MLP, the
            first episodes of two seeds in five run away all the same.
        initial_weights: "glorot": uniform within +-sqrt(6 / (rows + columns))
            of each matrix; "pytorch": within +-1/sqrt(units), of W_o and its
            bias 1/sqrt(rows), as the framework that the paper's weight counts
            point to starts such layers.
        initial_shares: tuple of two floats, alpha and beta at the start.
        downhill_start: bool, whether r < 0 at the start; see above.
        seed: int, of the initial weights.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range, or asks something of an
            aggregate that is not there.

    References:
        "Learning to learn with better convergence", submitted to ICLR 2020;
        spec simple_optimizer.md 1.
    """

    def __init__(
        self,
        units: int = 10,
        use_bias: bool = False,
        aggregate: str = "mean",
        recurrent_aggregate: bool = False,
        output_scale: float = 0.1,
        initial_weights: str = "glorot",
        initial_shares: tuple[float, float] = (1.0, 1.0),
        downhill_start: bool = True,
        seed: int = 0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.units = checks.positive_int("units", units)
        self.use_bias = checks.boolean("use_bias", use_bias)
        self.aggregate = checks.one_of("aggregate", aggregate, AGGREGATES)
        self.recurrent_aggregate = checks.boolean(
            "recurrent_aggregate", recurrent_aggregate
        )
        self.output_scale = checks.real("output_scale", output_scale)
        self.initial_weights = checks.one_of(
            "initial_weights", initial_weights, ("glorot", "pytorch")
        )
        self.initial_shares = _check_shares(initial_shares)
        self.downhill_start = checks.boolean("downhill_start", downhill_start)
        self.seed = seed
        self.coordinatewise = aggregate == "none"
        if self.coordinatewise:
            self._check_nothing_is_shared()
        self._add_weights(seeds.make_seed(seed))
        self.built = True

    def _check_nothing_is_shared(self) -> None:
        if self.recurrent_aggregate or self.initial_shares != (1.0, 1.0):
            raise ValueError(
                'Without an aggregate (aggregate="none") there is none to put '
                "into the recurrence, and there are no shares. Received: "
                f"recurrent_aggregate={self.recurrent_aggregate}, "
                f"initial_shares={self.initial_shares}. Leave both at their "
                "defaults, or choose another aggregate."
            )

    def _add_weights(self, seed: Seed) -> None:
        units = self.units
        shared = 1 if self.coordinatewise else 2
        draw = functools.partial(self._drawn, seed)
        add = functools.partial(drawn_weight, self)
        rows = shared * units if self.recurrent_aggregate else units
        w_input = draw(0, (1, units), units)
        w_recurrent = draw(1, (rows, units), units)
        self.w_input = add("w_input", w_input)
        self.w_recurrent = add("w_recurrent", w_recurrent)
        if self.use_bias:
            self.b_hidden = add("b_hidden", draw(2, (units,), units))
        if not self.coordinatewise:
            alpha, beta = tf.constant(self.initial_shares, self.compute_dtype)
            self.alpha = add("alpha", alpha)
            self.beta = add("beta", beta)
        rows = shared * units
        w_output = draw(3, (rows, 1), rows)
        if self.downhill_start:
            uphill = self._response(w_input, w_recurrent, w_output) > 0.0
            w_output = tf.where(uphill, -w_output, w_output)
        self.w_output = add("w_output", w_output)
        if self.use_bias:
            self.b_output = add("b_output", draw(4, (1,), rows))

    def _drawn(
        self, seed: Seed, number: int, shape: tuple[int, ...], n: int
    ) -> tf.Tensor:
        """Draw a weight; `n` is what "pytorch" takes the root of."""
        if self.initial_weights == "pytorch":
            bound = 1.0 / math.sqrt(n)
        elif len(shape) == 1:
            bound = 0.0
        else:
            bound = math.sqrt(6.0 / sum(shape))
        # A symmetric range is drawn as a multiple of (-1, 1), so that a bound
        # of 0 gives zeros.
        drawn = seeds.uniform(seeds.fold_in(seed, number), shape, -1.0, 1.0)
        return bound * drawn

    def _response(
        self, w_input: tf.Tensor, w_recurrent: tf.Tensor, w_output: tf.Tensor
    ) -> tf.Tensor:
        """Compute r of the class, `[1, 1]`."""
        alpha = self.initial_shares[0]
        own = w_recurrent[: self.units]
        if self.recurrent_aggregate:
            own *= alpha
        hidden = tf.zeros_like(w_input)
        for _ in range(_DOWNHILL_STEPS):
            hidden = w_input + tf.matmul(hidden, own)
        response = tf.matmul(hidden, w_output[: self.units])
        return self.output_scale * alpha * response

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> SimpleState:
        """Return zeros, `[units, N]`."""
        del seed
        return SimpleState(
            tf.zeros([self.units, layout.size], self.compute_dtype)
        )

    def call(
        self, inputs: OptimizerInputs, states: SimpleState
    ) -> tuple[Vector, SimpleState]:
        """Compute one update; see the class."""
        hidden = self._step(inputs.gradient, states.hidden)
        output = self._mixed(self.w_output, hidden, not self.coordinatewise)[0]
        if self.use_bias:
            output += tf.convert_to_tensor(self.b_output)
        return self.output_scale * output, SimpleState(hidden)

    def activations(
        self, inputs: OptimizerInputs, states: SimpleState
    ) -> dict[str, tf.Tensor]:
        """Return what the hidden units do in one step."""
        return {"rnn/hidden": self._step(inputs.gradient, states.hidden)}

    def _step(self, gradient: Vector, hidden: tf.Tensor) -> tf.Tensor:
        """Return the new hidden units, `[units, N]`."""
        column = tf.transpose(tf.convert_to_tensor(self.w_input))
        summed = column * gradient + self._mixed(
            self.w_recurrent, hidden, self.recurrent_aggregate
        )
        if self.use_bias:
            summed += tf.convert_to_tensor(self.b_hidden)[:, tf.newaxis]
        return tf.tanh(summed)

    def _mixed(
        self, weights: keras.Variable, hidden: tf.Tensor, shared: bool
    ) -> tf.Tensor:
        """Compute W^T [alpha h; beta a], or W^T h if nothing is shared.

        The second half is one column for all coordinates, and alpha is
        multiplied into the weights: no `[2 units, N]` is ever made.
        """
        matrix = tf.convert_to_tensor(weights)
        if not shared:
            return tf.matmul(matrix, hidden, transpose_a=True)
        own, others = tf.split(matrix, 2)
        own *= tf.convert_to_tensor(self.alpha)
        others *= tf.convert_to_tensor(self.beta)
        return tf.matmul(own, hidden, transpose_a=True) + tf.matmul(
            others, self._aggregated(hidden), transpose_a=True
        )

    def _aggregated(self, hidden: tf.Tensor) -> tf.Tensor:
        """Return a, `[units, 1]`."""
        if self.aggregate == "max":
            return tf.reduce_max(hidden, axis=1, keepdims=True)
        size = hidden.shape[1]
        divisor = size if self.aggregate == "mean" else math.sqrt(size)
        return sum_over_coordinates(hidden) / divisor

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "units": self.units,
            "use_bias": self.use_bias,
            "aggregate": self.aggregate,
            "recurrent_aggregate": self.recurrent_aggregate,
            "output_scale": self.output_scale,
            "initial_weights": self.initial_weights,
            "initial_shares": self.initial_shares,
            "downhill_start": self.downhill_start,
            "seed": self.seed,
            "dtype": self.compute_dtype,
            "name": self.name,
        }


def sum_over_coordinates(columns: tf.Tensor) -> tf.Tensor:
    """Add all columns up, `[H, N]` to `[H, 1]`, exactly enough for any N.

    XLA on a CPU adds the numbers of a row one after the other: in float32 the
    mean of seven million equal ones is wrong by 4e-3 of itself. Here at most
    256 are added to one sum, then the sums likewise; the order is fixed.
    """
    size = columns.shape[1]
    while size > _BLOCK:
        blocks = -(-size // _BLOCK)
        padded = tf.pad(columns, [[0, 0], [0, blocks * _BLOCK - size]])
        table = tf.reshape(padded, [-1, _BLOCK, blocks])
        columns, size = tf.reduce_sum(table, axis=1), blocks
    return tf.reduce_sum(columns, axis=1, keepdims=True)


def _check_shares(shares: Any) -> tuple[float, float]:
    """Return alpha and beta, if they are two finite numbers."""
    if not isinstance(shares, (list, tuple)) or len(shares) != 2:
        raise ValueError(
            "`initial_shares` must be two numbers, alpha and beta. "
            f"Received: initial_shares={shares!r}."
        )
    alpha, beta = (checks.real("initial_shares", s) for s in shares)
    return alpha, beta
