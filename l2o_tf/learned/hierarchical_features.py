"""What the hierarchical optimizer's lowest level sees of a coordinate."""

from __future__ import annotations

import math

import tensorflow as tf

from l2o_tf.core.segments import Segments
from l2o_tf.core.types import Vector
from l2o_tf.learned.hierarchical_switches import Switches


def stack_features(
    on: Switches,
    scaled: tf.Tensor,
    logarithms: tf.Tensor,
    rates: Vector,
    of: Segments,
) -> tf.Tensor:
    """Stack what GRU_0 sees, `[F, N]`; see `HierarchicalRNN`.

    Args:
        on: which features there are.
        scaled: `[S, N]`, the gradient by its scales.
        logarithms: `[S, N]`, of the mean squares.
        rates: `[N]`, the logarithms of the learning rates.
        of: the tensors of the optimizee.
    """
    stack = [scaled]
    if on.gradient_products:
        stack.append(scaled[:-1] * scaled[1:])
    if on.log_mean_squares:
        stack.append(
            logarithms - tf.reduce_mean(logarithms, axis=0, keepdims=True)
        )
    if on.relative_learning_rate:
        if on.problem_learning_rate_mean:
            mean = tf.reduce_mean(rates)
        else:
            mean = of.spread(of.mean(rates[tf.newaxis]))
        stack.append(rates[tf.newaxis] - mean)
    if on.learning_rate_shortcut:
        stack.append(rates[tf.newaxis] - math.log(1e-3))
    if on.extreme_indicator:
        low = tf.nn.relu(math.log(1e-6) - rates)
        stack.append((tf.nn.relu(rates) - low)[tf.newaxis])
    return tf.concat(stack, axis=0)
