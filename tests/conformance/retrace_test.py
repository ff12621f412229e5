"""The second call of every compiled function traces nothing."""

import numpy as np
import pytest
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
from support.execution import count_traces

from l2o_tf.core import seeds

OTHER = seeds.make_seed(99)


@each(CELLS)
def test_a_cell_is_traced_once(entry):
    cell = entry.build()
    states = cell.get_initial_state(vector_layout(4))
    calls = []
    for step in (1, 2, 90):
        gradient = np.full(4, step, "f4")
        params = gradient if cell.reads_params else ()
        calls.append((make_inputs(gradient, step, params), states))
    assert count_traces(cell.call, *calls) == 1


@each(OPTIMIZEES)
def test_an_optimizee_is_traced_once(entry):
    problem = entry.build()

    def first_step(start, draw):
        x, constants = problem.reset(start)
        return problem.loss_and_gradient(x, constants, problem.sample(draw))

    assert count_traces(first_step, (SEED, OTHER), (OTHER, SEED)) == 1


@each(ESTIMATORS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_estimator_is_traced_once_from_window_to_window(entry, jit_compile):
    cell, problem = CELLS[cells_of(entry)[0]].build(), OPTIMIZEES["mlp"].build()
    estimator = entry.build()
    weights = cell.meta_params()
    first = start(estimator, cell, problem)
    _, later = estimator.estimate(cell, problem, weights, first)
    traces = count_traces(
        lambda weights, carry: estimator.estimate(
            cell, problem, weights, carry
        ),
        (weights, first),
        (2.0 * weights, later),
        jit_compile=jit_compile,
    )
    assert traces == 1
