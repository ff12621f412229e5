"""The five rules against Keras' optimizers, where the rules coincide.

100 random steps in float64. What has to be set for that: Keras' Adam adds the
same epsilon in the same place; its Adagrad adds epsilon inside the root as
ours; its RMSprop too, but starts from a mean square of 0; its SGD keeps the
velocity in units of steps, which is the same at a constant rate. Keras rounds
rates, momentum and the betas of Adam's correction to float32 on the way, hence
constants that float32 holds exactly (with 0.999, the two Adams are 7e-6 apart).
"""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cells import make_inputs, vector_layout

from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD

STEPS, SIZE = 100, 5
RATES = (2.0**-10, 2.0**-3)
DECAYS = (0.5, 1.0 - 2.0**-7)


def grid(*axes):
    return list(itertools.product(*axes))


def random_gradients():
    """Normal numbers of sizes from 1e-3 to 10."""
    rng = np.random.RandomState(5)
    size = 10.0 ** rng.uniform(-3, 1, (STEPS, SIZE))
    return rng.randn(STEPS, SIZE) * size


def assert_same_path(cell, reference):
    """Assert that both optimizers visit the same points from 0."""
    states = cell.get_initial_state(vector_layout(SIZE))
    variable = keras.Variable(np.zeros(SIZE), dtype="float64")
    params = tf.zeros([SIZE], tf.float64)
    for t, gradient in enumerate(random_gradients(), start=1):
        gradient = tf.constant(gradient)
        updates, states = cell.call(make_inputs(gradient, t), states)
        params += updates
        reference.apply([gradient], [variable])
        np.testing.assert_allclose(
            params,
            variable.numpy(),
            rtol=1e-9,
            atol=1e-12,
            err_msg=f"The paths part at step {t} of {STEPS}.",
        )


@pytest.mark.parametrize("rate", RATES)
def test_sgd(rate):
    assert_same_path(SGD(rate, dtype="float64"), keras.optimizers.SGD(rate))


@pytest.mark.parametrize(
    ("rate", "momentum", "nesterov"),
    grid(RATES, DECAYS, (False, True)),
)
def test_momentum(rate, momentum, nesterov):
    assert_same_path(
        Momentum(rate, momentum, nesterov, dtype="float64"),
        keras.optimizers.SGD(rate, momentum, nesterov),
    )


@pytest.mark.parametrize(
    ("rate", "beta_1", "beta_2", "epsilon"),
    grid(RATES, (0.5, 0.875), (1 - 2.0**-5, 1 - 2.0**-10), (1e-8, 1e-2)),
)
def test_adam(rate, beta_1, beta_2, epsilon):
    assert_same_path(
        Adam(rate, beta_1, beta_2, epsilon, dtype="float64"),
        keras.optimizers.Adam(rate, beta_1, beta_2, epsilon),
    )


@pytest.mark.parametrize(
    ("rate", "decay", "momentum", "epsilon"),
    grid(RATES, DECAYS, (0.0, 0.875), (1e-10, 1e-2)),
)
def test_rmsprop(rate, decay, momentum, epsilon):
    assert_same_path(
        RMSProp(
            rate,
            decay,
            momentum,
            epsilon,
            initial_mean_square=0.0,
            dtype="float64",
        ),
        keras.optimizers.RMSprop(rate, decay, momentum, epsilon),
    )


@pytest.mark.parametrize(
    ("rate", "start", "epsilon"), grid(RATES, (0.25, 1.0), (1e-7, 1e-2))
)
def test_adagrad(rate, start, epsilon):
    assert_same_path(
        Adagrad(rate, start, epsilon, dtype="float64"),
        keras.optimizers.Adagrad(rate, start, epsilon),
    )


def test_failure_names_the_step():
    # Two rules that are the same at the first step and part at the second.
    with pytest.raises(AssertionError, match="part at step 2 of 100"):
        assert_same_path(
            Momentum(0.125, dtype="float64"), keras.optimizers.SGD(0.125)
        )
