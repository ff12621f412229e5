"""The lasso: its definition in numpy, its known minimum, the kink at zero."""

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

from l2o_tf.core import seeds
from l2o_tf.optimizees.lasso import Lasso

# Not denormal: eager TensorFlow flushes those to zero.
penalties = st.just(0.0) | st.floats(1e-3, 2.0)


def rendering(l1):
    def loss(x, constants):
        w, y = constants
        b, d = y.shape
        total = 0.0
        for n in range(b):
            x_n = x[n * d : (n + 1) * d]
            residual = w[n] @ x_n - y[n]
            total += 0.5 * residual @ residual + l1 * np.abs(x_n).sum()
        return total / b

    return loss


@settings(max_examples=15, deadline=None)
@given(
    batch_size=st.integers(1, 4),
    dim=st.integers(1, 4),
    l1=penalties,
    seed=st.integers(0, 1000),
)
def test_it_is_its_definition(batch_size, dim, l1, seed):
    problem = Lasso(batch_size, dim, l1)
    x, constants = problem.reset(seeds.make_seed(seed))
    # Away from the kink by more than the step of the differences.
    x = 10.0 * x + 1e-3 * tf.sign(x)
    assert_is(problem, rendering(l1), x, constants)


def identity_problem(y):
    b, d = y.shape
    return tf.eye(d, batch_shape=[b], dtype=y.dtype), tf.constant(y)


@settings(max_examples=15, deadline=None)
@given(
    batch_size=st.integers(1, 4),
    dim=st.integers(1, 4),
    l1=penalties,
    seed=st.integers(0, 1000),
)
def test_the_minimum_with_the_identity_is_soft_thresholding(
    batch_size, dim, l1, seed
):
    rng = np.random.RandomState(seed)
    y = rng.normal(size=(batch_size, dim))
    problem, constants = Lasso(batch_size, dim, l1), identity_problem(y)
    best = np.sign(y) * np.maximum(np.abs(y) - l1, 0.0)
    kept = best != 0.0
    each = np.where(kept, l1 * np.abs(y) - l1**2 / 2, y**2 / 2)
    loss, gradient = problem.loss_and_gradient(
        tf.constant(best.ravel()), constants, ()
    )
    np.testing.assert_allclose(loss, each.sum() / batch_size, rtol=1e-12)
    gradient = gradient.numpy().reshape(y.shape)
    # Flat where x is not 0; where it is, within the penalty's subgradients.
    np.testing.assert_allclose(gradient[kept], 0.0, atol=1e-14)
    assert (np.abs(gradient[~kept]) <= l1 / batch_size).all()
    for _ in range(5):
        near = best + 0.1 * rng.normal(size=y.shape)
        assert problem.loss(tf.constant(near.ravel()), constants, ()) > loss


def test_the_penalty_has_gradient_zero_at_zero():
    problem = Lasso(batch_size=1, dim=3, l1=0.5)
    constants = identity_problem(np.array([[0.0, 2.0, 0.0]], "f4"))
    _, gradient = problem.loss_and_gradient(
        tf.constant([0.0, 0.0, -1.0]), constants, ()
    )
    np.testing.assert_array_equal(gradient, [0.0, -2.0, -1.5])


def test_there_are_256_coordinates_and_a_weak_penalty_by_default():
    problem = Lasso()
    assert problem.layout.size == 256
    assert problem.layout.names == ("x",)
    assert problem.layout.shapes == ((128, 2),)
    assert problem.l1 == 0.005


def test_start_and_constants_have_the_specified_laws():
    x, (w, y) = Lasso(batch_size=3000).reset(seeds.make_seed(0))
    assert_standard_normal(x / 0.01)
    assert (w.shape, y.shape) == ((3000, 2, 2), (3000, 2))
    assert_uniform(w)
    assert_uniform(y)


def test_a_reset_redraws_start_and_constants():
    assert_resets_are_fresh(Lasso(4, 3), seeds.make_seed)


def test_matrix_and_target_are_independent_draws():
    _, (w, y) = Lasso(batch_size=3).reset(seeds.make_seed(0))
    drawn = np.concatenate([w.numpy().ravel(), y.numpy().ravel()])
    assert len(set(drawn)) == 12 + 6


def test_there_is_no_batch():
    assert Lasso().sample(seeds.make_seed(0)) == ()


@pytest.mark.parametrize("argument", ["batch_size", "dim"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True])
def test_bad_sizes_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        Lasso(**{argument: value})


@pytest.mark.parametrize("l1", [-0.1, np.nan, np.inf, "1"])
def test_a_bad_penalty_is_refused(l1):
    with pytest.raises(ValueError, match=f"Received: l1={l1!r}"):
        Lasso(l1=l1)
