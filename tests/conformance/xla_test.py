"""Eager, graph and XLA give the same numbers, for everything registered."""

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
from support.cells import make_inputs, vector_layout
from support.execution import assert_same_everywhere

from l2o_tf.core import seeds


@each(CELLS)
def test_a_cells_updates_agree_everywhere(entry):
    cell = entry.build()
    rng = np.random.RandomState(0)
    gradients = (rng.randn(3, 5) * 10.0 ** rng.uniform(-4, 1, 5)).astype("f4")
    layout = vector_layout(5)

    def three_steps(gradients):
        states, updates = cell.get_initial_state(layout), []
        for t in range(3):
            params = gradients[t] if cell.reads_params else ()
            inputs = make_inputs(gradients[t], t + 1, params)
            update, states = cell.call(inputs, states)
            updates.append(update)
        return tf.stack(updates), states

    assert_same_everywhere(three_steps, gradients, rtol=1e-5, atol=1e-6)


@each(OPTIMIZEES)
def test_an_optimizee_agrees_everywhere(entry):
    problem = entry.build()

    def first_step(start, draw):
        x, constants = problem.reset(start)
        batch = problem.sample(draw)
        return (
            x,
            constants,
            batch,
            problem.loss_and_gradient(x, constants, batch),
        )

    assert_same_everywhere(
        first_step, SEED, seeds.make_seed(1), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("estimator", "name"),
    [(k, name) for k, e in ESTIMATORS.items() for name in cells_of(e)],
)
def test_an_estimator_agrees_everywhere(estimator, name):
    cell, problem = CELLS[name].build(), OPTIMIZEES["mlp"].build()
    estimator = ESTIMATORS[estimator].build()
    assert_same_everywhere(
        lambda weights, carry: estimator.estimate(
            cell, problem, weights, carry
        ),
        cell.meta_params(),
        start(estimator, cell, problem),
        rtol=1e-5,
        atol=1e-5,
    )
