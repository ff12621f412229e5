"""Derivatives and problems by their definitions, in float64 numpy."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def central_gradient(function, x, step=1e-5):
    """Difference a scalar function of a float64 vector, both sides of x."""
    gradient = np.zeros_like(x)
    for i in range(x.size):
        shift = np.zeros_like(x)
        shift[i] = step
        gradient[i] = (function(x + shift) - function(x - shift)) / (2 * step)
    return gradient


def assert_is(problem, rendering, x, constants, rtol=1e-7):
    """Compare loss and gradient in float64 with a numpy rendering.

    Args:
        problem: an optimizee without a batch.
        rendering: function of x `[N]` and the constants, a float.
        x: array `[N]`.
        constants: nest of arrays.
        rtol: float, of the loss. The gradient may differ by 1e-6 of its
            largest entry, or of 1: as far as the differences are exact.
    """
    x = np.float64(x)
    constants = tf.nest.map_structure(np.float64, constants)
    loss, gradient = problem.loss_and_gradient(
        tf.constant(x), tf.nest.map_structure(tf.constant, constants), ()
    )
    assert loss.dtype == gradient.dtype == tf.float64
    np.testing.assert_allclose(loss, rendering(x, constants), rtol=rtol)
    expected = central_gradient(lambda v: rendering(v, constants), x)
    scale = max(np.abs(expected).max(), 1.0)
    assert np.abs(gradient - expected).max() < 1e-6 * scale


def assert_resets_are_fresh(problem, make_seed):
    """Assert that seeds decide every number of a reset."""
    first, again, other = (
        tf.nest.flatten(problem.reset(make_seed(s))) for s in (1, 1, 2)
    )
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).numpy().all()


def assert_standard_normal(values):
    """Assert mean 0, variance 1 and kurtosis 3 within 4.5 standard errors."""
    values = np.float64(values).ravel()
    n = values.size
    assert abs(values.mean()) < 4.5 / np.sqrt(n)
    assert abs(values.var() - 1) < 4.5 * np.sqrt(2 / n)
    assert abs((values**4).mean() - 3) < 4.5 * np.sqrt(96 / n)


def assert_uniform(values, low=0.0, high=1.0):
    """Assert range, mean and variance of Uniform(low, high)."""
    unit = (np.float64(values).ravel() - low) / (high - low)
    assert unit.min() > 0.0
    assert unit.max() < 1.0
    # Uniform on (0, 1): variance 1/12, of (u - 1/2)^2 1/180.
    n = unit.size
    assert abs(unit.mean() - 0.5) < 4.5 / np.sqrt(12 * n)
    assert abs(unit.var() - 1 / 12) < 4.5 / np.sqrt(180 * n)
