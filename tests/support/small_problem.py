"""The 15-coordinate optimizee of the golden files, and how they name things."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from l2o_tf.core.layout import Layout
from l2o_tf.optimizees.base import Optimizee

FIXTURE = (
    pathlib.Path(__file__).parents[1] / "fixtures" / "dm_rnnprop_random.npz"
)
DM_ARRAYS = (
    "lstm_1/w_gates",
    "lstm_1/b_gates",
    "lstm_2/w_gates",
    "lstm_2/b_gates",
    "linear/w",
    "linear/b",
)


RNNPROP_ARRAYS = ("input_projection/w", "input_projection/b", *DM_ARRAYS)


class SmallProblem(Optimizee):
    """Mean over rows of the sum over columns of (tanh(A a + b) - Y)^2."""

    def __init__(self, golden, scale=None) -> None:
        self.layout = Layout(("a", "b"), ((4, 3), (3,)))
        self.golden = golden
        self.scale = scale

    def start(self):
        start = self.layout.flatten(
            [tf.constant(self.golden[f"prob_{k}0"]) for k in "ab"]
        )
        return start if self.scale is None else start / self.scale

    def reset(self, seed):
        return self.start(), ()

    def sample(self, seed):
        return ()

    def loss(self, params, constants, batch):
        if self.scale is not None:
            params = params * self.scale
        a, b = self.layout.split(params)
        output = tf.tanh(tf.matmul(self.golden["prob_A"], a) + b)
        error = tf.reduce_sum((output - self.golden["prob_Y"]) ** 2, axis=1)
        return tf.reduce_mean(error)


def flat_weights(golden, prefix, arrays=DM_ARRAYS):
    """Lay the golden arrays `<prefix>:<array>` end to end."""
    return np.concatenate([golden[f"{prefix}:{k}"].ravel() for k in arrays])


def relative_error(actual, expected):
    """Return the largest difference on the scale of the largest entry."""
    expected = np.asarray(expected, np.float64)
    scale = np.abs(expected).max()
    return np.abs(np.asarray(actual, np.float64) - expected).max() / scale
