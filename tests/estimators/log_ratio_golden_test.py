"""L2O-Scale's unroll against vectors recorded from the original program."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed
from support.hierarchical import (
    FIRST_STEP,
    FIXTURE,
    UnrollProblem,
    flat,
    flat_weights,
    load_cell,
    load_state,
    original_name,
    tensors,
    unroll_carry,
)
from support.small_problem import relative_error

from l2o_tf.core.compile import compiled
from l2o_tf.estimators.imitation import imitation_window
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.optimizers.base import OptimizerInputs
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.unroll.carry import batch_seed
from l2o_tf.unroll.engine import unroll
from l2o_tf.unroll.meta_losses import LogRatio

LENGTH = 5
# J of case "first" is a mean of logarithms of ratios near 1: rounding.
J_TOLERANCE = {"first": 1e-4, "carry": 1e-6}


@functools.cache
def _load(path, prefix):
    with np.load(path) as stored:
        return {
            key.removeprefix(prefix): stored[key]
            for key in stored.files
            if key.startswith(prefix)
        }


@pytest.fixture(params=["random", "released"])
def golden(request):
    """The recorded unroll of random weights, or of released ones."""
    if request.param == "random":
        return _load(FIXTURE, "unroll/")
    folder = request.getfixturevalue("shared_dir")
    return _load(folder / "golden" / "train_unroll_first.npz", "")


class RatioTo(LogRatio):
    """A ratio to a given number, that of an episode begun elsewhere."""

    def __init__(self, initial):
        super().__init__()
        self.initial = initial

    def of(self, window):
        return super().of(window._replace(initial=tf.constant(self.initial)))


def start_of(golden, case):
    return tensors(
        golden, "carried/param" if case == "carry" else "init_tensor"
    )


def window_function(golden, cell, case, backward="adjoint"):
    """Return the recorded window as a function of the weights."""
    start = start_of(golden, case)
    problem = UnrollProblem(golden, start)
    ratio = RatioTo(2.5) if case == "carry" else LogRatio()
    estimator = TruncatedBackpropagation(
        LENGTH, ratio, backward=backward, objective="window"
    )
    carry = unroll_carry(golden, "", start)
    return lambda w: estimator.estimate(cell, problem, w, carry)


def assert_gradient_is_recorded(gradient, golden, prefix, cell):
    """Compare weight by weight, on the scale of each one's largest entry."""
    layout = cell.meta_layout
    seen = 0
    for name, value in zip(layout.names, layout.split(gradient), strict=True):
        expected = golden[prefix + original_name(name)]
        if not expected.any():  # the state is carried: no initial vector
            assert not value.numpy().any(), name
            continue
        error = relative_error(value, expected.reshape(value.shape))
        assert error < 1e-4, (name, error)
        seen += 1
    assert seen >= 20


def assert_end_is_recorded(params, states, golden, case):
    recorded = tensors(golden, f"{case}/final/param")
    assert relative_error(params, flat(recorded)) < 1e-5
    layout = UnrollProblem(golden, recorded).layout
    expected = load_state(golden, f"{case}/final", layout)
    for value, other in zip(
        tf.nest.flatten(states), tf.nest.flatten(expected), strict=True
    ):
        assert value.shape == other.shape
        if value.shape.num_elements():
            assert relative_error(value, other) < 1e-5


def assert_window_is_recorded(golden, case, cell, estimate, carry):
    error = relative_error(estimate.meta_loss, golden[f"{case}/metaobj"])
    assert error < J_TOLERANCE[case]
    assert_gradient_is_recorded(
        estimate.meta_gradient, golden, f"{case}/grad/", cell
    )
    assert_end_is_recorded(carry.params, carry.states, golden, case)


@pytest.mark.parametrize("backward", ["adjoint", "tape"])
@pytest.mark.parametrize("case", ["first", "carry"])
def test_windows_equal_the_original(golden, case, backward):
    cell = load_cell(golden, "weights/")
    window = window_function(golden, cell, case, backward)
    estimate, carry = window(cell.meta_params())
    assert_window_is_recorded(golden, case, cell, estimate, carry)
    assert carry.step.numpy() == FIRST_STEP + LENGTH


@pytest.mark.parametrize(
    ("case", "backward", "jit_compile"),
    [
        ("first", "adjoint", False),
        ("carry", "tape", False),
        pytest.param("carry", "adjoint", True, marks=pytest.mark.slow),
    ],
)
def test_compiled_windows_equal_the_original(case, backward, jit_compile):
    golden = _load(FIXTURE, "unroll/")
    cell = load_cell(golden, "weights/")
    window = compiled(
        window_function(golden, cell, case, backward), jit_compile
    )
    estimate, carry = window(cell.meta_params())
    assert_window_is_recorded(golden, case, cell, estimate, carry)


@pytest.mark.parametrize("case", ["first", "carry"])
def test_losses_on_the_whole_data_equal_the_original(golden, case):
    cell = load_cell(golden, "weights/")
    start = start_of(golden, case)
    problem = UnrollProblem(golden, start)
    everything = problem.sample_objective(None)
    _, losses = unroll(
        cell,
        problem,
        unroll_carry(golden, "", start),
        LENGTH,
        collect=lambda s: problem.loss(s.params, (), everything),
    )
    recorded = golden[f"{case}/objectives"]
    # The first loss comes twice, that after the last update not at all.
    assert recorded[0] == recorded[1]
    np.testing.assert_allclose(losses, recorded[1:], rtol=1e-6)
    initial = {"first": losses[0], "carry": 2.5}[case]
    np.testing.assert_allclose(
        initial, golden[f"{case}/initial_obj"], rtol=1e-6
    )


def imitation(golden, cell):
    """Return a function of the weights: the window along the labels.

    Its result is `(J_mt, gradient [M], params, states)`. The original divides
    by the steps, and its labels are subtracted.
    """
    start = start_of(golden, "mt")
    problem = UnrollProblem(golden, start)
    carry = unroll_carry(golden, "", start)
    recorded = tensors(golden, "mt_label")
    labels = -np.concatenate([a.reshape(LENGTH, -1) for a in recorded], 1)
    params, gradients = carry.params, []
    for t in range(LENGTH):
        batch = problem.sample(
            batch_seed(carry._replace(step=tf.constant(FIRST_STEP + t)))
        )
        gradients.append(problem.loss_and_gradient(params, (), batch)[1])
        params = params + labels[t]
    inputs = OptimizerInputs(
        gradient=tf.stack(gradients),
        params=(),
        loss=tf.zeros([LENGTH]),
        step=FIRST_STEP + tf.range(1, LENGTH + 1),
    )

    def window(weights):
        loss, gradient, _, states = imitation_window(
            cell,
            cell.meta_layout.split(weights),
            inputs,
            tf.constant(labels),
            carry.states,
            LENGTH,
            "mean",
        )
        gradient = cell.meta_layout.flatten(gradient)
        return loss, gradient, states

    return lambda weights: (*window(weights), params)


def test_the_imitation_window_equals_the_original(golden):
    cell = load_cell(golden, "weights/")
    loss, gradient, states, params = imitation(golden, cell)(cell.meta_params())
    assert relative_error(loss, golden["mt/metaobjmt"]) < 1e-5
    assert_gradient_is_recorded(gradient, golden, "mt/gradmt/", cell)
    assert_end_is_recorded(params, states, golden, "mt")


def test_three_meta_updates_with_shared_slots_equal_the_original():
    golden = _load(FIXTURE, "unroll/")
    cell = load_cell(golden, "weights/")
    rmsprop = RMSProp(float(golden["rms_lr"]), epsilon=1e-20)
    meta_optimizer = RepairedGradients(rmsprop)
    weights, slots = cell.meta_params(), None
    window = window_function(golden, cell, "first")
    follow = imitation(golden, cell)
    before = weights.numpy()

    def ordinary(weights):
        return window(weights)[0].meta_gradient

    def imitating(weights):
        return follow(weights)[1]

    for step, gradient in enumerate((ordinary, ordinary, imitating)):
        updates, slots = feed(meta_optimizer, gradient(weights)[None], slots)
        weights = weights + updates[0]
        expected = flat_weights(cell, golden, f"rms/{step}/")
        assert np.abs(expected - before).max() > 1e-8
        # One unit in the last place of weights up to 4, and rounding.
        np.testing.assert_allclose(weights, expected, rtol=1.2e-7, atol=1e-7)
        np.testing.assert_allclose(
            slots.mean_square,
            flat_weights(cell, golden, f"rms_ms/{step}/"),
            rtol=1e-6,
        )
        before = expected
    total = flat_weights(cell, golden, "rms/2/") - cell.meta_params()
    moved = weights - cell.meta_params()
    assert np.abs(total).max() > 1e-5
    assert relative_error(moved, total) < 0.01
