"""RMSProp against the algebra of its moving average."""

import math

import numpy as np
import pytest
from support.cells import feed

from l2o_tf.optimizers.rmsprop import RMSProp

STEPS = 60


def constant_gradients(*values):
    return np.tile(np.array(values, "f8"), (STEPS, 1))


def mean_squares(start, decay, gradients):
    """r_1 .. r_T for a constant gradient: d^t r_0 + (1 - d^t) g^2."""
    t = np.arange(1, STEPS + 1)[:, np.newaxis]
    return decay**t * start + (1 - decay**t) * gradients**2


@pytest.mark.parametrize("start", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_mean_square_forgets_its_start_by_the_decay(start, decay):
    cell = RMSProp(0.1, decay, initial_mean_square=start, dtype="float64")
    gradients = constant_gradients(2.0, -0.3, 1e-3)
    updates, states = feed(cell, gradients)
    r = mean_squares(start, decay, gradients)
    expected = -0.1 * gradients / np.sqrt(r + 1e-10)
    np.testing.assert_allclose(updates, expected, rtol=1e-11)
    np.testing.assert_allclose(states.mean_square, r[-1], rtol=1e-11)


def test_momentum_sums_the_scaled_gradients():
    cell = RMSProp(0.1, momentum=0.8, dtype="float64")
    gradients = constant_gradients(2.0, -0.3)
    updates, states = feed(cell, gradients)
    scaled = (
        0.1 * gradients / np.sqrt(mean_squares(1.0, 0.9, gradients) + 1e-10)
    )
    powers = 0.8 ** np.arange(STEPS)
    expected = np.stack(
        [
            np.convolve(scaled[:, i], powers)[:STEPS]
            for i in range(gradients.shape[1])
        ],
        axis=1,
    )
    np.testing.assert_allclose(updates, -expected, rtol=1e-11)
    np.testing.assert_allclose(states.momentum, expected[-1], rtol=1e-11)


def test_epsilon_is_inside_the_root():
    cell = RMSProp(1.0, epsilon=16.0, initial_mean_square=0.0, dtype="float64")
    updates, _ = feed(cell, np.array([[10.0]]))
    # r_1 = 0.1 * 100 = 10, sqrt(10 + 16) rather than sqrt(10) + 4 or + 16.
    np.testing.assert_allclose(updates, [[-10.0 / math.sqrt(26.0)]])


def test_default_start_shortens_the_first_steps_of_small_gradients():
    # Around |g| = 1e-3 the initial 1 dominates for 100 steps.
    gradients = np.full((100, 1), 1e-3, "f4")
    from_one, _ = feed(RMSProp(), gradients)
    from_zero, _ = feed(RMSProp(initial_mean_square=0.0), gradients)
    ratio = from_one.numpy() / from_zero.numpy()
    assert ratio[0] == pytest.approx(1e-3 / 3, rel=0.1)
    assert ratio[-1] < 0.2


def test_defaults_are_the_teachers():
    cell = RMSProp()
    assert (cell.learning_rate, cell.decay, cell.momentum) == (0.01, 0.9, 0.0)
    assert (cell.epsilon, cell.initial_mean_square) == (1e-10, 1.0)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("learning_rate", math.nan),
        ("learning_rate", 0.0),
        ("decay", 1.0),
        ("decay", -0.1),
        ("momentum", 1.0),
        ("momentum", math.nan),
        ("epsilon", 0.0),
        ("epsilon", -1e-10),
        ("initial_mean_square", -1.0),
        ("initial_mean_square", math.inf),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        RMSProp(**{argument: value})
