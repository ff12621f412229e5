"""Features of gradients, computed again in NumPy."""

from __future__ import annotations

import numpy as np


def numpy_moments(gradients, beta_1=0.95, beta_2=0.95, epsilon=1e-8):
    """Compute m~ and g~ of gradients `[T, N]`, in float64."""
    m = v = np.zeros(gradients.shape[1])
    features = []
    for t, g in enumerate(gradients.astype("f8"), start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        root = np.sqrt(v / (1 - beta_2**t)) + epsilon
        features.append((m / (1 - beta_1**t) / root, g / root))
    return np.array(features)  # [T, 2, N]
