"""The convex term: algebra, the laws of its draws."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.numerical import assert_resets_are_fresh, assert_uniform

from l2o_tf.core import seeds
from l2o_tf.optimizees.convex import ConvexQuadratic


@settings(max_examples=15, deadline=None)
@given(dim=st.integers(1, 30), seed=st.integers(0, 1000))
def test_loss_and_gradient_are_the_algebra(dim, seed):
    z, v = np.random.RandomState(seed).uniform(-1, 1, size=(2, dim))
    loss, gradient = ConvexQuadratic(dim).loss_and_gradient(
        tf.constant(z), tf.constant(v), ()
    )
    np.testing.assert_allclose(loss, sum((z - v) ** 2) / dim, rtol=1e-12)
    np.testing.assert_allclose(gradient, 2 / dim * (z - v), rtol=1e-12)


def test_squares_are_cut_off_at_10_with_a_gradient_of_0_beyond():
    z, v = tf.constant([4.0, 5.0, 101.0]), tf.constant([1.0, 1.0, 1.0])
    loss, gradient = ConvexQuadratic(3).loss_and_gradient(z, v, ())
    np.testing.assert_allclose(loss, (9 + 10 + 10) / 3, rtol=1e-6)
    np.testing.assert_allclose(gradient, [2.0, 0.0, 0.0], rtol=1e-6)


def test_the_start_is_0_by_default_and_the_target_is_drawn():
    z, v = ConvexQuadratic().reset(seeds.make_seed(0))
    np.testing.assert_array_equal(z, np.zeros(20))
    assert np.unique(v).size == 20


def test_there_are_20_coordinates_by_default():
    layout = ConvexQuadratic().layout
    assert (layout.names, layout.shapes) == (("z",), ((20,),))


def test_start_and_target_are_uniform_and_independent():
    z, v = ConvexQuadratic(5000, 1.0).reset(seeds.make_seed(0))
    assert_uniform(z, -1.0, 1.0)
    assert_uniform(v, -1.0, 1.0)
    # Correlation of independent draws: standard error 1 / sqrt(n).
    assert abs(np.corrcoef(z, v)[0, 1]) < 4.5 / np.sqrt(5000)


def test_a_reset_redraws_start_and_target():
    assert_resets_are_fresh(ConvexQuadratic(6, 1.0), seeds.make_seed)


def test_there_is_no_batch():
    assert ConvexQuadratic().sample(seeds.make_seed(0)) == ()


@pytest.mark.parametrize("dim", [0, -3, 2.0, True])
def test_a_bad_size_is_refused(dim):
    with pytest.raises(ValueError, match=f"Received: dim={dim}"):
        ConvexQuadratic(dim)


@pytest.mark.parametrize(
    ("name", "value"), [("start_bound", -0.1), ("cut_off", 0.0)]
)
def test_a_bad_bound_is_refused(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        ConvexQuadratic(**{name: value})
