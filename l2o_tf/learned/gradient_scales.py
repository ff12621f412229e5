"""Gradients averaged over several time scales and divided by their size.

What the optimizers of Wichrowska et al. 2017 see of a gradient. Cost: 2 S
vectors of state for S scales.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core.segments import Segments
from l2o_tf.core.types import Vector

MEAN_SQUARE_EPSILON = 1e-12
ROOT_EPSILON = 1e-16


class ScaleState(NamedTuple):
    """The averages of every scale, both `[S, N]`, from 0.

    Attributes:
        averages: a_i, of the gradient.
        mean_squares: s_i, of a_i squared.
    """

    averages: tf.Tensor
    mean_squares: tf.Tensor


def gradient_scales(
    gradient: Vector,
    state: ScaleState,
    average_decay: Vector,
    mean_square_decay: Vector,
    segments: Segments,
    chain_mean_square: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, ScaleState]:
    """Average a gradient over S time scales, and squash each average.

        d_1 = average_decay,  d_{i+1} = sqrt(d_i)
        a_i' = (1 - d_i) g + d_i a_i
        e_i = 0 where s_i is 0 in all of a tensor, else mean_square_decay
        s_i' = (1 - e_i) (a_i'^2 + 1e-12) + e_i s_i
        G_i = asinh(a_i' / sqrt(s_i' + 1e-16))

    One scale alone does not average: a_1' = g.

    A tensor's very first gradient so gives G = asinh(+-1) = +-0.881 at every
    scale, whatever its size.

    Args:
        gradient: float `[N]`, g.
        state: a_i and s_i.
        average_decay: float `[N]` in [0, 1].
        mean_square_decay: float `[N]` in [0, 1].
        segments: of the layout.
        chain_mean_square: bool, whether e_i is chained by square roots too.

    Returns:
        `(G [S, N], ln(s' + 1e-16) [S, N], state)`.

    References:
        Wichrowska et al., ICML 2017, sections 3.2.2-3.2.3; spec l2o_scale.md
        2.4.
    """
    scales = state.averages.shape[0]
    if scales == 1:
        averages = gradient[tf.newaxis]
    else:
        decays = _chain(average_decay, scales)
        averages = (1.0 - decays) * gradient + decays * state.averages
    if chain_mean_square:
        square_decays = _chain(mean_square_decay, scales)
    else:
        square_decays = mean_square_decay[tf.newaxis]
    # A sum of numbers >= 0 is 0 if and only if all of them are.
    sums = segments.sum(tf.stop_gradient(state.mean_squares))
    begun = tf.cast(sums > 0.0, gradient.dtype)
    square_decays = square_decays * segments.spread(begun)
    mean_squares = (1.0 - square_decays) * (
        tf.square(averages) + MEAN_SQUARE_EPSILON
    ) + square_decays * state.mean_squares
    ratios = averages / tf.sqrt(mean_squares + ROOT_EPSILON)
    # The textbook's asinh, as in the original program; |ratio| stays small.
    squashed = tf.math.log(ratios + tf.sqrt(1.0 + tf.square(ratios)))
    logarithms = tf.math.log(mean_squares + ROOT_EPSILON)
    return squashed, logarithms, ScaleState(averages, mean_squares)


def _chain(decay: Vector, scales: int) -> tf.Tensor:
    """Return `[S, N]`: decay, and its square roots, each of the one before."""
    chain = [decay]
    for _ in range(scales - 1):
        chain.append(_root(chain[-1]))
    return tf.stack(chain)


def _root(numbers: Vector) -> Vector:
    """Compute the square root, with slope 0 at 0.

    A new episode's decays are constants 0, where the true slope is infinite.
    """
    positive = numbers > 0.0
    safe = tf.where(positive, numbers, tf.ones_like(numbers))
    return tf.where(positive, tf.sqrt(safe), tf.zeros_like(numbers))
