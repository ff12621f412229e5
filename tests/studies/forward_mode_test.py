"""Slopes carried forwards are those of backpropagation through a window."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic, NoisyQuadratic

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.studies.forward_mode import (
    Ray,
    first_learned,
    learn_episode,
)
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import inner_step

HORIZON = 12
ONE = tf.ones([1], tf.float64)
NOISY = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])

# After an episode only, when the slopes are known: it changes nothing here.
STILL = SGD(0.1, dtype="float64")


def forwards(
    cell,
    problem,
    direction,
    second=True,
    jit_compile=False,
    meta_optimizer=STILL,
):
    """Return a compiled function of the window and the period."""

    def episode(window, period):
        return learn_episode(
            cell,
            problem,
            meta_optimizer,
            Ray(cell.meta_params(), direction),
            first_learned(meta_optimizer),
            seeds.make_seed(3),
            window,
            period,
            HORIZON,
            second,
        )

    run = compiled(episode, jit_compile)

    def of_lengths(window, period=HORIZON):
        return run(tf.constant(window), tf.constant(period))

    of_lengths.traces = run.experimental_get_tracing_count
    return of_lengths


def backwards(cell, problem, window, second=True):
    """Return each window's meta-gradient, [windows, M]."""
    estimator = TruncatedBackpropagation(
        window, second_derivatives=second, backward="tape"
    )

    def run(carry):
        return estimator.estimate(cell, problem, cell.meta_params(), carry)

    run = compiled(run, False)
    carry = start_episode(cell, problem, seeds.make_seed(3))
    found = []
    for _ in range(HORIZON // window):
        estimate, carry = run(carry)
        found.append(estimate.meta_gradient.numpy())
    return np.array(found)


@pytest.mark.parametrize("second", [True, False])
def test_every_windows_gradient_is_truncated_backpropagations(second):
    cell = LearnableSGD(0.11, dtype="float64")
    run = forwards(cell, NOISY, ONE, second)
    for window in (1, 3, 12):
        _, record = run(window)
        sums = record.slopes.numpy().reshape(-1, window).sum(1)
        expected = backwards(cell, NOISY, window, second)[:, 0]
        np.testing.assert_allclose(sums, expected, rtol=1e-11)
    assert run.traces() == 1


def test_second_derivatives_make_a_difference():
    cell = LearnableSGD(0.11, dtype="float64")
    with_them, without = (
        forwards(cell, NOISY, ONE, s)(HORIZON)[1].slopes.numpy().sum()
        for s in (True, False)
    )
    assert abs(with_them - without) > 0.02 * abs(with_them)


def test_a_direction_is_a_directional_derivative_through_adam_and_a_network():
    network = MLP(
        synthetic_images(),
        "train",
        (4,),
        "relu",
        batch_size=8,
        init_stddev=0.3,
    )
    cell = TrainableAdam(0.03)
    direction = tf.constant([1.0, 0.5, -2.0, 0.25])
    run = forwards(
        cell, network, direction, jit_compile=True, meta_optimizer=SGD(0.1)
    )
    _, record = run(6)
    expected = backwards(cell, network, 6) @ direction.numpy()
    np.testing.assert_allclose(
        record.slopes.numpy().reshape(2, 6).sum(1), expected, rtol=1e-4
    )


def test_losses_are_those_of_the_trajectory_whatever_the_window():
    cell = LearnableSGD(0.11, dtype="float64")
    run = forwards(cell, NOISY, ONE)
    short, long = (run(w)[1].losses.numpy() for w in (1, 12))
    np.testing.assert_array_equal(short, long)
    _, record = forwards(cell, NOISY, 0.0 * ONE)(12)
    np.testing.assert_array_equal(record.losses, long)
    np.testing.assert_array_equal(record.slopes, np.zeros(HORIZON))


def test_an_update_comes_after_each_period_from_its_mean_slope():
    cell = LearnableSGD(0.11, dtype="float64")
    learned, record = forwards(cell, NOISY, ONE)(2, 4)
    means = record.slopes.numpy().reshape(3, 4).mean(1)
    # Gradient descent at rate 0.1.
    thetas = np.concatenate([[0.0], -0.1 * np.cumsum(means)])
    after = thetas[np.arange(1, HORIZON + 1) // 4]
    np.testing.assert_allclose(record.thetas, after, rtol=1e-12)
    assert float(learned.theta) == pytest.approx(thetas[-1])
    assert int(learned.updates) == 3


def test_the_steps_after_an_update_use_the_new_weights():
    start = 0.11
    _, record = forwards(LearnableSGD(start, dtype="float64"), NOISY, ONE)(4, 4)
    rates = start + np.concatenate([[0.0], record.thetas.numpy()[:-1]])
    carry = start_episode(
        LearnableSGD(dtype="float64"), NOISY, seeds.make_seed(3)
    )
    losses = []
    for rate in rates:
        cell = LearnableSGD(rate, dtype="float64")
        carry, step = inner_step(cell, NOISY, carry)
        losses.append(float(step.loss))
    assert len(set(rates)) == 3
    np.testing.assert_allclose(record.losses, losses, rtol=1e-12)


def test_an_update_without_a_finite_gradient_is_skipped():
    steep = DiagonalQuadratic([1e200], [1.0])
    cell = LearnableSGD(1.0, dtype="float64")
    learned, record = forwards(cell, steep, ONE)(4, 4)
    assert not np.isfinite(record.slopes.numpy()).all()
    np.testing.assert_array_equal(record.thetas, np.zeros(HORIZON))
    assert int(learned.updates) == 0
