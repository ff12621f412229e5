"""The backward pass of an unroll whose inputs are constants.

With the optimizee's gradients held constant, x_{t+1} = x_t + u_t has the
identity as its Jacobian, so the backward pass has only the cell to go through:

    d L / d phi = sum_t <lambda_t, d u_t / d phi>,
    lambda_t = dL/dx_{t+1} = sum_{s > t} w_s g_s                        (1)

where w_s = dL/df(x_s) and g_s was computed on the way. Each cell step is
computed again from its recorded inputs and state and differentiated by itself,
so the memory of a window of U steps is U times (state + gradient), whatever
the cell keeps inside a step, and no second pass through the optimizee is made.

Many coordinates of a coordinate-wise cell go back block by block: what it keeps
inside a step then fits a processor's cache (see unroll/blocks.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core.types import Nest, Scalar, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.unroll.blocks import cut, sum_over_blocks, worthwhile
from l2o_tf.unroll.carry import Carry, initial_states

Cotangent = Callable[
    [Scalar, OptimizerInputs, Vector, Nest], tuple[Vector, Nest]
]


class Recorded(NamedTuple):
    """What the steps of a window began with.

    Attributes:
        inputs: `OptimizerInputs`, each with a leading axis `[U]` (`()` where
            the cell does not read); shapes are static.
        states: the states before each step, leading axis `[U]`.
        length: int or int32 scalar, the steps that were made, at most U.
    """

    inputs: OptimizerInputs
    states: Nest
    length: int | Scalar

    @property
    def capacity(self) -> int:
        """U."""
        return int(self.inputs.gradient.shape[0])

    @property
    def size(self) -> int:
        """N, the coordinates."""
        return int(self.inputs.gradient.shape[-1])

    def at(self, t: Scalar) -> tuple[OptimizerInputs, Nest]:
        """Return what step t began with: inputs and state."""
        return tf.nest.map_structure(
            lambda stack: stack[t], (self.inputs, self.states)
        )

    def block(self, begin: int | Scalar, width: int) -> Recorded:
        """Return what some of the coordinates began with."""
        inputs, states = tf.nest.map_structure(
            lambda stack: cut(stack, self.size, begin, width),
            (self.inputs, self.states),
        )
        return self._replace(inputs=inputs, states=states)


def _floats(states: Nest) -> list[tf.Tensor]:
    """Return the tensors of a state that a derivative can pass through."""
    return [s for s in tf.nest.flatten(states) if s.dtype.is_floating]


def cell_adjoint(
    cell: OptimizerCell,
    meta_params: tuple[tf.Tensor, ...],
    recorded: Recorded,
    cotangent: Cotangent,
    accumulator: Nest,
) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
    """Pull cotangents of the updates back to the meta-parameters.

    Args:
        cell: the optimizer.
        meta_params: its weights, at which the derivative is taken.
        recorded: the window's steps.
        cotangent: called for t = length-1 .. 0 with (t, inputs_t, update_t,
            accumulator), returns (dL/du_t `[N]`, accumulator).
        accumulator: what `cotangent` starts with; `()` if nothing.

    Returns:
        `(dL/d meta_params, dL/d s_0)`, one tensor per weight and one per float
        tensor of the state before the window, for `initial_state_gradient`.
        The state after the window has cotangent 0: this is where
        backpropagation is truncated.
    """
    size = recorded.size
    if not cell.coordinatewise or not worthwhile(size):
        return _go_back(cell, meta_params, recorded, cotangent, accumulator)
    d_updates = _cotangents(cell, meta_params, recorded, cotangent, accumulator)

    def of_block(
        begin: int | Scalar, width: int
    ) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
        of_updates = cut(d_updates, size, begin, width)
        return _go_back(
            cell,
            meta_params,
            recorded.block(begin, width),
            lambda t, *_: (of_updates[t], ()),
            (),
        )

    return sum_over_blocks(
        of_block, size, meta_params, _floats(recorded.states)
    )


def _cotangents(
    cell: OptimizerCell,
    meta_params: tuple[tf.Tensor, ...],
    recorded: Recorded,
    cotangent: Cotangent,
    accumulator: Nest,
) -> tf.Tensor:
    """Ask for all cotangents first, `[U, N]`, those from `length` on zero."""

    def body(
        i: Scalar, accumulator: Nest, stack: tf.TensorArray
    ) -> tuple[Scalar, Nest, tf.TensorArray]:
        t = recorded.length - 1 - i
        now = recorded.at(t)
        # Computed only where the cotangent makes use of it.
        update, _ = cell.stateless_update(meta_params, *now)
        d_update, accumulator = cotangent(t, now[0], update, accumulator)
        return i + 1, accumulator, stack.write(t, d_update)

    stack = tf.TensorArray(
        recorded.inputs.gradient.dtype,
        recorded.capacity,
        element_shape=[recorded.size],
    )
    *_, stack = tf.while_loop(
        lambda i, *_: i < recorded.length,
        body,
        (tf.constant(0), accumulator, stack),
        maximum_iterations=recorded.capacity,
    )
    return stack.stack()


def _go_back(
    cell: OptimizerCell,
    meta_params: tuple[tf.Tensor, ...],
    recorded: Recorded,
    cotangent: Cotangent,
    accumulator: Nest,
) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
    """Do what `cell_adjoint` does, with all coordinates at once."""

    def body(
        i: Scalar, accumulator: Nest, d_states: list, d_meta: tuple
    ) -> tuple[Scalar, Nest, list, tuple]:
        t = recorded.length - 1 - i
        now = recorded.at(t)
        with tf.GradientTape() as tape:
            tape.watch((meta_params, _floats(now[1])))
            update, new_states = cell.stateless_update(meta_params, *now)
        d_update, accumulator = cotangent(t, now[0], update, accumulator)
        d_meta_t, d_states = tape.gradient(
            (update, _floats(new_states)),
            (meta_params, _floats(now[1])),
            output_gradients=(d_update, d_states),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        d_meta = tf.nest.map_structure(tf.add, d_meta, d_meta_t)
        return i + 1, accumulator, d_states, d_meta

    last_states = [
        tf.zeros_like(stack[0]) for stack in _floats(recorded.states)
    ]
    zeros = tf.nest.map_structure(tf.zeros_like, meta_params)
    *_, d_states, d_meta = tf.while_loop(
        lambda i, *_: i < recorded.length,
        body,
        (tf.constant(0), accumulator, last_states, zeros),
        maximum_iterations=recorded.capacity,
    )
    return d_meta, d_states


def initial_state_gradient(
    cell: OptimizerCell,
    optimizee: Optimizee,
    meta_params: tuple[tf.Tensor, ...],
    carry: Carry,
    d_states: list[tf.Tensor],
) -> tuple[tf.Tensor, ...]:
    """Pull dL/d s_0 back to the weights that an episode's first state is of.

    Args:
        cell: the optimizer.
        optimizee: the problem.
        meta_params: its weights.
        carry: before the window.
        d_states: as `cell_adjoint` returns it.

    Returns:
        One tensor per weight; zeros unless the window is the episode's first.
    """
    with tf.GradientTape() as tape:
        tape.watch(meta_params)
        states = initial_states(cell, optimizee, carry.seed, meta_params)
    d_meta = tape.gradient(
        _floats(states),
        meta_params,
        output_gradients=d_states,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    first = tf.equal(carry.step, 0)
    return tuple(tf.where(first, d, tf.zeros_like(d)) for d in d_meta)


def with_initial_gradient(
    cell: OptimizerCell,
    optimizee: Optimizee,
    meta_params: tuple[tf.Tensor, ...],
    carry: Carry,
) -> Carry:
    """Return the carry, its state depending on the weights as s_0 does.

    The same numbers; for a tape that watches `meta_params`, in the first window
    of an episode.
    """
    first = tf.equal(carry.step, 0)

    def attach(state: tf.Tensor, initial: tf.Tensor) -> tf.Tensor:
        if not state.dtype.is_floating:
            return state
        derivative = initial - tf.stop_gradient(initial)  # its value is 0
        return state + tf.where(first, derivative, tf.zeros_like(state))

    states = initial_states(cell, optimizee, carry.seed, meta_params)
    return carry._replace(
        states=tf.nest.map_structure(attach, carry.states, states)
    )
