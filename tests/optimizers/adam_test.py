"""Adam against its closed forms, and as the original's meta-optimizer."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cells import feed, make_inputs
from support.execution import run_everywhere
from support.small_problem import DM_ARRAYS, FIXTURE, flat_weights

from l2o_tf.optimizers.adam import Adam, AdamState, bias_correction

ARRAYS = {
    "dm": DM_ARRAYS,
    "rp": ("input_projection/w", "input_projection/b", *DM_ARRAYS),
}
RELEASED = {"dm": "dm_cl_il.npz", "rp": "rnnprop_cl_il.npz"}


def test_first_float32_step_is_the_rate_against_the_sign():
    gradient = np.array([[3.0, -2e-3, 1e4, -1.0]], "f4")
    updates, _ = feed(Adam(learning_rate=0.01), gradient)
    # |u| = lr |g| / (|g| + epsilon / sqrt(1 - beta_2)), epsilon = 1e-8.
    np.testing.assert_allclose(
        updates,
        -0.01 * gradient / (np.abs(gradient) + 1e-8 / math.sqrt(0.001)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("epsilon", [0.0, 1e-8, 1e-2])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (0.95, 0.0)])
def test_constant_gradient_gives_the_corrected_epsilon_at_every_step(
    betas, epsilon
):
    # Corrected moments of a constant g are g and g^2 for every t.
    cell = Adam(0.1, *betas, epsilon, dtype="float64")
    gradients = np.tile([2.0, -0.3, 1e-3], (50, 1))
    updates, states = feed(cell, gradients)
    t = np.arange(1, 51)[:, np.newaxis]
    epsilon_t = epsilon / np.sqrt(1.0 - betas[1] ** t)
    expected = -0.1 * gradients / (np.abs(gradients) + epsilon_t)
    np.testing.assert_allclose(updates, expected, rtol=1e-11)
    np.testing.assert_allclose(
        states.first_moment, gradients[0] * (1 - betas[0] ** 50), rtol=1e-12
    )
    np.testing.assert_allclose(
        states.second_moment,
        gradients[0] ** 2 * (1 - betas[1] ** 50),
        rtol=1e-12,
    )


@settings(deadline=None)  # the first call of an operation is slow
@given(st.integers(-10, 10), st.integers(0, 2**31 - 1))
def test_without_epsilon_the_gradient_scale_does_not_matter(exponent, seed):
    gradients = np.random.RandomState(seed).randn(3, 4).astype("f4")
    cell = Adam(0.5, epsilon=0.0)
    updates, _ = feed(cell, gradients)
    scaled, _ = feed(cell, gradients * np.float32(2.0**exponent))
    np.testing.assert_allclose(scaled, updates, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.95, 0.999, 0.99999])
def test_bias_correction_is_accurate_in_float32(beta):
    steps = np.array([1, 2, 10, 1000, 10_000, 10_000_000], np.int32)
    results = run_everywhere(
        lambda t: bias_correction(beta, t, tf.float32), steps
    )
    expected = 1.0 - np.float64(beta) ** steps
    for result in results:
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, rtol=3e-7)


def test_epsilon_is_added_to_the_uncorrected_root():
    # As large an epsilon as this decides the update: u = -lr_1 m_1 / epsilon.
    updates, _ = feed(
        Adam(1.0, epsilon=1e6, dtype="float64"), np.array([[2.0]])
    )
    lr_1 = math.sqrt(0.001) / 0.1
    np.testing.assert_allclose(
        updates, [[-lr_1 * 0.2 / (math.sqrt(0.004) + 1e6)]], rtol=1e-12
    )


def test_step_comes_from_the_inputs():
    gradient = np.array([[1.0]])
    cell = Adam(0.1, epsilon=0.0, dtype="float64")
    state = AdamState(tf.zeros([1], tf.float64), tf.zeros([1], tf.float64))
    late, _ = feed(cell, gradient, state, first_step=10_000)
    correction = np.sqrt(1 - 0.999**10_000) / (1 - 0.9**10_000)
    expected = -0.1 * correction * 0.1 / np.sqrt(0.001)
    np.testing.assert_allclose(late, [[expected]], rtol=1e-10)


@pytest.mark.parametrize("epsilon", [0.0, 1e-8])
def test_derivatives_at_zero_gradient_are_finite(epsilon):
    cell = Adam(epsilon=epsilon)
    gradient = tf.constant([0.0, 1.0])
    zeros = tf.zeros([2])
    with tf.GradientTape() as tape:
        tape.watch(gradient)
        updates, states = cell.call(
            make_inputs(gradient), AdamState(zeros, zeros)
        )
        total = tf.reduce_sum(updates) + tf.reduce_sum(states.second_moment)
    slope = tape.gradient(total, gradient)
    assert np.isfinite(slope).all()
    assert slope[0] < 0.0  # towards larger gradients, larger steps down


def meta_steps(golden, net, start):
    """Yield, for both recorded meta-updates, our and their new weights."""
    arrays = ARRAYS[net]
    cell = Adam()
    weights, states = start, None
    for u in (0, 1):
        gradient = flat_weights(golden, f"{net}_meta_grad{u}", arrays)
        updates, states = feed(cell, gradient[np.newaxis], states, u + 1)
        expected = flat_weights(golden, f"{net}_meta_w{u}", arrays)
        yield weights + updates[0].numpy(), expected
        weights = expected  # the original went on from these


@pytest.mark.parametrize("net", ["dm", "rp"])
def test_meta_update_equals_the_original(net):
    golden = np.load(FIXTURE)
    start = flat_weights(golden, f"{net}_weights", ARRAYS[net])
    for weights, expected in meta_steps(golden, net, start):
        # Half of the stored rounding (2^-22) and two float32 roundings of
        # weights up to 1; a step is 1e-3.
        np.testing.assert_allclose(weights, expected, rtol=0, atol=2.5e-7)


@pytest.mark.parametrize("net", ["dm", "rp"])
def test_meta_update_of_released_weights_equals_the_original(net, shared_dir):
    golden = np.load(shared_dir / "golden" / "golden_tf114.npz")
    released = np.load(shared_dir / "weights" / RELEASED[net])
    start = np.concatenate([released[k].ravel() for k in ARRAYS[net]])
    for weights, expected in meta_steps(golden, net, start):
        np.testing.assert_allclose(weights, expected, rtol=1.2e-7, atol=6e-8)


def test_defaults_are_the_meta_optimizers():
    cell = Adam()
    assert cell.learning_rate == 0.001
    assert (cell.beta_1, cell.beta_2, cell.epsilon) == (0.9, 0.999, 1e-8)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("learning_rate", math.nan),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-3),
        ("beta_1", 1.0),
        ("beta_1", -0.1),
        ("beta_2", 1.0),
        ("beta_2", math.nan),
        ("epsilon", -1e-8),
        ("epsilon", math.inf),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        Adam(**{argument: value})
