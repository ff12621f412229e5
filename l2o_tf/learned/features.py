"""What a learned optimizer sees of a gradient.

Every function turns `[N]` into features-first `[F, N]`: with coordinates in
the last axis, elementwise work is contiguous and vectorises whatever F is.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from l2o_tf.core.types import Vector

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
