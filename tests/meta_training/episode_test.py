"""One episode: its windows, its meta-updates, and those it refuses."""

import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere, count_traces
from support.small_problem import (
    DM_ARRAYS,
    FIXTURE,
    SmallProblem,
    flat_weights,
)

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.episode import (
    MetaState,
    initial_meta_state,
    meta_update,
    train_episode,
)
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizers.adam import Adam, AdamState
from l2o_tf.optimizers.base import OptimizerInputs
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.optimizers.rmsprop import RMSProp, RMSPropState
from l2o_tf.unroll.carry import start_episode

ADAM = Adam(0.001)
CONTEXT = EpisodeContext(tf.constant(0), ())


def some_state(size=4, step=7):
    rng = np.random.default_rng(0)
    weights, m, v = rng.uniform(0.1, 1.0, (3, size)).astype("float32")
    return MetaState(
        tf.constant(weights),
        AdamState(tf.constant(m), tf.constant(v)),
        tf.constant(step),
    )


def bits(nest):
    return [tensor.numpy().tobytes() for tensor in tf.nest.flatten(nest)]


def test_a_finite_meta_update_is_one_step_of_the_meta_optimizer():
    state = some_state()
    gradient = tf.constant([0.5, -1.0, 0.0, 2.0])
    moved, applied = meta_update(ADAM, state, gradient, tf.constant(3.0))
    assert applied.numpy()
    assert moved.step.numpy() == 8
    g = gradient.numpy().astype("float64")
    m = 0.9 * state.slots.first_moment + 0.1 * g
    v = 0.999 * state.slots.second_moment + 0.001 * g**2
    rate = 0.001 * np.sqrt(1 - 0.999**8) / (1 - 0.9**8)
    expected = state.meta_params - rate * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(moved.meta_params, expected, rtol=1e-6)
    np.testing.assert_allclose(moved.slots.first_moment, m, rtol=1e-6)
    np.testing.assert_allclose(moved.slots.second_moment, v, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["gradient", "loss"])
@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_a_meta_update_that_is_not_finite_changes_no_bit(
    bad, where, jit_compile
):
    state = some_state()
    gradient = np.array([0.5, -1.0, 0.0, 2.0], "float32")
    loss = 3.0
    if where == "gradient":
        gradient[2] = bad
    else:
        loss = bad

    def update(state, gradient, loss):
        return meta_update(ADAM, state, gradient, loss)

    run = update if jit_compile is None else compiled(update, jit_compile)
    kept, applied = run(state, tf.constant(gradient), tf.constant(loss))
    assert not applied.numpy()
    assert bits(kept) == bits(state)


def test_an_update_whose_slots_overflow_is_skipped():
    state = some_state()
    gradient = tf.constant([1e30, 0.0, 0.0, 0.0])  # its square is +inf
    kept, applied = meta_update(ADAM, state, gradient, tf.constant(1.0))
    assert not applied.numpy()
    assert bits(kept) == bits(state)


REPAIRED = RepairedGradients(RMSProp(0.1, epsilon=1e-20), bound=2.0)


def rmsprop_state(size=4, step=7):
    rng = np.random.default_rng(0)
    weights, square, momentum = rng.uniform(0.1, 1.0, (3, size)).astype("f4")
    return MetaState(
        tf.constant(weights),
        RMSPropState(tf.constant(square), tf.constant(momentum)),
        tf.constant(step),
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_a_repaired_gradient_is_applied_where_it_is_finite(bad, jit_compile):
    state = rmsprop_state()
    gradient = np.array([0.5, bad, -1.0, 9.0], "f4")

    def update(state, gradient):
        return meta_update(REPAIRED, state, gradient, tf.constant(1.0))

    run = update if jit_compile is None else compiled(update, jit_compile)
    moved, finite = run(state, tf.constant(gradient))
    assert not finite.numpy()
    assert moved.step.numpy() == 8
    g = np.array([0.5, 0.0, -1.0, 2.0])
    square = 0.9 * state.slots.mean_square.numpy() + 0.1 * g**2
    expected = state.meta_params - 0.1 * g / np.sqrt(square)
    np.testing.assert_allclose(moved.meta_params, expected, rtol=1e-6)
    np.testing.assert_allclose(moved.slots.mean_square, square, rtol=1e-6)
    assert moved.meta_params[1] == state.meta_params[1]


def test_a_gradient_without_a_number_decays_the_slots_alone():
    state = rmsprop_state()
    nothing = tf.fill([4], np.float32(np.nan))
    moved, finite = meta_update(REPAIRED, state, nothing, tf.constant(np.nan))
    assert not finite.numpy()
    assert bits(moved.meta_params) == bits(state.meta_params)
    np.testing.assert_allclose(
        moved.slots.mean_square, 0.9 * state.slots.mean_square, rtol=1e-6
    )
    assert moved.step.numpy() == 8


def test_a_loss_that_is_no_number_is_counted_though_its_gradient_is_applied():
    state = rmsprop_state()
    gradient = tf.constant([0.5, 0.0, -1.0, 2.0])
    moved, finite = meta_update(REPAIRED, state, gradient, tf.constant(np.inf))
    expected, fine = meta_update(REPAIRED, state, gradient, tf.constant(1.0))
    assert not finite.numpy()
    assert fine.numpy()
    assert bits(moved) == bits(expected)


def test_a_repaired_update_that_overflows_is_skipped():
    state = rmsprop_state()
    full = state.meta_params + np.float32(3.4e38)
    broken = state._replace(
        meta_params=full,
        slots=state.slots._replace(mean_square=tf.fill([4], np.float32(0.0))),
    )
    vast = RepairedGradients(RMSProp(1e38, decay=0.0, epsilon=1e-20))
    kept, finite = meta_update(vast, broken, -tf.ones([4]), tf.constant(1.0))
    assert not finite.numpy()
    assert bits(kept) == bits(broken)


def by_hand(cell, optimizee, estimator, meta_optimizer, seed, windows):
    """The episode as a Python loop; returns weights, slots and estimates."""
    weights = cell.meta_params()
    slots = meta_optimizer.get_initial_state(cell.meta_layout)
    carry = start_episode(cell, optimizee, seed)
    estimates = []
    for step in range(1, windows + 1):
        estimate, carry = estimator.estimate(cell, optimizee, weights, carry)
        update, slots = meta_optimizer.call(
            OptimizerInputs(
                estimate.meta_gradient,
                (),
                estimate.meta_loss,
                tf.constant(step),
            ),
            slots,
        )
        weights = weights + update
        estimates.append(estimate)
    return weights, slots, estimates


@pytest.mark.parametrize(
    ("cell", "optimizee"),
    [
        (LearnableSGD(0.05), Simple()),
        (LearnableSGD(0.05), Quadratic(2, 3)),
        (DMLSTM(units=(3,), output_scale=0.1), Quadratic(2, 3)),
    ],
)
@pytest.mark.parametrize("meta_optimizer", [Adam(0.01), Momentum(0.01)])
def test_an_episode_is_the_loop_of_estimates_and_meta_updates(
    cell, optimizee, meta_optimizer
):
    estimator = TruncatedBackpropagation(4)
    seed = seeds.make_seed(5)
    weights, slots, estimates = by_hand(
        cell, optimizee, estimator, meta_optimizer, seed, windows=5
    )
    state, report, _ = train_episode(
        cell,
        optimizee,
        estimator,
        meta_optimizer,
        initial_meta_state(cell, meta_optimizer),
        seed,
        tf.constant(5),
        CONTEXT,
    )
    np.testing.assert_allclose(state.meta_params, weights, rtol=1e-6)
    for a, b in zip(
        tf.nest.flatten(state.slots), tf.nest.flatten(slots), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8)
    assert state.step.numpy() == 5
    assert report.skipped.numpy() == 0
    losses = [e.meta_loss for e in estimates]
    norms = [np.linalg.norm(e.meta_gradient) for e in estimates]
    np.testing.assert_allclose(report.mean_loss, np.mean(losses), rtol=1e-6)
    np.testing.assert_allclose(report.gradient_norm, np.mean(norms), rtol=1e-5)
    np.testing.assert_allclose(
        report.last_loss, estimates[-1].last_loss, rtol=1e-6
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_two_windows_reach_the_weights_of_the_original_program(jit_compile):
    golden = np.load(FIXTURE)
    cell, problem = DMLSTM(), SmallProblem(golden)
    cell.assign_meta_params(
        tf.constant(flat_weights(golden, "dm_weights"), tf.float32)
    )
    estimator = TruncatedBackpropagation(20)
    run = compiled(
        lambda state, n: train_episode(
            cell,
            problem,
            estimator,
            ADAM,
            state,
            seeds.make_seed(0),
            n,
            CONTEXT,
        ),
        jit_compile,
    )
    first = initial_meta_state(cell, ADAM)
    for windows in (1, 2):
        state, report, _ = run(first, tf.constant(windows))
        expected = flat_weights(golden, f"dm_meta_w{windows - 1}")
        # A step is 1e-3; the fixture's weights are rounded by up to 1.2e-7.
        error = np.abs(state.meta_params - expected).max()
        assert error < 1e-6, (windows, error)
        last = golden[f"dm_meta_final{windows - 1}"]
        np.testing.assert_allclose(report.last_loss, last, rtol=1e-5)
    losses = [golden[f"dm_meta_loss{u}"] for u in range(2)]
    np.testing.assert_allclose(report.mean_loss, np.mean(losses), rtol=1e-5)
    moved = np.abs(state.meta_params - first.meta_params)
    assert moved.max() > 1e-3
    assert cell.meta_layout.names == DM_ARRAYS


@pytest.mark.parametrize(
    "cell", [LearnableSGD(0.05), DMLSTM(units=(3,), output_scale=0.1)]
)
def test_an_episode_is_the_same_eagerly_in_a_graph_and_under_xla(cell):
    optimizee = Quadratic(2, 3)
    estimator = TruncatedBackpropagation(4)
    assert_same_everywhere(
        lambda state, seed, n: train_episode(
            cell, optimizee, estimator, ADAM, state, seed, n, CONTEXT
        ),
        initial_meta_state(cell, ADAM),
        seeds.make_seed(3),
        tf.constant(4),
        atol=1e-5,
    )


def test_every_number_of_windows_shares_one_trace():
    cell, estimator = LearnableSGD(), TruncatedBackpropagation(2)
    traces = count_traces(
        lambda state, n: train_episode(
            cell,
            Simple(),
            estimator,
            ADAM,
            state,
            seeds.make_seed(0),
            n,
            CONTEXT,
        ),
        *[(initial_meta_state(cell, ADAM), tf.constant(n)) for n in (1, 5, 25)],
    )
    assert traces == 1


def test_the_seed_decides_the_episode():
    cell, estimator = LearnableSGD(), TruncatedBackpropagation(2)

    def weights(seed):
        state, *_ = train_episode(
            cell,
            Quadratic(2, 3),
            estimator,
            ADAM,
            initial_meta_state(cell, ADAM),
            seeds.make_seed(seed),
            tf.constant(2),
            CONTEXT,
        )
        return bits(state)

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


class Spoiled(Simple):
    """x^2, but not a number from some distance on."""

    def loss(self, params, constants, batch):
        value = super().loss(params, constants, batch)
        return tf.where(value < 0.5, np.nan, value)


def test_only_the_windows_that_are_not_finite_are_skipped():
    # x shrinks by 0.9 a step: 0.5 is passed in the second window of 2 steps.
    cell = LearnableSGD(0.05)
    meta_optimizer = Adam(1e-6)
    first = initial_meta_state(cell, meta_optimizer)
    estimator = TruncatedBackpropagation(2)

    def run(windows):
        return train_episode(
            cell,
            Spoiled(),
            estimator,
            meta_optimizer,
            first,
            seeds.make_seed(0),
            tf.constant(windows),
            CONTEXT,
        )

    one, *_ = run(1)
    four, report, _ = run(4)
    assert report.skipped.numpy() == 3
    assert four.step.numpy() == 1
    assert bits(four) == bits(one)
    assert np.isfinite(report.gradient_norm)
    assert np.isnan(report.mean_loss)


class SpoiledThroughout(Simple):
    """The same, and its gradient too."""

    def loss(self, params, constants, batch):
        value = super().loss(params, constants, batch)
        return value * tf.where(value < 0.5, np.nan, 1.0)


def test_windows_that_are_repaired_are_counted_and_applied():
    cell = LearnableSGD(0.05)
    estimator = TruncatedBackpropagation(2)

    def run(meta_optimizer, windows):
        return train_episode(
            cell,
            SpoiledThroughout(),
            estimator,
            meta_optimizer,
            initial_meta_state(cell, meta_optimizer),
            seeds.make_seed(0),
            tf.constant(windows),
            CONTEXT,
        )

    repaired = RepairedGradients(RMSProp(1e-6, epsilon=1e-20))
    one, *_ = run(repaired, 1)
    four, report, _ = run(repaired, 4)
    # The three windows that are no numbers: no step, but the slots decay.
    assert report.skipped.numpy() == 3
    assert four.step.numpy() == 4
    assert bits(four.meta_params) == bits(one.meta_params)
    np.testing.assert_allclose(
        four.slots.mean_square, one.slots.mean_square * 0.9**3, rtol=1e-6
    )
    assert np.isfinite(report.gradient_norm)
    plain, *_ = run(RMSProp(1e-6, epsilon=1e-20), 4)
    assert plain.step.numpy() == 1
    assert bits(plain.slots) == bits(one.slots)
