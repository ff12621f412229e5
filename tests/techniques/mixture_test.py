"""A cell in which optimizers take turns: who makes a step, and how often."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed, make_inputs, vector_layout
from support.mixtures import (
    F64,
    NOISY,
    SEED,
    drawn,
    each_learner,
)
from support.toy_cells import (
    Ahead,
    DecayedDescent,
    LearnedStart,
    WeightDecay,
)

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.mixture import StepwiseMixture
from l2o_tf.unroll.carry import (
    start_episode,
)
from l2o_tf.unroll.engine import unroll


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


class Blind(OptimizerCell):
    """u_t = -g_t, and no params are to be seen."""

    def get_initial_state(self, layout, seed=None):
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


# What the learner says of itself


class KeepsVelocity(LearnedStart):
    """A cell whose memory is the velocity, not the count."""

    def keep_memory(self, fresh, old):
        return fresh._replace(velocity=old.velocity)


def test_the_memory_is_what_the_learner_counts_as_memory():
    layout = vector_layout(2)
    for learner, count in ((KeepsVelocity(), 0), (LearnedStart(), 2)):
        mixture = StepwiseMixture(learner, (Momentum(), Adam()), 0.3)
        _, old = feed(mixture, tf.ones([2, 2]))
        fresh = mixture.get_initial_state(layout)
        kept = mixture.keep_memory(fresh, old)
        np.testing.assert_array_equal(
            kept.learner.velocity, old.learner.velocity
        )
        assert kept.learner.count.numpy() == count
        # The others begin afresh, and so do the choices.
        for a, b in zip(
            tf.nest.flatten(kept._replace(learner=())),
            tf.nest.flatten(fresh._replace(learner=())),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
        assert (fresh.learner.velocity != kept.learner.velocity).numpy().all()


def test_a_learner_that_looks_ahead_is_refused():
    with pytest.raises(ValueError, match="Received: cell=Ahead with looks_ah"):
        StepwiseMixture(Ahead(), (SGD(),))


def test_the_learners_first_state_is_of_the_weights_given():
    mixture = StepwiseMixture(LearnedStart(), (SGD(),))
    weights = (tf.constant([0.1, 0.5]), tf.constant(7.0))
    state = mixture.stateless_initial_state(
        weights, vector_layout(2), seeds.make_seed(0)
    )
    np.testing.assert_array_equal(state.learner.velocity, [7.0, 7.0])


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
