"""Momentum against its geometric sums."""

import math

import numpy as np
import pytest
from support.cells import feed

from l2o_tf.optimizers.momentum import Momentum

STEPS = 40


def constant_gradients(*values):
    return np.tile(np.array(values, "f8"), (STEPS, 1))


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9, 0.99])
def test_plain_updates_sum_a_constant_gradient_geometrically(mu):
    cell = Momentum(0.1, mu, dtype="float64")
    gradients = constant_gradients(2.0, -0.3)
    updates, states = feed(cell, gradients)
    t = np.arange(1, STEPS + 1)[:, np.newaxis]
    velocity = gradients * (1 - mu**t) / (1 - mu)
    np.testing.assert_allclose(updates, -0.1 * velocity, rtol=1e-12)
    np.testing.assert_allclose(states.velocity, velocity[-1], rtol=1e-12)


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9, 0.99])
def test_nesterov_updates_look_one_decay_ahead(mu):
    cell = Momentum(0.1, mu, nesterov=True, dtype="float64")
    gradients = constant_gradients(2.0, -0.3)
    updates, states = feed(cell, gradients)
    t = np.arange(1, STEPS + 1)[:, np.newaxis]
    velocity = gradients * (1 - mu**t) / (1 - mu)
    ahead = gradients + mu * velocity
    np.testing.assert_allclose(updates, -0.1 * ahead, rtol=1e-12)
    np.testing.assert_allclose(states.velocity, velocity[-1], rtol=1e-12)


def test_an_impulse_decays_by_the_momentum():
    gradients = np.zeros((6, 1), "f4")
    gradients[0] = 1.0
    plain, _ = feed(Momentum(1.0, 0.5), gradients)
    nesterov, _ = feed(Momentum(1.0, 0.5, nesterov=True), gradients)
    decay = 0.5 ** np.arange(6)
    np.testing.assert_array_equal(plain[:, 0], -decay)
    # Plain's sequence one step early, the first gradient on top.
    np.testing.assert_array_equal(
        nesterov[:, 0], -0.5 * decay - gradients[:, 0]
    )


def test_defaults():
    cell = Momentum()
    assert (cell.learning_rate, cell.momentum, cell.nesterov) == (
        0.01,
        0.9,
        False,
    )


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("momentum", -0.1),
        ("momentum", 1.0),
        ("momentum", math.nan),
        ("nesterov", "False"),
        ("nesterov", 1),
        ("nesterov", None),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        Momentum(**{argument: value})
