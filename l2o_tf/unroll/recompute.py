"""Differentiate a long window a segment at a time.

A tape keeps what every step computed, so that its memory grows with the window.
Here the forward pass keeps the params and the state at the start of every S-th
step alone; the backward pass runs each segment of S steps once more under a
tape, from the last to the first, and hands dL/d(params, state) from segment to
segment. Numbers and derivatives are the tape's; for a window of U steps the
memory is U / S times (params + state), plus S steps' intermediate results, and
the forward work is done twice.

Reference: Griewank, Optimization Methods and Software, 1992 (checkpointing).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core.types import Nest, Scalar, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.unroll.carry import Carry
from l2o_tf.unroll.engine import Step, unroll


class Segments(NamedTuple):
    """How a window is cut.

    Attributes:
        steps: int, S, of a segment; the last one may be shorter.
        most: int, segments of the longest window.
        length: int32 scalar, steps of this window.
    """

    steps: int
    most: int
    length: Scalar

    @classmethod
    def of(cls, steps: int, length: Scalar | None, capacity: int) -> Segments:
        """Cut a window of `length` steps, of at most `capacity`."""
        if length is None:
            length = tf.constant(capacity)
        return cls(steps, -(-capacity // steps), length)

    @property
    def count(self) -> Scalar:
        """Return how many there are."""
        return (self.length + self.steps - 1) // self.steps

    def length_of(self, i: Scalar) -> Scalar:
        """Return the steps of segment i."""
        return tf.minimum(self.steps, self.length - i * self.steps)


class Recomputed:
    """Run a window, and pull derivatives of its losses back through it.

    Args:
        cell: the optimizer.
        optimizee: the problem.
        weights: tensors in place of the cell's weights.
        loss: what is collected of each `Step`, a scalar.
        segments: how the window is cut.
        second_derivatives: see `unroll.engine.inner_step`.
    """

    def __init__(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        weights: tuple[tf.Tensor, ...],
        loss: Callable[[Step], Scalar],
        segments: Segments,
        second_derivatives: bool,
    ) -> None:
        self._cell = cell
        self._optimizee = optimizee
        self._weights = weights
        self._loss = loss
        self._segments = segments
        self._second_derivatives = second_derivatives

    def _run(
        self, weights: tuple[tf.Tensor, ...], carry: Carry, i: Scalar
    ) -> tuple[Carry, tf.Tensor]:
        return unroll(
            self._cell,
            self._optimizee,
            carry,
            self._segments.length_of(i),
            meta_params=weights,
            second_derivatives=self._second_derivatives,
            collect=self._loss,
            capacity=self._segments.steps,
        )

    def forward(self, carry: Carry) -> tuple[Carry, tf.Tensor, Nest]:
        """Run the window.

        Returns:
            `(carry, losses, starts)`: the carry behind the window; the losses
            `[most * S]`, zero beyond its length; what `backward` needs.
        """
        most, steps = self._segments.most, self._segments.steps
        moving = carry.params, carry.states
        starts = [
            tf.TensorArray(part.dtype, most, element_shape=part.shape)
            for part in tf.nest.flatten(moving)
        ]
        losses = tf.TensorArray(carry.params.dtype, most, element_shape=[steps])

        def body(
            i: Scalar, carry: Carry, losses: tf.TensorArray, starts: list
        ) -> tuple[Scalar, Carry, tf.TensorArray, list]:
            now = tf.nest.flatten((carry.params, carry.states))
            starts = [
                array.write(i, part)
                for array, part in zip(starts, now, strict=True)
            ]
            carry, segment = self._run(self._weights, carry, i)
            return i + 1, carry, losses.write(i, segment), starts

        _, carry, losses, starts = tf.while_loop(
            lambda i, *_: i < self._segments.count,
            body,
            (tf.constant(0), carry, losses, starts),
            maximum_iterations=most,
        )
        stacked = [array.stack() for array in starts]
        starts = tf.nest.pack_sequence_as(moving, stacked)
        return carry, tf.reshape(losses.stack(), [-1]), starts

    def backward(
        self,
        carry: Carry,
        starts: Nest,
        slopes: tf.Tensor,
        d_params: Vector,
    ) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
        """Differentiate sum_t slopes_t loss_t + <d_params, params behind it>.

        Args:
            carry: before the window.
            starts: from `forward`.
            slopes: float `[most * S]`, zero beyond the window's length.
            d_params: float `[N]`.

        Returns:
            `(d weights, d states)`, with respect to the weights, by way of the
            steps, and to each float tensor of the state before the window. The
            state behind it counts as a constant.
        """
        count, steps = self._segments.count, self._segments.steps
        slopes = tf.reshape(slopes, [self._segments.most, steps])

        def body(
            back: Scalar, d_params: Vector, d_states: list, d_weights: tuple
        ) -> tuple[Scalar, Vector, list, tuple]:
            i = count - 1 - back
            params, states = tf.nest.map_structure(lambda s: s[i], starts)
            with tf.GradientTape() as tape:
                sources = params, _floats(states), self._weights
                tape.watch(sources)
                end, losses = self._run(
                    self._weights,
                    carry._replace(
                        params=params,
                        states=states,
                        step=carry.step + i * steps,
                    ),
                    i,
                )
                value = tf.tensordot(slopes[i], losses, 1)
            d_params, d_states, d_more = tape.gradient(
                (value, end.params, _floats(end.states)),
                sources,
                output_gradients=(tf.ones_like(value), d_params, d_states),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            d_weights = tf.nest.map_structure(tf.add, d_weights, d_more)
            return back + 1, d_params, d_states, d_weights

        zeros = tf.nest.map_structure(tf.zeros_like, self._weights)
        d_states = [tf.zeros_like(part) for part in _floats(carry.states)]
        *_, d_states, d_weights = tf.while_loop(
            lambda back, *_: back < count,
            body,
            (tf.constant(0), d_params, d_states, zeros),
            maximum_iterations=self._segments.most,
        )
        return d_weights, d_states


def _floats(states: Nest) -> list[tf.Tensor]:
    return [s for s in tf.nest.flatten(states) if s.dtype.is_floating]
