"""Rastrigin: its definition in numpy, its known minimum, fresh constants."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.numerical import (
    assert_is,
    assert_resets_are_fresh,
    assert_standard_normal,
)

from l2o_tf.core import seeds
from l2o_tf.optimizees.rastrigin import Rastrigin


def rendering(alpha):
    def loss(x, constants):
        a, b, c = constants
        n, d = b.shape
        total = 0.0
        for i in range(n):
            x_i = x[i * d : (i + 1) * d]
            residual = a[i] @ x_i - b[i]
            wave = c[i] @ np.cos(2 * np.pi * x_i)
            total += 0.5 * residual @ residual - alpha * wave + alpha * d
        return total / n

    return loss


@settings(max_examples=15, deadline=None)
@given(
    batch_size=st.integers(1, 4),
    dim=st.integers(1, 4),
    alpha=st.floats(0.0, 20.0),
    seed=st.integers(0, 1000),
)
def test_it_is_its_definition(batch_size, dim, alpha, seed):
    problem = Rastrigin(batch_size, dim, alpha)
    x, constants = problem.reset(seeds.make_seed(seed))
    assert_is(problem, rendering(alpha), x, constants)


@settings(max_examples=15, deadline=None)
@given(dim=st.integers(1, 4), seed=st.integers(0, 1000))
def test_the_textbooks_function_has_its_minimum_zero_at_zero(dim, seed):
    problem = Rastrigin(batch_size=1, dim=dim)
    zero = tf.zeros([1, dim], tf.float64)
    constants = (tf.eye(dim, batch_shape=[1], dtype=zero.dtype), zero, zero + 1)
    loss, gradient = problem.loss_and_gradient(zero[0], constants, ())
    assert loss.numpy() == 0.0
    np.testing.assert_array_equal(gradient, np.zeros(dim))
    other = np.random.RandomState(seed).normal(size=dim)
    assert problem.loss(tf.constant(other), constants, ()) > 0.0


def test_an_integer_point_of_the_textbooks_function_pays_the_bowl_only():
    problem = Rastrigin(batch_size=1, dim=2, alpha=7.0)
    zero = tf.zeros([1, 2], tf.float64)
    constants = (tf.eye(2, batch_shape=[1], dtype=zero.dtype), zero, zero + 1)
    x = tf.constant([3.0, -1.0], tf.float64)
    np.testing.assert_allclose(problem.loss(x, constants, ()), 5.0, rtol=1e-12)
    # Half a period off, each wave costs 2 alpha.
    x = tf.constant([3.5, 0.0], tf.float64)
    np.testing.assert_allclose(
        problem.loss(x, constants, ()), 3.5**2 / 2 + 14.0, rtol=1e-12
    )


def test_there_are_256_coordinates_and_a_wave_of_10_by_default():
    problem = Rastrigin()
    assert problem.layout.size == 256
    assert problem.layout.names == ("x",)
    assert problem.layout.shapes == ((128, 2),)
    assert problem.alpha == 10.0


def test_start_and_constants_are_standard_normal():
    x, constants = Rastrigin(batch_size=3000).reset(seeds.make_seed(0))
    shapes = [tuple(c.shape) for c in constants]
    assert shapes == [(3000, 2, 2), (3000, 2), (3000, 2)]
    for values in (x, *constants):
        assert_standard_normal(values)


def test_a_reset_redraws_start_and_constants():
    assert_resets_are_fresh(Rastrigin(4, 3), seeds.make_seed)


def test_start_and_constants_are_independent_draws():
    x, constants = Rastrigin(batch_size=3).reset(seeds.make_seed(0))
    drawn = np.concatenate([c.numpy().ravel() for c in (x, *constants)])
    assert len(set(drawn)) == 6 + 12 + 6 + 6


def test_there_is_no_batch():
    assert Rastrigin().sample(seeds.make_seed(0)) == ()


@pytest.mark.parametrize("argument", ["batch_size", "dim"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True])
def test_bad_sizes_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        Rastrigin(**{argument: value})


@pytest.mark.parametrize("alpha", [-0.1, np.nan, np.inf, "1"])
def test_a_bad_wave_is_refused(alpha):
    with pytest.raises(ValueError, match=f"Received: alpha={alpha!r}"):
        Rastrigin(alpha=alpha)
