"""Square-cos: recorded numbers, its definition in numpy, fresh constants."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.numerical import (
    assert_is,
    assert_resets_are_fresh,
    assert_standard_normal,
    assert_uniform,
)
from support.problems import RecordedProblem, assert_gradient_is_recorded
from support.small_problem import relative_error

from l2o_tf.core import seeds
from l2o_tf.optimizees.square_cos import SquareCos


def rendering(x, constants):
    w, y, wcos = constants
    b, d = y.shape
    total = 0.0
    for n in range(b):
        x_n = x[n * d : (n + 1) * d]
        residual = w[n] @ x_n - y[n]
        wave = wcos[n] @ (10.0 * np.cos(2 * 3.1415926 * x_n))
        total += residual @ residual - wave.sum() + 10 * d
    return total / b


def test_loss_and_gradient_are_the_recorded_ones():
    recorded = RecordedProblem("square_cos")
    problem = SquareCos()
    constants = tuple(
        tf.constant(recorded.constants[k]) for k in ("w", "y", "wcos")
    )
    loss, gradient = problem.loss_and_gradient(
        tf.constant(recorded.params), constants, ()
    )
    assert relative_error(loss, recorded["loss"]) < 1e-5
    assert problem.layout.names == recorded.names
    assert_gradient_is_recorded(problem.layout.split(gradient), recorded)


@settings(max_examples=15, deadline=None)
@given(
    batch_size=st.integers(1, 4),
    dim=st.integers(1, 4),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1.0, 100.0]),
)
def test_it_is_its_definition(batch_size, dim, seed, scale):
    problem = SquareCos(batch_size, dim)
    x, constants = problem.reset(seeds.make_seed(seed))
    assert_is(problem, rendering, scale * x, constants)


def test_the_wave_has_the_originals_pi():
    # At x = 1000 the phase of 2 pi is 0; the original's is 1.07e-4 short.
    problem = SquareCos(batch_size=1, dim=1)
    x, zero = tf.constant([1000.0], tf.float64), tf.zeros([1, 1], tf.float64)
    one = tf.ones([1, 1, 1], tf.float64)
    _, gradient = problem.loss_and_gradient(x, (0.0 * one, zero, one), ())
    short = 2000 * (np.pi - 3.1415926)
    expected = -20 * 3.1415926 * np.sin(short)
    np.testing.assert_allclose(gradient, [expected], rtol=1e-6)


def test_there_are_256_coordinates_by_default():
    layout = SquareCos().layout
    assert layout.size == 256
    assert (layout.names, layout.shapes) == (("x",), ((128, 2),))


def test_start_and_constants_have_the_specified_laws():
    x, constants = SquareCos(batch_size=3000).reset(seeds.make_seed(0))
    assert_standard_normal(x / 0.01)
    shapes = [tuple(c.shape) for c in constants]
    assert shapes == [(3000, 2, 2), (3000, 2), (3000, 2, 2)]
    for values in constants:
        assert_uniform(values)


def test_a_reset_redraws_start_and_constants():
    assert_resets_are_fresh(SquareCos(4, 3), seeds.make_seed)


def test_the_two_matrices_are_independent_draws():
    _, (w, y, wcos) = SquareCos(batch_size=3).reset(seeds.make_seed(0))
    drawn = np.concatenate([c.numpy().ravel() for c in (w, y, wcos)])
    assert len(set(drawn)) == 12 + 6 + 12


def test_there_is_no_batch():
    assert SquareCos().sample(seeds.make_seed(0)) == ()


@pytest.mark.parametrize("argument", ["batch_size", "dim"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True])
def test_bad_sizes_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        SquareCos(**{argument: value})
