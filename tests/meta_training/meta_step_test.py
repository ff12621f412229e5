"""One meta-update alone is what an episode makes of a window."""

import tensorflow as tf
from support.stablehlo import commented, entry, parse
from support.training import same

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.interop.stablehlo import stablehlo_text
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.meta_training.episode import train_episode
from l2o_tf.meta_training.meta_step import meta_step, meta_step_arguments
from l2o_tf.optimizees.quadratics import Quadratic
from l2o_tf.optimizers.adam import Adam

PARTS = (
    DMLSTM(units=(3,), output_scale=0.1),
    Quadratic(2, 3),
    TruncatedBackpropagation(2),
    Adam(0.01),
)


def test_two_meta_steps_are_an_episode_of_two_windows():
    start, carry = meta_step_arguments(*PARTS, seed=5)
    step = compiled(
        lambda state, carry: meta_step(*PARTS, state, carry), jit_compile=False
    )
    first = step(start, carry)
    second = step(first.state, first.carry)
    episode = compiled(
        lambda state, seed, count: train_episode(*PARTS, state, seed, count),
        jit_compile=False,
    )
    state, report, _ = episode(start, seeds.make_seed(5), tf.constant(2))
    assert same(second.state, state)
    assert second.state.step.numpy() == 2
    assert not same(first.state.meta_params, start.meta_params)
    assert second.last_loss.numpy() == report.last_loss.numpy()
    mean = (first.meta_loss + second.meta_loss) / 2.0
    assert mean.numpy() == report.mean_loss.numpy()
    assert first.finite.numpy()
    assert report.skipped.numpy() == 0


def test_a_remembering_estimator_begins_with_a_fresh_memory():
    cell, problem, _, adam = PARTS
    estimator = TruncatedBackpropagation(2, keep_memory=True)
    parts = (cell, problem, estimator, adam)
    state, carry = meta_step_arguments(*parts)
    fresh = cell.get_initial_state(problem.layout)
    expected = estimator.start(
        cell,
        problem,
        seeds.make_seed(0),
        EpisodeContext(tf.constant(0), fresh),
        state.meta_params,
    )
    assert same(carry, expected)


def test_as_stablehlo_it_maps_weights_slots_and_carry_to_the_same():
    state, carry = meta_step_arguments(*PARTS)
    specs = tf.nest.map_structure(
        lambda t: tf.TensorSpec(t.shape, t.dtype), (state, carry)
    )
    text = stablehlo_text(
        "meta_step",
        lambda *arguments: meta_step(*PARTS, *arguments)._asdict(),
        {"state": specs[0], "carry": specs[1]},
    )
    assert parse(text)
    arguments, results = commented(text)
    assert ([t for _, t in arguments], [t for _, t in results]) == entry(text)
    # What goes in comes out, at the same places, before what is seen of it.
    assert results[: len(arguments)] == arguments
    assert arguments[:4] == [
        ("state.meta_params", "float32 [76]"),
        ("state.slots.first_moment", "float32 [76]"),
        ("state.slots.second_moment", "float32 [76]"),
        ("state.step", "int32 []"),
    ]
    assert [name for name, _ in results[len(arguments) :]] == [
        "meta_loss",
        "last_loss",
        "finite",
    ]
    assert "stablehlo.while" in text
    assert "stablehlo.rng_bit_generator" in text
