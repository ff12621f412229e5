"""Feed an optimizer cell with gradients."""

from __future__ import annotations

import tensorflow as tf

from l2o_tf.core.layout import Layout
from l2o_tf.optimizers.base import OptimizerInputs


def vector_layout(size):
    """Return the layout of one vector."""
    return Layout(("x",), ((size,),))


def make_inputs(gradient, step=1, params=()):
    """Return the inputs of a cell that does not look at the loss (it is 0)."""
    gradient = tf.convert_to_tensor(gradient)
    return OptimizerInputs(
        gradient,
        params,
        tf.zeros([], gradient.dtype),
        tf.convert_to_tensor(step, tf.int32),
    )


def feed(cell, gradients, states=None, first_step=1):
    """Apply the cell to gradients `[T, N]`, one after the other.

    Args:
        cell: an `OptimizerCell` that does not read the params.
        gradients: `[T, N]`.
        states: where to begin, by default the cell's own initial state.
        first_step: int, the number of the first update.

    Returns:
        `(updates [T, N], states)`, tensors.
    """
    gradients = tf.convert_to_tensor(gradients)
    if states is None:
        states = cell.get_initial_state(vector_layout(gradients.shape[1]))
    updates = []
    for t in range(gradients.shape[0]):
        inputs = make_inputs(gradients[t], first_step + t)
        update, states = cell.call(inputs, states)
        updates.append(update)
    return tf.stack(updates), states
