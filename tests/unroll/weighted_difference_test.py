"""The weighted difference: the spec's example, algebra, and its derivative."""

import gin
import numpy as np
import pytest
import tensorflow as tf
from conformance import registry
from support.closed_form import DiagonalQuadratic, NoisyQuadratic
from support.execution import assert_same_everywhere, count_traces
from support.numerical import central_gradient
from support.small_problem import relative_error

from l2o_tf.core import seeds
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.meta_losses import LossAt, SumOfLosses, WeightedDifference

ETA = 0.11
QUADRATIC = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
SEED = seeds.make_seed(3)
both_backwards = pytest.mark.parametrize("backward", ["adjoint", "tape"])
each_index = pytest.mark.parametrize("index", ["trajectory", "window"])


def value_of(meta_loss, losses, step=0):
    losses = tf.constant(losses, tf.float64)
    return float(meta_loss(losses, None, None, tf.constant(step)))


STEADY = [100.0, 20.0, 5.0, 1.25, 0.625]
STUCK = [100.0, 2.5, 2.25, 2.125, 2.3125]


def test_it_prefers_the_sequence_that_goes_on_falling():
    # -80 - 4 * 15 - 9 * 3.75 - 16 * 0.625
    assert value_of(WeightedDifference(), STEADY) == -183.75
    # -97.5 - 4 * 0.25 - 9 * 0.125 + 16 * 0.1875
    assert value_of(WeightedDifference(), STUCK) == -96.625


def test_the_uniform_sum_prefers_the_sequence_that_is_stuck():
    assert value_of(SumOfLosses(), STEADY) == 126.875
    assert value_of(SumOfLosses(), STUCK) == 109.1875


def test_it_rewards_a_loss_that_rises_first_as_documented():
    # 8 + 0 - 9 * 8
    assert value_of(WeightedDifference(), [1.0, 9.0, 9.0, 1.0]) == -64.0
    assert value_of(WeightedDifference(), [1.0, 1.0, 1.0, 1.0]) == 0.0


@each_index
@pytest.mark.parametrize("step", [0, 40])
def test_without_an_exponent_it_telescopes(index, step):
    meta_loss = WeightedDifference(exponent=0.0, index=index)
    assert value_of(meta_loss, STEADY, step) == 0.625 - 100.0
    assert value_of(meta_loss, STUCK, step) == 2.3125 - 100.0


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_the_windows_add_up_to_the_trajectory(exponent):
    losses = np.random.RandomState(0).rand(13)
    meta_loss = WeightedDifference(exponent)
    parts = [value_of(meta_loss, losses[s : s + 5], s) for s in (0, 4, 8)]
    i = np.arange(1.0, 13.0)
    expected = np.sum(i**exponent * np.diff(losses))
    np.testing.assert_allclose(value_of(meta_loss, losses), expected, 1e-12)
    np.testing.assert_allclose(sum(parts), expected, rtol=1e-12)


def test_the_index_of_the_window_forgets_the_steps_before():
    meta_loss = WeightedDifference(index="window")
    assert value_of(meta_loss, STEADY, 20) == -183.75
    # -21^2 * 80 - 22^2 * 15 - 23^2 * 3.75 - 24^2 * 0.625
    assert value_of(WeightedDifference(), STEADY, 20) == -44_883.75


def weights_by_parts(w):
    """dL/df_t: the weight of the step to x_t less that of the step from it."""
    return np.append(0.0, w) - np.append(w, 0.0)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ("window", [-1, -3, -5, -7, 16]),
        ("trajectory", [-36, -13, -15, -17, 81]),
    ],
)
def test_the_end_counts_and_the_way_less_than_nothing(index, expected):
    losses = tf.constant(STEADY, tf.float64)
    meta_loss = WeightedDifference(index=index)
    _, weights = meta_loss.value_and_weights(losses, None, None, tf.constant(5))
    np.testing.assert_array_equal(weights, expected)


def test_the_unit_step_weighs_1_and_is_a_factor():
    paper, unit = WeightedDifference(), WeightedDifference(unit_step=200)
    ratio = value_of(unit, STEADY, 60) / value_of(paper, STEADY, 60)
    np.testing.assert_allclose(ratio, 200.0**-2, rtol=1e-12)
    _, weights = unit.value_and_weights(
        tf.zeros([21], tf.float64), None, None, tf.constant(180)
    )
    np.testing.assert_allclose(weights[-1], 1.0, rtol=1e-12)
    np.testing.assert_allclose(weights[0], -(0.905**2), rtol=1e-12)


@each_index
@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_shorter_window_is_judged_as_if_alone(index, length):
    alone = tf.constant(STEADY[: length + 1], tf.float64)
    padded = tf.concat([alone, tf.zeros([4 - length], tf.float64)], axis=0)
    meta_loss, step = WeightedDifference(index=index), tf.constant(7)
    value, weights = meta_loss.value_and_weights(
        padded, None, tf.constant(length), step
    )
    expected, alone_weights = meta_loss.value_and_weights(
        alone, None, None, step
    )
    assert value.numpy() == expected.numpy()
    np.testing.assert_array_equal(weights[: length + 1], alone_weights)
    np.testing.assert_array_equal(weights[length + 1 :], np.zeros(4 - length))


def test_it_agrees_everywhere():
    for meta_loss in (
        WeightedDifference(),
        WeightedDifference(0.0),
        WeightedDifference(1.5, "window", 20),
    ):
        assert_same_everywhere(
            meta_loss.value_and_weights,
            np.float32([4.0, 2.0, 1.0, 0.0]),
            np.float32(4.0),
            np.int32(2),
            np.int32(180),
            atol=1e-6,
        )


# In the estimator


def windows(cell, problem, estimator, count, weights=None):
    carry = start_episode(cell, problem, SEED)
    weights = cell.meta_params() if weights is None else weights
    for _ in range(count):
        result, carry = estimator.estimate(cell, problem, weights, carry)
    return result, carry


def closed_form(w, length, begin):
    """L of a window, and dL/deta with every gradient held constant."""
    x = [QUADRATIC.at(ETA, begin + t) for t in range(length + 1)]
    g = [QUADRATIC.h * x_t for x_t in x]
    f = np.array(
        [0.5 * np.dot(g_t, x_t) for g_t, x_t in zip(g, x, strict=True)]
    )
    # d x_s / d eta = -(g_0 + .. + g_{s-1})
    slopes = [-sum(np.dot(g[s], g_t) for g_t in g[:s]) for s in range(len(g))]
    return np.dot(w, np.diff(f)), np.dot(weights_by_parts(w), slopes)


@both_backwards
@each_index
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("exponent", [1.5, 2.0])
def test_the_derivative_is_the_closed_form(exponent, count, index, backward):
    length, begin = 5, 5 * (count - 1)
    meta_loss = WeightedDifference(exponent, index)
    estimator = TruncatedBackpropagation(length, meta_loss, backward=backward)
    cell = LearnableSGD(ETA, dtype="float64")
    result, _ = windows(cell, QUADRATIC, estimator, count)
    first = begin if index == "trajectory" else 0
    w = (first + np.arange(1.0, length + 1)) ** exponent
    loss, slope = closed_form(w, length, begin)
    np.testing.assert_allclose(result.meta_loss, loss, rtol=1e-12)
    np.testing.assert_allclose(result.meta_gradient, [slope], rtol=1e-12)
    assert abs(slope) > 1e-3


def test_the_exact_derivative_is_finite_differences():
    cell = LearnableSGD(ETA, dtype="float64")
    estimator = TruncatedBackpropagation(
        4, WeightedDifference(), second_derivatives=True
    )
    # The second window from the same point: its weights are 5^2 to 8^2.
    _, carry = windows(cell, QUADRATIC, estimator, 1)

    def second(weights):
        return estimator.estimate(cell, QUADRATIC, weights, carry)[0]

    expected = central_gradient(
        lambda w: second(tf.constant(w)).meta_loss, cell.meta_params().numpy()
    )
    actual = second(cell.meta_params()).meta_gradient
    np.testing.assert_allclose(actual, expected, rtol=1e-7)


LEARNED = [
    name
    for name, entry in registry.CELLS.items()
    if entry.kind.__module__.startswith("l2o_tf.learned")
    and not name.startswith(("hierarchical_", "dm_", "trainable_", "simple_"))
]


@pytest.mark.parametrize("name", LEARNED)
def test_adjoint_equals_tape_for_every_learned_cell(name):
    cell = registry.CELLS[name].build(dtype="float64")
    problem = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
    fast, general = (
        windows(
            cell,
            problem,
            TruncatedBackpropagation(2, WeightedDifference(), backward=way),
            2,
        )[0]
        for way in ("adjoint", "tape")
    )
    assert relative_error(fast.meta_loss, general.meta_loss) < 1e-10
    assert relative_error(fast.meta_gradient, general.meta_gradient) < 1e-10
    assert np.abs(general.meta_gradient).max() > 1e-6


@both_backwards
def test_differences_are_between_the_minibatches_of_the_steps(backward):
    problem = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
    cell = LearnableSGD(ETA, dtype="float64")
    last = windows(cell, problem, TruncatedBackpropagation(3, LossAt()), 1)[
        0
    ].meta_loss
    first = windows(cell, problem, TruncatedBackpropagation(3, LossAt(0)), 1)[
        0
    ].meta_loss
    estimator = TruncatedBackpropagation(
        3, WeightedDifference(0.0), backward=backward
    )
    actual = windows(cell, problem, estimator, 1)[0].meta_loss
    np.testing.assert_allclose(actual, last - first, rtol=1e-12)


@both_backwards
def test_windows_at_all_steps_are_traced_once(backward):
    cell = LearnableSGD(ETA)
    problem = DiagonalQuadratic([1.0, 2.0], [1.0, 1.0], "float32")
    estimator = TruncatedBackpropagation(
        3, WeightedDifference(), backward=backward
    )
    start = start_episode(cell, problem, SEED)
    traces = count_traces(
        lambda w, c: estimator.estimate(cell, problem, w, c),
        (cell.meta_params(), start),
        (cell.meta_params(), start._replace(step=tf.constant(100))),
    )
    assert traces == 1


def test_in_float32_adjoint_equals_tape_at_the_end_of_a_trajectory():
    cell = registry.CELLS["dm_identity"].build()
    problem = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7], "float32")
    carry = start_episode(cell, problem, SEED)._replace(step=tf.constant(180))
    fast, general = (
        TruncatedBackpropagation(
            8, WeightedDifference(unit_step=200), backward=way
        ).estimate(cell, problem, cell.meta_params(), carry)[0]
        for way in ("adjoint", "tape")
    )
    error = relative_error(fast.meta_gradient, general.meta_gradient)
    assert error < 1e-5


# Arguments


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("exponent", -1.0),
        ("exponent", float("inf")),
        ("exponent", "2"),
        ("index", "step"),
        ("unit_step", 0),
        ("unit_step", 200.0),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        WeightedDifference(**{argument: value})


def test_the_trajectorys_index_needs_the_steps_before():
    with pytest.raises(ValueError, match="Received: step=None. Give them, or"):
        WeightedDifference()(tf.constant(STEADY))
    # The window's does not.
    losses = tf.constant(STEADY)
    assert WeightedDifference(index="window")(losses).numpy() == -183.75


def test_gin_builds_it():
    for name, value in (
        ("exponent", 1.0),
        ("index", "window"),
        ("unit_step", 20),
    ):
        gin.bind_parameter(f"l2o_tf.unroll.WeightedDifference.{name}", value)
    built = gin.get_configurable("l2o_tf.unroll.WeightedDifference")()
    assert (built.exponent, built.index, built.unit_step) == (1.0, "window", 20)
