"""Self-improving: who makes a step, how often, and what is learned from it."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed, make_inputs, vector_layout
from support.closed_form import DiagonalQuadratic, NoisyQuadratic
from support.execution import assert_same_everywhere, count_traces
from support.small_problem import relative_error
from support.toy_cells import WeightDecay

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.imitation import ImitationGradient
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.self_improving import SelfImproving, StepwiseMixture
from l2o_tf.unroll.carry import (
    batch_seed,
    boundary_seed,
    choice_seed,
    start_episode,
)
from l2o_tf.unroll.engine import unroll

SEED = seeds.make_seed(3)
F64 = {"dtype": "float64"}
NOISY = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
LEARNERS = {
    "dm": lambda: DMLSTM(units=(3,), output_scale=0.3, **F64),
    "rnnprop": lambda: RNNprop(
        (3,), projection_units=2, output_scale=0.3, **F64
    ),
}
each_learner = pytest.mark.parametrize(
    "learner", LEARNERS.values(), ids=LEARNERS
)


def auxiliaries():
    return SGD(0.05, **F64), Adam(0.05, **F64)


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


def drawn(seed, steps, probability, count):
    """Return who makes each step: an auxiliary's index, or -1."""
    who = []
    for t in range(1, steps + 1):
        u = seeds.uniform(seeds.fold_in(seed, t), []).numpy()
        i = math.floor(u / probability)
        who.append(i if i < count else -1)
    return who


# Who makes a step


def test_the_frequency_of_each_is_its_probability():
    # Rates that differ tell who made an update; the gradients never vanish.
    steps, p = 2_000, 0.2
    rates = {-1: 0.01, 0: 0.02, 1: 0.03}
    learner = LearnableSGD(rates[-1], **F64)
    others = tuple(SGD(rates[i], **F64) for i in (0, 1))
    mixture = StepwiseMixture(learner, others, p, seed=5, **F64)
    run = compiled(
        lambda carry: unroll(
            mixture,
            NOISY,
            carry,
            steps,
            collect=lambda s: (s.inputs.gradient, s.update),
        ),
        jit_compile=False,
    )
    _, (gradients, updates) = run(start_episode(mixture, NOISY, SEED))
    made = {
        who: np.all(np.isclose(updates, -rate * gradients, 1e-9, 0), axis=1)
        for who, rate in rates.items()
    }
    np.testing.assert_array_equal(sum(made.values()), np.ones(steps))
    for who, probability in {-1: 1 - 2 * p, 0: p, 1: p}.items():
        error = math.sqrt(probability * (1 - probability) / steps)
        assert abs(made[who].mean() - probability) < 5 * error, who


def mixed_run(learner, probability=0.3, steps=12):
    """Run a mixture of the learner, momentum and Adam; keep everything."""
    others = (Momentum(0.05, **F64), Adam(0.05, **F64))
    mixture = StepwiseMixture(learner, others, probability, seed=5, **F64)
    carry, (gradients, updates) = unroll(
        mixture,
        NOISY,
        start_episode(mixture, NOISY, SEED),
        steps,
        collect=lambda s: (s.inputs.gradient, s.update),
    )
    return mixture, carry.states, gradients, updates


@each_learner
def test_an_update_is_that_of_the_optimizer_drawn(learner):
    mixture, _, gradients, updates = mixed_run(learner())
    cells = (*mixture.auxiliaries, mixture.learner)
    alone = [feed(cell, gradients)[0].numpy() for cell in cells]
    who = drawn(seeds.make_seed(5), 12, 0.3, 2)
    assert set(who) == {-1, 0, 1}
    expected = np.stack([alone[i][t] for t, i in enumerate(who)])
    np.testing.assert_allclose(updates, expected, rtol=1e-12)


@each_learner
def test_every_state_advances_on_steps_that_others_make(learner):
    mixture, states, gradients, _ = mixed_run(learner())
    for cell, state in (
        (mixture.learner, states.learner),
        *zip(mixture.auxiliaries, states.auxiliaries, strict=True),
    ):
        _, alone = feed(cell, gradients)
        tf.nest.assert_same_structure(state, alone)
        for a, b in zip(
            tf.nest.flatten(state), tf.nest.flatten(alone), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-10)
            assert np.abs(b).max() > 0.0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_at_the_largest_probability_the_learner_never_makes_a_step(count):
    others = tuple(SGD(0.1) for _ in range(count))
    mixture = StepwiseMixture(LearnableSGD(-7.0), others, 1 / count)
    gradients = tf.ones([60, 2])
    updates, _ = feed(mixture, gradients)
    np.testing.assert_allclose(updates, -0.1 * gradients, rtol=1e-6)


def test_at_probability_zero_the_learner_makes_every_step():
    mixture = StepwiseMixture(LearnableSGD(0.1), (SGD(7.0), SGD(8.0)))
    gradients = tf.ones([60, 2])
    updates, _ = feed(mixture, gradients)
    np.testing.assert_array_equal(updates, -0.1 * gradients.numpy())


class DecayedDescent(OptimizerCell):
    """u_t = -0.1 g_t - 0.02 x_t: a hand-designed cell that reads params."""

    reads_params = True

    def get_initial_state(self, layout):
        return ()

    def call(self, inputs, states):
        return -0.1 * inputs.gradient - 0.02 * inputs.params, states


class Blind(OptimizerCell):
    """u_t = -g_t, and no params are to be seen."""

    def get_initial_state(self, layout):
        return ()

    def call(self, inputs, states):
        assert inputs.params == ()
        return -inputs.gradient, states


def test_params_go_to_those_who_read_them_and_to_no_other():
    assert not StepwiseMixture(LearnableSGD(), (SGD(),)).reads_params
    gradient, params = tf.constant([1.0, 2.0]), tf.constant([3.0, 5.0])
    inputs = make_inputs(gradient, params=params)
    layout = vector_layout(2)
    for learner, other, p in (
        (WeightDecay(0.1, 0.02), Blind(), 0.0),
        (LearnableSGD(), DecayedDescent(), 1.0),
    ):
        mixture = StepwiseMixture(learner, (other,), p)
        assert mixture.reads_params
        update, _ = mixture.call(inputs, mixture.get_initial_state(layout))
        np.testing.assert_allclose(
            update, -0.1 * gradient - 0.02 * params, rtol=1e-6
        )


def test_the_weights_are_the_learners():
    learner = DMLSTM(units=(2,))
    mixture = StepwiseMixture(learner, (SGD(), Adam()), 0.3)
    assert mixture.meta_layout == learner.meta_layout
    mixture.assign_meta_params(2.0 * mixture.meta_params())
    np.testing.assert_array_equal(mixture.meta_params(), learner.meta_params())


# Configuration


def test_a_mixture_comes_back_from_its_configuration():
    learner = DMLSTM(units=(2,), output_scale=0.3, seed=4)
    others = (SGD(0.2), Adam(0.3, beta_1=0.5))
    mixture = StepwiseMixture(learner, others, 0.3, seed=9, name="mixed")
    record = keras.saving.serialize_keras_object(mixture)
    twin = keras.saving.deserialize_keras_object(json.loads(json.dumps(record)))
    assert twin.get_config() == mixture.get_config()
    assert type(twin.learner) is DMLSTM
    assert twin.learner.units == (2,)
    assert [type(c) for c in twin.auxiliaries] == [SGD, Adam]
    assert twin.auxiliaries[1].beta_1 == 0.5
    assert (twin.probability, twin.seed, twin.name) == (0.3, 9, "mixed")


def test_a_configuration_has_initial_weights_and_trained_ones_are_assigned():
    mixture = StepwiseMixture(
        DMLSTM(units=(2,), output_scale=0.3, seed=4), (SGD(0.2),), 0.3
    )
    initial = mixture.meta_params().numpy()
    mixture.assign_meta_params(1.5 * initial)
    twin = StepwiseMixture.from_config(mixture.get_config())
    np.testing.assert_array_equal(twin.meta_params(), initial)
    twin.assign_meta_params(mixture.meta_params())
    gradients = np.random.RandomState(0).randn(8, 3).astype("f4")
    for a, b in zip(
        tf.nest.flatten(feed(mixture, gradients)),
        tf.nest.flatten(feed(twin, gradients)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


# The probability of an episode


@pytest.mark.parametrize(
    ("episode", "share"),
    [(0, 1.0), (50, 0.5), (99, 0.01), (100, 0.0), (1000, 0.0)],
)
def test_the_probability_falls_linearly_to_zero(episode, share):
    for estimator, first in (
        (SelfImproving(TruncatedBackpropagation(3), auxiliaries()), 0.25),
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
        TruncatedBackpropagation(3), auxiliaries(), decay_episodes=4
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


# What is refused


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("probability", -0.1),
        ("probability", 0.51),
        ("probability", math.nan),
        ("auxiliaries", ()),
        ("auxiliaries", ("adam",)),
    ],
)
def test_a_mixture_refuses_what_is_out_of_range(argument, value):
    arguments = {"auxiliaries": (SGD(), Adam()), argument: value}
    with pytest.raises(ValueError, match="Received: ") as caught:
        StepwiseMixture(LearnableSGD(), **arguments)
    assert f"Received: {argument}={value!r}." in str(caught.value)


def test_the_seed_of_a_mixture_is_an_int():
    with pytest.raises(ValueError, match="Received: seed='a'"):
        StepwiseMixture(LearnableSGD(), (SGD(),), seed="a")


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


def test_the_papers_numbers_are_the_default():
    estimator = SelfImproving(TruncatedBackpropagation(7), auxiliaries())
    assert estimator.unroll_length == 7
    assert estimator.start_probability == 0.25
    assert estimator.decay_episodes == 100
