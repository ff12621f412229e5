"""Windows differentiated a segment at a time, and losses measured per step."""

import re

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic, NoisyQuadratic
from support.execution import assert_same_everywhere
from support.toy_cells import LearnableMomentum, LearnedStart

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.unroll.carry import boundary_seed, objective_seed
from l2o_tf.unroll.meta_losses import (
    LogRatio,
    LossAt,
    MeanAfterUpdates,
)

F64 = {"dtype": "float64"}
NOISY = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
SEED = seeds.make_seed(11)


def windows(cell, problem, estimator, count=2, length=None):
    """Return the estimate of the last window, and the carry behind it."""
    weights = cell.meta_params()
    context = EpisodeContext(tf.constant(0), ())
    carry = estimator.start(cell, problem, SEED, context, weights)
    for _ in range(count):
        result, carry = estimator.estimate(
            cell, problem, weights, carry, length
        )
    return result, carry


def assert_equal(a, b, rtol=1e-11):
    pairs = zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True)
    for x, y in pairs:
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize(
    ("segment_length", "count", "length"),
    [(1, 2, None), (2, 1, 6), (3, 2, 4), (3, 1, 1), (7, 2, None), (9, 1, 7)],
)
@pytest.mark.parametrize("second", [False, True])
def test_segments_are_the_whole_tape(segment_length, second, count, length):
    cell = LearnedStart(**F64)
    whole, cut = (
        TruncatedBackpropagation(
            7,
            MeanAfterUpdates(),
            second_derivatives=second,
            backward="tape",
            objective="step",
            segment_length=segment,
        )
        for segment in (None, segment_length)
    )
    length = None if length is None else tf.constant(length)
    expected = windows(cell, NOISY, whole, count, length)
    assert_equal(windows(cell, NOISY, cut, count, length), expected)
    assert np.abs(expected[0].meta_gradient).max() > 1e-2


@pytest.mark.parametrize("objective", ["minibatch", "window", "step"])
@pytest.mark.parametrize("meta_loss", [LogRatio(), LossAt(-2)])
def test_segments_serve_every_meta_loss_and_objective(meta_loss, objective):
    cell = LearnableMomentum(**F64)
    whole, cut = (
        TruncatedBackpropagation(
            5,
            meta_loss,
            backward="tape",
            objective=objective,
            segment_length=segment,
        )
        for segment in (None, 2)
    )
    for length in (None, tf.constant(3)):
        expected = windows(cell, NOISY, whole, 2, length)
        assert_equal(windows(cell, NOISY, cut, 2, length), expected)


def test_segments_are_the_same_everywhere():
    cell = DMLSTM(units=(2,), output_scale=0.3)
    problem = DiagonalQuadratic([0.5, 3.0], [1.0, -2.0], "float32")
    estimator = TruncatedBackpropagation(
        5, second_derivatives=True, segment_length=2
    )
    context = EpisodeContext(tf.constant(0), ())

    def run(weights, length):
        carry = estimator.start(cell, problem, SEED, context, weights)
        return estimator.estimate(cell, problem, weights, carry, length)

    assert_same_everywhere(
        run, cell.meta_params(), np.int32(4), rtol=1e-5, atol=1e-5
    )


def test_a_long_window_needs_the_memory_of_its_segments():
    """What a compiled backward pass keeps, of 900 steps: 30 + 30 of them."""
    cell = LearnableMomentum()
    problem = DiagonalQuadratic(np.full(2_000, 0.5), np.ones(2_000), "float32")
    context = EpisodeContext(tf.constant(0), ())

    def most_vectors(segment):
        estimator = TruncatedBackpropagation(
            900, second_derivatives=True, segment_length=segment
        )

        def run(weights):
            carry = estimator.start(cell, problem, SEED, context, weights)
            return estimator.estimate(cell, problem, weights, carry)

        ir = compiled(run, jit_compile=True).experimental_get_compiler_ir(
            cell.meta_params()
        )
        arrays = re.findall(r"f32\[(\d+),2000\]", ir(stage="optimized_hlo"))
        return max(int(count) for count in arrays)

    assert (most_vectors(None), most_vectors(30)) == (900, 30)


def test_the_adjoint_has_no_segments():
    with pytest.raises(
        ValueError, match="segment_length=3, backward='adjoint'"
    ):
        TruncatedBackpropagation(6, backward="adjoint", segment_length=3)
    with pytest.raises(ValueError, match="Received: segment_length=0"):
        TruncatedBackpropagation(6, segment_length=0)


# Losses measured afresh for every step


@pytest.mark.parametrize("backward", ["adjoint", "tape"])
def test_a_step_s_loss_is_on_its_own_draw(backward):
    cell = LearnableSGD(0.1, **F64)
    estimator = TruncatedBackpropagation(
        3, MeanAfterUpdates(), backward=backward, objective="step"
    )
    weights = cell.meta_params()
    context = EpisodeContext(tf.constant(0), ())
    carry = estimator.start(cell, NOISY, SEED, context, weights)
    result, _ = estimator.estimate(cell, NOISY, weights, carry)
    x, losses = carry.params, []
    for t in range(3):
        at = carry._replace(params=x, step=tf.constant(t))
        batch = NOISY.sample(seeds.fold_in(seeds.fold_in(SEED, 1), t))
        _, gradient = NOISY.value_and_gradient(x, (), batch)
        x = x - 0.1 * gradient
        draw = NOISY.sample_objective(objective_seed(at, tf.constant(t + 1)))
        losses.append(NOISY.loss(x, (), draw))
    np.testing.assert_allclose(result.meta_loss, np.mean(losses), rtol=1e-12)
    np.testing.assert_allclose(result.last_loss, losses[-1], rtol=1e-12)


@pytest.mark.parametrize("objective", ["minibatch", "window", "step"])
@pytest.mark.parametrize("length", [None, 2])
def test_the_adjoint_is_the_tape_and_measuring_is_both(objective, length):
    cell = LearnedStart(**F64)
    length = None if length is None else tf.constant(length)
    adjoint, tape = (
        TruncatedBackpropagation(
            4, LogRatio(), backward=backward, objective=objective
        )
        for backward in ("adjoint", "tape")
    )
    expected = windows(cell, NOISY, tape, 2, length)
    assert_equal(windows(cell, NOISY, adjoint, 2, length), expected)
    _, carry = windows(cell, NOISY, tape, 1, length)
    measured, end = tape.measure(cell, NOISY, cell.meta_params(), carry, length)
    assert measured.meta_gradient == ()
    assert_equal(
        (measured.meta_loss, measured.last_loss, end),
        (expected[0].meta_loss, expected[0].last_loss, expected[1]),
    )


def test_without_an_objective_the_end_is_on_the_boundary_s_minibatch():
    cell = LearnableSGD(0.1, **F64)
    result, carry = windows(
        cell, NOISY, TruncatedBackpropagation(3, LossAt(-1)), 1
    )
    batch = NOISY.sample(boundary_seed(carry))
    np.testing.assert_allclose(
        result.meta_loss, NOISY.loss(carry.params, (), batch), rtol=1e-12
    )
