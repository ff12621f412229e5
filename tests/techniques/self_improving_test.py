"""Self-improving: what is learned from a trajectory that others share."""

import numpy as np
import pytest
import tensorflow as tf
from support.cells import make_inputs
from support.closed_form import DiagonalQuadratic, Slope
from support.execution import assert_same_everywhere, count_traces
from support.mixtures import (
    F64,
    LEARNERS,
    NOISY,
    SEED,
    auxiliaries,
    drawn,
    each_learner,
)
from support.numerical import central_gradient
from support.small_problem import relative_error
from support.toy_cells import Ahead, LearnedStart

from l2o_tf.core import seeds
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.imitation import ImitationGradient
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.mixture import StepwiseMixture
from l2o_tf.techniques.self_improving import SelfImproving
from l2o_tf.techniques.teachers import TEACHERS, teachers
from l2o_tf.unroll.carry import (
    batch_seed,
    boundary_seed,
    choice_seed,
    start_episode,
)


def context(episode=0):
    return EpisodeContext(tf.constant(episode), ())


def windows(estimator, cell, problem, count=1, seed=SEED, episode=0):
    carry = estimator.start(cell, problem, seed, context(episode))
    estimates = []
    for _ in range(count):
        estimate, carry = estimator.estimate(
            cell, problem, cell.meta_params(), carry
        )
        estimates.append(estimate)
    return estimates, carry


@pytest.mark.parametrize(
    ("episode", "share"),
    [(0, 1.0), (50, 0.5), (99, 0.01), (100, 0.0), (1000, 0.0)],
)
def test_the_probability_falls_linearly_to_zero(episode, share):
    for estimator, first in (
        (SelfImproving(TruncatedBackpropagation(3), auxiliaries()), 1 / 3),
        (
            SelfImproving(
                TruncatedBackpropagation(3),
                auxiliaries(),
                start_probability=0.4,
            ),
            0.4,
        ),
    ):
        p = estimator.probability(tf.constant(episode))
        assert p.dtype == tf.float32
        np.testing.assert_allclose(p, share * first, rtol=1e-5)
        carry = estimator.start(LEARNERS["dm"](), NOISY, SEED, context(episode))
        np.testing.assert_array_equal(
            carry.states.probability, p.numpy().astype("f8")
        )


def test_the_decay_ends_where_it_is_told():
    estimator = SelfImproving(
        TruncatedBackpropagation(3), auxiliaries(), 0.25, decay_episodes=4
    )
    p = [estimator.probability(tf.constant(e)).numpy() for e in range(6)]
    np.testing.assert_allclose(p, [0.25, 0.1875, 0.125, 0.0625, 0, 0], 1e-6)


def test_an_episode_begins_as_the_wrapped_estimators_with_seeded_choices():
    cell = LEARNERS["dm"]()
    estimator = SelfImproving(TruncatedBackpropagation(3), auxiliaries())
    carry = estimator.start(cell, NOISY, SEED, context())
    alone = start_episode(cell, NOISY, SEED)
    for a, b in zip(
        tf.nest.flatten(carry._replace(states=carry.states.learner)),
        tf.nest.flatten(alone),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(carry.states.seed, choice_seed(alone))
    used = {tuple(f(alone).numpy()) for f in (batch_seed, boundary_seed)}
    assert tuple(carry.states.seed.numpy()) not in used | {tuple(SEED.numpy())}


@each_learner
def test_the_memory_of_a_carry_is_the_learners_state(learner):
    cell = learner()
    estimator = SelfImproving(TruncatedBackpropagation(3), auxiliaries())
    _, carry = windows(estimator, cell, NOISY)
    tf.nest.assert_same_structure(
        estimator.memory(carry), cell.get_initial_state(NOISY.layout)
    )
    assert estimator.memory(carry) is carry.states.learner


# The estimate


@each_learner
@pytest.mark.parametrize("backward", ["adjoint", "tape"])
@pytest.mark.parametrize(
    ("start_probability", "episode"), [(0.0, 0), (0.25, 100)]
)
def test_probability_zero_gives_exactly_the_wrapped_estimate(
    learner, backward, start_probability, episode
):
    cell = learner()
    inner = TruncatedBackpropagation(3, backward=backward)
    mixed = SelfImproving(inner, auxiliaries(), start_probability)
    estimates, carry = windows(mixed, cell, NOISY, count=2, episode=episode)
    expected, alone = windows(inner, cell, NOISY, count=2)
    for a, b in zip(
        tf.nest.flatten((estimates, carry.params, carry.states.learner)),
        tf.nest.flatten((expected, alone.params, alone.states)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def loop_under_a_tape(cell, others, probability, carry, length):
    """Return the meta-loss, its gradient and x at the end, from lists."""
    weights = cell.meta_layout.split(cell.meta_params())
    who = drawn(choice_seed(carry), length, probability, len(others))
    states = [c.get_initial_state(NOISY.layout) for c in (*others, cell)]
    x, losses = carry.params, []
    with tf.GradientTape() as tape:
        tape.watch(weights)
        for t, chosen in enumerate(who):
            b = NOISY.sample(batch_seed(carry._replace(step=tf.constant(t))))
            losses.append(NOISY.loss(x, (), b))
            gradient = tf.stop_gradient(tf.constant(NOISY.h) * (x - b))
            inputs = make_inputs(gradient, t + 1)
            updates = []
            for i, other in enumerate(others):
                update, states[i] = other.call(inputs, states[i])
                updates.append(update)
            update, states[-1] = cell.stateless_update(
                weights, inputs, states[-1]
            )
            x = x + [*updates, update][chosen]
        end = carry._replace(step=tf.constant(length))
        losses.append(NOISY.loss(x, (), NOISY.sample(boundary_seed(end))))
        total = tf.add_n(losses)
    gradient = tape.gradient(total, weights)
    return total, cell.meta_layout.flatten(gradient), x, who


@each_learner
def test_a_mixed_window_equals_its_tape_and_a_python_loop(learner):
    cell, length = learner(), 10
    results = [
        windows(
            SelfImproving(
                TruncatedBackpropagation(length, backward=backward),
                auxiliaries(),
                start_probability=0.3,
            ),
            cell,
            NOISY,
        )
        for backward in ("adjoint", "tape")
    ]
    ((adjoint,), carry), ((tape,), _) = results
    p = float(np.float32(0.3))
    total, gradient, x, who = loop_under_a_tape(
        cell, auxiliaries(), p, start_episode(cell, NOISY, SEED), length
    )
    assert set(who) == {-1, 0, 1}
    for estimate in (adjoint, tape):
        np.testing.assert_allclose(estimate.meta_loss, total, rtol=1e-10)
        assert relative_error(estimate.meta_gradient, gradient) < 1e-10
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(carry.params, x, rtol=1e-10)


@pytest.mark.parametrize("backward", ["adjoint", "tape"])
@pytest.mark.parametrize("name", ["learnable_sgd", "dm"])
def test_steps_that_auxiliaries_made_add_nothing(name, backward):
    problem = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
    cell = LEARNERS["dm"]() if name == "dm" else LearnableSGD(0.3, **F64)
    inner = TruncatedBackpropagation(5, backward=backward)
    estimator = SelfImproving(inner, (SGD(0.1, **F64),), 1.0)
    (estimate,), carry = windows(estimator, cell, problem)
    assert not estimate.meta_gradient.numpy().any()
    np.testing.assert_allclose(
        estimate.meta_loss, problem.total_loss(0.1, 5), rtol=1e-12
    )
    np.testing.assert_allclose(carry.params, problem.at(0.1, 5), rtol=1e-12)


def test_a_mixed_trajectory_has_the_closed_form_derivative():
    # g_t constant: d L / d eta = -sum_s g_s . sum_{t < s, learner's} g_t.
    problem = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
    length, eta, rate, p = 8, 0.3, 0.1, 0.5
    estimator = SelfImproving(
        TruncatedBackpropagation(length), (SGD(rate, **F64),), p
    )
    (estimate,), carry = windows(estimator, LearnableSGD(eta, **F64), problem)
    who = drawn(choice_seed(carry), length, p, 1)
    assert set(who) == {-1, 0}
    x, gradients = problem.x0, []
    for chosen in who:
        gradients.append(problem.h * x)
        x = x - (eta if chosen == -1 else rate) * gradients[-1]
    gradients.append(problem.h * x)
    expected = -sum(
        np.dot(gradients[s], gradients[t])
        for s in range(length + 1)
        for t in range(s)
        if who[t] == -1
    )
    np.testing.assert_allclose(estimate.meta_gradient, [expected], 1e-12)


def test_windows_go_on_with_the_same_sequence_of_choices():
    cell = LEARNERS["dm"]()
    short, long = (
        SelfImproving(TruncatedBackpropagation(u), auxiliaries(), 0.3)
        for u in (3, 6)
    )
    _, carry = windows(short, cell, NOISY, count=2)
    _, expected = windows(long, cell, NOISY)
    for a, b in zip(
        tf.nest.flatten(carry), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_same_seed_repeats_and_another_makes_other_choices():
    cell = LEARNERS["dm"]()
    estimator = SelfImproving(TruncatedBackpropagation(3), auxiliaries(), 0.3)
    (first,), carry = windows(estimator, cell, NOISY)
    (again,), _ = windows(estimator, cell, NOISY)
    (other,), other_carry = windows(
        estimator, cell, NOISY, seed=seeds.make_seed(4)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first.meta_gradient != other.meta_gradient).numpy().any()
    who = [drawn(c.states.seed, 40, 0.3, 2) for c in (carry, other_carry)]
    assert who[0] != who[1]


def test_estimates_agree_everywhere():
    cell = LEARNERS["rnnprop"]()
    estimator = SelfImproving(TruncatedBackpropagation(4), auxiliaries(), 0.3)

    def episode(weights, seed, episode):
        carry = estimator.start(cell, NOISY, seed, EpisodeContext(episode, ()))
        return estimator.estimate(cell, NOISY, weights, carry)

    # The minibatches are float32: XLA rounds their last bit differently.
    assert_same_everywhere(
        episode, cell.meta_params(), SEED, 50, rtol=1e-6, atol=1e-6
    )


def test_windows_of_all_episodes_are_traced_once():
    cell = LEARNERS["dm"]()
    estimator = SelfImproving(TruncatedBackpropagation(3), auxiliaries(), 0.3)

    def episode(weights, seed, episode):
        carry = estimator.start(cell, NOISY, seed, EpisodeContext(episode, ()))
        return estimator.estimate(cell, NOISY, weights, carry)

    weights = cell.meta_params()
    traces = count_traces(
        episode, (weights, SEED, 0), (2.0 * weights, SEED, 99)
    )
    assert traces == 1


# Initial states that are learned, and memory


def first_window(estimator, problem, weights=None, count=1, memory=()):
    """Run windows of an episode of a cell with a learned first state."""
    cell = LearnedStart(0.1, 0.5, 0.3, **F64)
    weights = cell.meta_params() if weights is None else tf.constant(weights)
    carry = estimator.start(
        cell, problem, SEED, EpisodeContext(tf.constant(0), memory), weights
    )
    for _ in range(count):
        estimate, carry = estimator.estimate(cell, problem, weights, carry)
    return estimate


def mixed(backward="adjoint", length=8, **options):
    inner = TruncatedBackpropagation(length, backward=backward, **options)
    return SelfImproving(inner, auxiliaries(), 0.25)


def test_in_a_first_window_a_learned_state_has_the_slopes_gradient():
    # No gradient of this problem depends on x: the first order is exact.
    problem = Slope([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
    adjoint, tape = (
        first_window(mixed(b), problem).meta_gradient
        for b in ("adjoint", "tape")
    )
    expected = central_gradient(
        lambda w: first_window(mixed(), problem, w).meta_loss,
        LearnedStart(0.1, 0.5, 0.3, **F64).meta_params().numpy(),
    )
    np.testing.assert_allclose(adjoint, tape, rtol=1e-12)
    np.testing.assert_allclose(adjoint, expected, rtol=1e-8)
    assert abs(expected[2]) > 0.01


@pytest.mark.parametrize("backward", ["adjoint", "tape"])
def test_in_a_second_window_a_learned_state_has_no_gradient(backward):
    gradient = first_window(mixed(backward), NOISY, count=2).meta_gradient
    assert gradient[2].numpy() == 0.0
    assert np.abs(gradient[:2]).min() > 1e-3


@pytest.mark.parametrize("backward", ["adjoint", "tape"])
def test_a_mixed_episode_keeps_the_learners_memory(backward):
    estimator = mixed(backward, keep_memory=True)
    assert estimator.keep_memory
    assert not mixed(backward).keep_memory
    cell = LearnedStart(**F64)
    memory = cell.get_initial_state(NOISY.layout)._replace(
        velocity=tf.constant([1.0, 2.0, 3.0], tf.float64)
    )
    carry = estimator.start(
        cell, NOISY, SEED, EpisodeContext(tf.constant(50), memory)
    )
    np.testing.assert_array_equal(
        carry.states.learner.velocity, [1.0, 2.0, 3.0]
    )
    # The auxiliaries begin afresh, with the probability of this episode.
    assert not carry.states.auxiliaries[1].first_moment.numpy().any()
    np.testing.assert_allclose(carry.states.probability, 0.125)
    estimate = first_window(estimator, NOISY, memory=memory)
    assert estimate.meta_gradient[2].numpy() == 0.0


def test_a_mixed_episode_without_the_memory_it_keeps_is_refused():
    with pytest.raises(ValueError, match=r"Received: EpisodeContext.memory"):
        first_window(mixed(keep_memory=True), NOISY)


def test_a_learner_without_a_state_has_nothing_to_keep():
    cell = LearnableSGD(0.1, **F64)
    (kept,), _ = windows(mixed(keep_memory=True), cell, NOISY)
    (plain,), _ = windows(mixed(), cell, NOISY)
    for a, b in zip(kept, plain, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_learner_that_looks_ahead_is_refused():
    with pytest.raises(ValueError, match="Received: cell=Ahead with looks_ah"):
        windows(mixed(objective="window"), Ahead(**F64), NOISY)


# What is refused


def test_an_auxiliary_with_weights_is_refused_at_once():
    others = (SGD(), DMLSTM(units=(2,)))
    for build in (
        lambda: StepwiseMixture(LearnableSGD(), others),
        lambda: SelfImproving(TruncatedBackpropagation(3), others),
    ):
        with pytest.raises(
            ValueError, match=r"without weights.*Received: auxiliaries=\(<SGD"
        ):
            build()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("start_probability", -0.1),
        ("start_probability", 0.51),
        ("start_probability", "0.25"),
        ("decay_episodes", 0),
        ("decay_episodes", 99.5),
        ("auxiliaries", []),
        ("auxiliaries", "adam"),
        ("estimator", None),
        ("estimator", TruncatedBackpropagation),
    ],
)
def test_self_improving_refuses_what_is_out_of_range(argument, value):
    arguments = {
        "estimator": TruncatedBackpropagation(3),
        "auxiliaries": (SGD(), Adam()),
        argument: value,
    }
    with pytest.raises(ValueError, match="Received: ") as caught:
        SelfImproving(**arguments)
    assert f"Received: {argument}={value!r}." in str(caught.value)


@pytest.mark.parametrize(
    "estimator",
    [
        ImitationGradient(SGD(), 3),
        SelfImproving(TruncatedBackpropagation(3), (SGD(),)),
    ],
    ids=["imitation", "self_improving"],
)
def test_an_estimator_that_does_not_run_the_mixture_is_refused(estimator):
    with pytest.raises(ValueError, match="Received: estimator=<l2o_tf"):
        SelfImproving(estimator, (SGD(),))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_optimizers_start_equally_likely_by_default(count):
    estimator = SelfImproving(
        TruncatedBackpropagation(7), teachers(tuple(TEACHERS)[:count])
    )
    assert estimator.start_probability == 1.0 / (1 + count)


def test_the_papers_numbers_are_the_default():
    estimator = SelfImproving(TruncatedBackpropagation(7), teachers())
    assert estimator.unroll_length == 7
    assert estimator.start_probability == 0.25
    assert estimator.decay_episodes == 100
