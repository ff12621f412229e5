"""The same seed gives the same bits, another seed other numbers."""

import numpy as np
import pytest
import tensorflow as tf
from conformance.registry import (
    CELLS,
    ESTIMATORS,
    OPTIMIZEES,
    SEED,
    cells_of,
    each,
    start,
)

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll

OTHER = seeds.make_seed(99)
# Problems without anything random.
FIXED = ("simple", "two_minima")


def assert_same_bits(actual, expected):
    for a, b in zip(
        tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@each(CELLS)
def test_an_episode_repeats_bit_for_bit(entry):
    problem = OPTIMIZEES["mlp"].build()

    def episode(seed):
        cell = entry.build()
        carry = start_episode(cell, problem, seed)
        return unroll(cell, problem, carry, 4, collect=lambda s: s.loss)

    first, again, other = (episode(seed) for seed in (SEED, SEED, OTHER))
    assert_same_bits(first, again)
    assert (first[0].params != other[0].params).numpy().all()
    assert (first[1] != other[1]).numpy().all()


@each({k: e for k, e in OPTIMIZEES.items() if k not in FIXED})
def test_another_seed_is_another_problem(entry):
    problem, twin = entry.build(), entry.build()
    assert_same_bits(problem.reset(SEED), twin.reset(SEED))
    assert_same_bits(problem.sample(SEED), twin.sample(SEED))
    for a, b in zip(
        tf.nest.flatten((problem.reset(SEED), problem.sample(SEED))),
        tf.nest.flatten((problem.reset(OTHER), problem.sample(OTHER))),
        strict=True,
    ):
        assert (a != b).numpy().any()


@each(ESTIMATORS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_estimate_repeats_bit_for_bit(entry, jit_compile):
    cell, problem = CELLS[cells_of(entry)[0]].build(), OPTIMIZEES["mlp"].build()
    estimator = entry.build()
    run = compiled(
        lambda weights, seed: estimator.estimate(
            cell, problem, weights, start(estimator, cell, problem, seed)
        ),
        jit_compile,
    )
    weights = cell.meta_params()
    first, again, other = (run(weights, s) for s in (SEED, SEED, OTHER))
    assert_same_bits(first, again)
    gradients = first[0].meta_gradient, other[0].meta_gradient
    assert (gradients[0] != gradients[1]).numpy().mean() > 0.9
