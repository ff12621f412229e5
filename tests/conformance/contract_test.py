"""What every cell, optimizee and estimator promises, whatever it computes."""

import numpy as np
import pytest
import tensorflow as tf
from conformance.registry import (
    CELLS,
    COORDINATEWISE,
    ESTIMATORS,
    OPTIMIZEES,
    SEED,
    each,
    start,
)
from support.cells import make_inputs

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.estimators.pairs import Pair
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import inner_step, unroll

LAYOUT = Layout(("w", "b", "c"), ((2, 2), (3,), ()))
SIZE = LAYOUT.size


def random_gradient(seed, size=SIZE):
    return np.random.RandomState(seed).randn(size).astype("f4")


def inputs_of(cell, gradient, step=1):
    params = tf.ones_like(gradient) if cell.reads_params else ()
    return make_inputs(gradient, step, params)


def specs(nest):
    return [(t.shape, t.dtype) for t in tf.nest.flatten(nest)]


def feed(cell, gradients):
    states = cell.get_initial_state(LAYOUT)
    updates = []
    for t, gradient in enumerate(gradients):
        update, states = cell.call(inputs_of(cell, gradient, t + 1), states)
        updates.append(update.numpy())
    return np.stack(updates), states


@each(CELLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cell_keeps_the_structure_shapes_and_dtypes_of_its_state(
    entry, dtype
):
    cell = entry.build(dtype=dtype)
    before = cell.get_initial_state(LAYOUT)
    gradient = random_gradient(0).astype(dtype)
    update, after = cell.call(inputs_of(cell, gradient), before)
    tf.nest.assert_same_structure(before, after)
    assert specs(before) == specs(after)
    assert specs(update) == [((SIZE,), tf.as_dtype(dtype))]
    # Seeds are ints; what is computed with has the cell's dtype.
    assert {d for _, d in specs(before) if d.is_floating} <= {
        tf.as_dtype(dtype)
    }


@each(CELLS)
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-6, 1.0, 1e6])
def test_an_update_is_finite(entry, scale):
    gradients = [scale * random_gradient(t) for t in range(5)]
    updates, states = feed(entry.build(), gradients)
    assert np.isfinite(updates).all()
    for tensor in tf.nest.flatten(states):
        assert np.isfinite(tensor).all()


@each(CELLS)
def test_an_update_depends_on_the_gradient(entry):
    # Two steps: RNNprop sees only the sign of the first gradient.
    cell = entry.build()
    one, other = (
        feed(cell, [random_gradient(s), random_gradient(s + 2)])[0][-1]
        for s in (0, 1)
    )
    assert (one != other).all()


@each({k: CELLS[k] for k in sorted(COORDINATEWISE)})
def test_permuting_coordinates_permutes_updates(entry):
    cell = entry.build()
    order = np.random.RandomState(5).permutation(SIZE)
    gradients = np.stack([random_gradient(t) for t in range(3)])
    updates, states = feed(cell, gradients)
    permuted, permuted_states = feed(cell, gradients[:, order])
    np.testing.assert_allclose(permuted, updates[:, order], rtol=1e-6)
    for a, b in zip(
        tf.nest.flatten(states), tf.nest.flatten(permuted_states), strict=True
    ):
        # A tensor without an axis of coordinates stays as it is.
        if a.shape[-1:] == (SIZE,):
            a = a.numpy()[..., order]
        np.testing.assert_allclose(b, a, rtol=1e-6)


@each({k: CELLS[k] for k in sorted(COORDINATEWISE)})
def test_a_coordinate_does_not_see_the_others(entry):
    cell = entry.build()
    gradients = np.stack([random_gradient(t) for t in range(3)])
    changed = gradients.copy()
    changed[:, 1:] *= -3.0
    one, other = feed(cell, gradients)[0], feed(cell, changed)[0]
    np.testing.assert_allclose(one[:, 0], other[:, 0], rtol=1e-6)
    assert (one[:, 1:] != other[:, 1:]).all()


@each(CELLS)
def test_updates_are_added_to_the_params(entry):
    cell, problem = entry.build(), OPTIMIZEES["mlp"].build()
    carry = start_episode(cell, problem, SEED)
    after, step = inner_step(cell, problem, carry)
    np.testing.assert_array_equal(after.params, carry.params + step.update)
    assert (after.params != carry.params).numpy().any()


@each(CELLS)
def test_given_weights_equal_to_the_cells_change_nothing(entry):
    cell = entry.build()
    inputs = inputs_of(cell, random_gradient(0))
    weights = tuple(tf.convert_to_tensor(w) for w in cell.trainable_variables)
    states = cell.get_initial_state(LAYOUT)
    own, _ = cell.stateless_update(None, inputs, states)
    given, _ = cell.stateless_update(weights, inputs, states)
    np.testing.assert_array_equal(own, given)


@each({k: e for k, e in CELLS.items() if e.build().trainable_variables})
def test_meta_params_go_out_and_back_in(entry):
    cell = entry.build()
    before = cell.meta_params().numpy()
    assert before.shape == (cell.meta_layout.size,)
    cell.assign_meta_params(2.0 * before)
    np.testing.assert_array_equal(cell.meta_params(), 2.0 * before)
    first = cell.trainable_variables[0].numpy().ravel()
    np.testing.assert_array_equal(first, 2.0 * before[: first.size])


@each(OPTIMIZEES)
def test_an_optimizee_is_a_scalar_of_a_vector(entry):
    problem = entry.build()
    x, constants = problem.reset(SEED)
    assert specs(x) == [((problem.layout.size,), tf.float32)]
    batch = problem.sample(seeds.fold_in(SEED, 1))
    loss, gradient = problem.loss_and_gradient(x, constants, batch)
    assert specs(loss) == [((), tf.float32)]
    assert specs(gradient) == specs(x)
    np.testing.assert_allclose(
        loss, problem.loss(x, constants, batch), rtol=1e-6
    )


@each(OPTIMIZEES)
def test_an_optimizees_gradient_is_the_slope_of_its_loss(entry):
    problem = entry.build()
    x, constants = problem.reset(SEED)
    batch = problem.sample(seeds.fold_in(SEED, 1))
    _, gradient = problem.value_and_gradient(x, constants, batch)
    direction = gradient / tf.norm(gradient)
    step = 1e-2
    up, down = (
        problem.loss(x + s * step * direction, constants, batch)
        for s in (1.0, -1.0)
    )
    slope = (up - down) / (2 * step)
    np.testing.assert_allclose(slope, tf.norm(gradient), rtol=1e-2)


@each(OPTIMIZEES)
def test_an_optimizee_shows_the_gradient_of_its_loss_or_says_so(entry):
    problem = entry.build()
    x, constants = problem.reset(SEED)
    batch = problem.sample(seeds.fold_in(SEED, 1))
    loss, shown = problem.loss_and_gradient(x, constants, batch)
    value, exact = problem.value_and_gradient(x, constants, batch)
    np.testing.assert_array_equal(loss, value)
    same = np.array_equal(shown, exact)
    assert same == problem.exact_gradients


@each(OPTIMIZEES)
def test_an_objectives_batch_gives_a_loss(entry):
    problem = entry.build()
    x, constants = problem.reset(SEED)
    batch = problem.sample_objective(seeds.fold_in(SEED, 2))
    loss = problem.loss(x, constants, batch)
    assert specs(loss) == [((), tf.float32)]
    assert np.isfinite(loss)


def _of_last_pair(carry):
    if isinstance(carry, Pair):
        return tf.nest.map_structure(lambda leaf: leaf[-1], carry.positive)
    return carry


@each(ESTIMATORS)
@pytest.mark.parametrize("name", ["dm", "learnable_sgd"])
def test_an_estimator_gives_a_gradient_and_moves_the_episode_on(entry, name):
    cell, problem = CELLS[name].build(), OPTIMIZEES["mlp"].build()
    estimator = entry.build()
    before = start(estimator, cell, problem)
    estimate, end = estimator.estimate(
        cell, problem, cell.meta_params(), before
    )
    gradient = estimate.meta_gradient.numpy()
    assert gradient.shape == (cell.meta_layout.size,)
    assert np.isfinite(gradient).all()
    assert (gradient != 0.0).any()
    assert estimate.meta_loss.numpy() > 0.0
    assert estimate.last_loss.numpy() > 0.0
    tf.nest.assert_same_structure(before, end)
    assert specs(before) == specs(end)
    first, last = (_of_last_pair(carry) for carry in (before, end))
    assert last.step.numpy() == estimator.unroll_length
    assert (last.params != first.params).numpy().any()
    memory = cell.get_initial_state(problem.layout)
    tf.nest.assert_same_structure(estimator.memory(end), memory)
    assert specs(estimator.memory(end)) == specs(memory)


@each(
    {k: e for k, e in ESTIMATORS.items() if e.kind is TruncatedBackpropagation}
)
@pytest.mark.parametrize("name", ["dm", "learnable_sgd"])
def test_backpropagation_follows_the_cell_and_adds_losses_up(entry, name):
    cell, problem = CELLS[name].build(), OPTIMIZEES["mlp"].build()
    estimator = entry.build()
    before = start(estimator, cell, problem)
    estimate, end = estimator.estimate(
        cell, problem, cell.meta_params(), before
    )
    assert estimate.meta_loss.numpy() > estimate.last_loss.numpy()
    expected, _ = unroll(cell, problem, before, estimator.unroll_length)
    np.testing.assert_allclose(end.params, expected.params, rtol=1e-5)
