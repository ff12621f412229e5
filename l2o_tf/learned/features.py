"""What a learned optimizer sees of a gradient.

Features are stacked features-first, `[F, N]`: with coordinates in the last
axis, elementwise work is contiguous and vectorises whatever F is.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from l2o_tf.core.types import Scalar, Vector
from l2o_tf.optimizers.adam import AdamState, bias_correction

FLOAT32_EPSILON = float(np.finfo(np.float32).eps)  # 2**-23


def log_and_sign(gradient: Vector, k: float) -> tf.Tensor:
    """Describe a gradient by its logarithm and its sign.

        log part  = max(ln(|g| + eps) / k, -1),     eps = 2**-23
        sign part = min(max(g e^k, -1), 1)

    The log part has no upper clamp; it sits at -1 for |g| <= e^-k. A zero
    gradient gives (-1, 0).

    Args:
        gradient: float `[N]`.
        k: positive float, 5 in the paper.

    Returns:
        `[2, N]`: log part, sign part.

    References:
        Andrychowicz et al., NeurIPS 2016, appendix A (with eps added, as in
        the released program).
    """
    log_part = tf.maximum(
        tf.math.log(tf.abs(gradient) + FLOAT32_EPSILON) / k, -1.0
    )
    sign_part = tf.clip_by_value(gradient * math.exp(k), -1.0, 1.0)
    return tf.stack([log_part, sign_part])


def identity(gradient: Vector) -> tf.Tensor:
    """Return the raw gradient as one feature, `[1, N]`."""
    return gradient[tf.newaxis]


def normalized_moments(
    gradient: Vector,
    moments: AdamState,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    step: Scalar,
) -> tuple[Vector, Vector, AdamState]:
    """Divide the averaged and the present gradient by their root mean square.

        m_t = beta_1 m_{t-1} + (1 - beta_1) g_t,    m^ = m_t / (1 - beta_1^t)
        v_t = beta_2 v_{t-1} + (1 - beta_2) g_t^2,  v^ = v_t / (1 - beta_2^t)
        m~  = m^ / (sqrt(v^) + epsilon),            g~ = g_t / (sqrt(v^) + eps.)

    At t = 1 both are sign(g); later |g~| <= sqrt(1 / (1 - beta_2)). A gradient
    that has been 0 so far gives 0.

    Args:
        gradient: float `[N]`, g_t.
        moments: m_{t-1}, v_{t-1}.
        beta_1: float in [0, 1).
        beta_2: float in [0, 1).
        epsilon: positive float.
        step: int scalar, t, counted from 1.

    Returns:
        `(m~ [N], g~ [N], moments)`.
    """
    m = beta_1 * moments.first_moment + (1.0 - beta_1) * gradient
    v = beta_2 * moments.second_moment + (1.0 - beta_2) * tf.square(gradient)
    corrected_m = m / bias_correction(beta_1, step, gradient.dtype)
    corrected_v = v / bias_correction(beta_2, step, gradient.dtype)
    # The root has an infinite slope at 0, where every unused coordinate is.
    tiny = np.finfo(v.dtype.as_numpy_dtype).tiny
    scale = tf.sqrt(tf.maximum(corrected_v, tiny)) + epsilon
    return corrected_m / scale, gradient / scale, AdamState(m, v)
