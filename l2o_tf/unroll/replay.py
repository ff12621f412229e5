"""A learned optimizer run on recorded inputs: it follows, it does not steer."""

from __future__ import annotations

import tensorflow as tf

from l2o_tf.core.types import Nest, Scalar
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


def replay(
    cell: OptimizerCell,
    meta_params: tuple[tf.Tensor, ...] | None,
    inputs: OptimizerInputs,
    states: Nest,
    length: int,
) -> tuple[tf.Tensor, Nest, Nest]:
    """Feed recorded inputs to a cell, whatever its updates are.

        u_t, s_{t+1} = cell(inputs_t, s_t),    t = 0 .. length - 1

    Args:
        cell: the optimizer.
        meta_params: tensors in place of the cell's weights, or None.
        inputs: `OptimizerInputs`, each with a leading axis `[length]` (`()`
            where the cell does not read).
        states: s_0.
        length: int.

    Returns:
        `(updates [length, N], states before each step, leading axis [length],
        states after the last)`.
    """
    states = tf.nest.map_structure(tf.convert_to_tensor, states)

    def array(like: tf.Tensor) -> tf.TensorArray:
        return tf.TensorArray(like.dtype, length, element_shape=like.shape)

    def body(
        t: Scalar, states: Nest, updates: tf.TensorArray, before: list
    ) -> tuple[Scalar, Nest, tf.TensorArray, list]:
        now = tf.nest.map_structure(lambda stack: stack[t], inputs)
        flat = tf.nest.flatten(states)
        before = [
            a.write(t, value) for a, value in zip(before, flat, strict=True)
        ]
        update, states = cell.stateless_update(meta_params, now, states)
        return t + 1, states, updates.write(t, update), before

    _, last, updates, before = tf.while_loop(
        lambda t, *_: t < length,
        body,
        (
            tf.constant(0),
            states,
            array(inputs.gradient[0]),
            [array(leaf) for leaf in tf.nest.flatten(states)],
        ),
        maximum_iterations=length,
    )
    stacked = [a.stack() for a in before]
    return updates.stack(), tf.nest.pack_sequence_as(states, stacked), last
