"""Meta-losses: the sum, one loss, and derivatives of any of them."""

import gin
import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic
from support.execution import assert_same_everywhere
from support.numerical import central_gradient

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.meta_losses import (
    LogRatio,
    LossAt,
    MeanAfterUpdates,
    MetaLoss,
    SumOfLosses,
    WeightedDifference,
)


class MeanLog(MetaLoss):
    """A meta-loss whose weights depend on the losses."""

    def of(self, window):
        return tf.reduce_mean(tf.math.log(window.losses))


def test_the_mean_after_updates_leaves_the_start_out():
    losses = tf.constant([100.0, 2.0, 4.5, 1.0])
    value, weights = MeanAfterUpdates().value_and_weights(losses)
    assert value.numpy() == 2.5
    np.testing.assert_allclose(weights, [0.0, 1 / 3, 1 / 3, 1 / 3])
    shorter = tf.constant([100.0, 2.0, 4.0, 0.0])
    assert MeanAfterUpdates()(shorter, None, tf.constant(2)).numpy() == 3.0


def test_the_sum_has_every_term_once():
    losses = tf.constant([1.0, 2.0, 4.5])
    value, weights = SumOfLosses().value_and_weights(losses)
    assert value.numpy() == 7.5
    assert SumOfLosses()(losses).numpy() == 7.5
    np.testing.assert_array_equal(weights, [1.0, 1.0, 1.0])


def test_the_weights_are_the_derivatives():
    losses = np.array([1.0, 2.0, 4.0])
    value, weights = MeanLog().value_and_weights(tf.constant(losses))
    np.testing.assert_allclose(value, np.log(8.0) / 3, rtol=1e-12)
    np.testing.assert_allclose(weights, 1 / (3 * losses), rtol=1e-12)


def test_value_and_weights_agree_everywhere():
    losses = np.array([0.5, 2.0, 4.0], "f4")
    for meta_loss in (SumOfLosses(), MeanLog(), LossAt(), LossAt(0)):
        assert_same_everywhere(meta_loss.value_and_weights, losses)


def test_gin_builds_the_sum():
    kind = gin.get_configurable("l2o_tf.unroll.SumOfLosses")
    assert isinstance(kind(), SumOfLosses)


LOSSES = np.array([4.0, 2.0, 1.0, 3.0])


@pytest.mark.parametrize("index", [-4, -2, -1, 0, 1, 3])
def test_one_loss_has_the_weight_one_and_no_other_any(index):
    value, weights = LossAt(index).value_and_weights(tf.constant(LOSSES))
    assert value.numpy() == LOSSES[index]
    np.testing.assert_array_equal(weights, np.eye(4)[index])


def test_the_last_loss_is_the_default():
    assert LossAt()(tf.constant(LOSSES)).numpy() == 3.0


@pytest.mark.parametrize("index", [-5, 4, 100])
def test_a_loss_outside_of_the_window_is_refused(index):
    with pytest.raises(ValueError, match="Received: index=") as caught:
        LossAt(index)(tf.constant(LOSSES))
    assert str(caught.value) == (
        f"A window of 3 steps has the losses 0 to 3. Received: index={index}."
    )


@pytest.mark.parametrize("index", [True, 1.0, "last", None])
def test_an_index_that_is_no_int_is_refused(index):
    with pytest.raises(ValueError, match=f"Received: index={index!r}"):
        LossAt(index)


@pytest.mark.parametrize(
    ("index", "jit_compile"),
    [(0, False), (2, False), (-2, False), (-1, False), (-2, True)],
)
@pytest.mark.parametrize("backward", ["adjoint", "tape"])
def test_one_loss_of_a_window_has_the_closed_form_derivative(
    index, backward, jit_compile
):
    # With g_t constant: d f(x_s) / d eta = -g_s . sum_{t < s} g_t.
    eta, length = 0.11, 5
    problem = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
    cell = LearnableSGD(eta, dtype="float64")
    estimator = TruncatedBackpropagation(
        length, meta_loss=LossAt(index), backward=backward
    )
    run = compiled(
        lambda w, c: estimator.estimate(cell, problem, w, c), jit_compile
    )
    estimate, _ = run(
        cell.meta_params(), start_episode(cell, problem, seeds.make_seed(0))
    )
    s = index % (length + 1)
    g = [problem.h * problem.at(eta, t) for t in range(s + 1)]
    np.testing.assert_allclose(
        estimate.meta_loss, 0.5 * np.sum(g[s] ** 2 / problem.h), rtol=1e-12
    )
    expected = -sum(np.dot(g[s], g[t]) for t in range(s))
    np.testing.assert_allclose(estimate.meta_gradient, [expected], 1e-12)


def test_gin_builds_one_loss():
    gin.bind_parameter("l2o_tf.unroll.LossAt.index", -2)
    assert gin.get_configurable("l2o_tf.unroll.LossAt")().index == -2


# The ratio to the start of the episode


def by_hand(losses, initial, numerator_epsilon=False):
    """The original's mean: the first entry twice, the last one left out."""
    entries = np.concatenate([losses[:1], losses[:-1]])
    if numerator_epsilon:
        return np.mean(np.log((entries + 1e-6) / (initial + 1e-6)))
    return np.mean(np.log(entries / (initial + 1e-6) + 1e-6))


RATIOS = [LogRatio(), LogRatio(numerator_epsilon=True)]
each_ratio = pytest.mark.parametrize("ratio", RATIOS, ids=["after", "before"])


@each_ratio
def test_the_ratio_is_the_originals(ratio):
    # Losses of the size of epsilon tell where it is added.
    for losses in (LOSSES, 1e-6 * LOSSES):
        expected = by_hand(losses, 2.5, ratio.numerator_epsilon)
        actual = ratio(tf.constant(losses), tf.constant(2.5, tf.float64))
        np.testing.assert_allclose(actual, expected, rtol=1e-12)
    one, other = (by_hand(1e-6 * LOSSES, 2.5, e) for e in (False, True))
    assert abs(one - other) > 0.1


def test_the_ratio_is_written_out_for_two_steps():
    losses, initial = tf.constant([2.0, 8.0, 99.0]), tf.constant(4.0)
    # log 1/2 twice and log 2, over U + 1 = 3 entries; f(x_U) is not there.
    expected = (2 * np.log(0.5) + np.log(2.0)) / 3
    np.testing.assert_allclose(LogRatio()(losses, initial), expected, 1e-5)


@each_ratio
def test_the_ratios_weights_are_finite_differences(ratio):
    initial = tf.constant(2.5, tf.float64)
    _, weights = ratio.value_and_weights(tf.constant(LOSSES), initial)
    expected = central_gradient(
        lambda v: by_hand(v, 2.5, ratio.numerator_epsilon), LOSSES
    )
    np.testing.assert_allclose(weights, expected, rtol=1e-8)
    assert weights[-1].numpy() == 0.0
    # d J / d f_0 has two of the four logarithms.
    np.testing.assert_allclose(weights[0], 2 / (4 * LOSSES[0]), rtol=1e-5)


@each_ratio
@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_shorter_windows_ratio_is_that_of_the_window_alone(ratio, length):
    alone = tf.constant(LOSSES[: length + 1])
    padded = tf.concat([alone, tf.zeros([3 - length], tf.float64)], axis=0)
    initial = tf.constant(2.5, tf.float64)
    value, weights = ratio.value_and_weights(
        padded, initial, tf.constant(length)
    )
    expected, alone_weights = ratio.value_and_weights(alone, initial)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(weights[: length + 1], alone_weights, 1e-12)
    np.testing.assert_array_equal(weights[length + 1 :], np.zeros(3 - length))


def test_the_start_of_the_episode_is_a_constant():
    losses, initial = tf.constant(LOSSES), tf.constant(2.5, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(initial)
        value = LogRatio()(losses, initial)
    assert tape.gradient(value, initial) is None


@each_ratio
def test_a_negative_loss_is_no_number_and_a_zero_is(ratio):
    for loss, finite in ((-1e-3, False), (0.0, True)):
        losses = tf.constant([1.0, loss, 1.0])
        value = ratio(losses, tf.constant(1.0))
        assert np.isfinite(value) == finite
        assert np.isnan(value) != finite


def test_what_a_ratio_needs_is_declared():
    assert LogRatio.needs_initial
    assert not LogRatio.needs_last
    for other in (SumOfLosses, LossAt, WeightedDifference):
        assert not other.needs_initial
        assert other.needs_last


def test_a_ratio_without_the_start_of_the_episode_is_refused():
    with pytest.raises(ValueError, match="Received: initial=None."):
        LogRatio()(tf.constant(LOSSES))


@pytest.mark.parametrize("value", ["False", 0, None])
def test_numerator_epsilon_is_a_bool(value):
    with pytest.raises(
        ValueError, match=f"Received: numerator_epsilon={value!r}"
    ):
        LogRatio(value)


def test_ratios_agree_everywhere():
    for ratio in RATIOS:
        assert_same_everywhere(
            ratio.value_and_weights,
            np.float32([4.0, 2.0, 1.0, 0.0]),
            np.float32(2.5),
            np.int32(3),
            rtol=2e-6,
        )


def test_gin_builds_the_ratio():
    gin.bind_parameter("l2o_tf.unroll.LogRatio.numerator_epsilon", True)
    ratio = gin.get_configurable("l2o_tf.unroll.LogRatio")()
    assert ratio.numerator_epsilon is True


# Windows of random length


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize(
    "meta_loss",
    [SumOfLosses(), LossAt(), LossAt(-2), WeightedDifference(index="window")],
)
def test_a_shorter_window_is_judged_as_if_alone(meta_loss, length):
    alone = tf.constant(LOSSES[: length + 1])
    padded = tf.concat([alone, tf.zeros([3 - length], tf.float64)], axis=0)
    value, weights = meta_loss.value_and_weights(
        padded, None, tf.constant(length)
    )
    expected, alone_weights = meta_loss.value_and_weights(alone)
    assert value.numpy() == expected.numpy()
    np.testing.assert_array_equal(weights[: length + 1], alone_weights)


@pytest.mark.parametrize("index", [0, 1, -3])
def test_a_loss_that_a_short_window_may_lack_is_refused(index):
    with pytest.raises(ValueError, match=f"Received: index={index}. Use -1"):
        LossAt(index)(tf.constant(LOSSES), None, tf.constant(2))


def test_one_loss_of_a_length_agrees_everywhere():
    for index in (-1, -2):
        assert_same_everywhere(
            lambda losses, n, i=index: LossAt(i).value_and_weights(
                losses, None, n
            ),
            np.float32(LOSSES),
            np.int32(2),
        )
