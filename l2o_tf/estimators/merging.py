"""From many estimates of one meta-gradient to one."""

from __future__ import annotations

import tensorflow as tf

from l2o_tf.core.types import Scalar, Vector


def mean_and_variance(
    samples: tf.Tensor, kept: tf.Tensor
) -> tuple[Vector, Vector]:
    """Return the mean and the unbiased variance of every element, float64.

        mean = sum_b x_b / n,    variance = sum_b (x_b - mean)^2 / (n - 1)

    over the n samples that are kept. Where one of them is not finite, the mean
    is 0 and the variance infinite: nothing is known there. With n < 2 nothing
    is known of any variance: NaN.

    Args:
        samples: float `[B, M]`.
        kept: bool `[B]`.
    """
    x = tf.cast(samples, tf.float64)
    chosen = kept[:, tf.newaxis]
    x = tf.where(chosen, x, tf.zeros_like(x))
    known = tf.reduce_all(tf.math.is_finite(x), axis=0)
    x = tf.where(known, x, tf.zeros_like(x))
    count = tf.reduce_sum(tf.cast(kept, tf.float64))
    mean = tf.reduce_sum(x, axis=0) / count
    squares = tf.where(chosen, (x - mean) ** 2, tf.zeros_like(x))
    nan = tf.constant(float("nan"), tf.float64)
    variance = tf.reduce_sum(squares, axis=0) / tf.where(
        count > 1, count - 1, nan
    )
    infinite = tf.fill(tf.shape(variance), tf.constant(float("inf"), x.dtype))
    return mean, tf.where(known, variance, infinite)


def inverse_variance_mean(
    score: tuple[Vector, Vector],
    pathwise: tuple[Vector, Vector],
    floor: Scalar | float,
) -> Vector:
    """Average two estimates of a gradient by their precision, per element.

        g = (g_s / v_s + g_p / v_p) / (1 / v_s + 1 / v_p)
          = g_s w + g_p (1 - w),    w = sigmoid(ln v_p - ln v_s)

    with `floor` added to both variances. As a difference of logarithms the
    weight is right for any ratio of variances; an infinite one has weight 0.
    Where both are infinite, g is NaN.

    Args:
        score: `(mean, variance)`, float64 `[M]`.
        pathwise: likewise.
        floor: float >= 0.

    References:
        Metz et al., ICML 2019, equation 1; spec metz.md 5.
    """
    (g_s, v_s), (g_p, v_p) = score, pathwise
    difference = tf.math.log(v_p + floor) - tf.math.log(v_s + floor)
    # Equal variances, 0 too, must give 1/2, not the NaN of -inf + inf.
    equal = tf.math.is_finite(v_s) & (v_s == v_p)
    difference = tf.where(equal, tf.zeros_like(v_s), difference)
    # Each weight by itself: where one rounds to 1, the other is not 0.
    return g_s * tf.sigmoid(difference) + g_p * tf.sigmoid(-difference)


def log_mean(variance: Vector) -> Scalar:
    """Return log10 of the mean over the elements, float32."""
    mean = tf.reduce_mean(variance)
    ten = tf.constant(10.0, tf.float64)
    return tf.cast(tf.math.log(mean) / tf.math.log(ten), tf.float32)
