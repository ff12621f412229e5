"""The well between extremes: records, its minimum, what feels the gradient."""

import numpy as np
import pytest
import tensorflow as tf
from support.numerical import (
    assert_is,
    assert_resets_are_fresh,
    assert_standard_normal,
)
from support.problem_zoo import assert_is_recorded, instances, path_of

from l2o_tf.core import seeds
from l2o_tf.optimizees.min_max_well import MinMaxWell

DIMS = (20, 12, 56, 64, 13)


def test_recorded_wells_are_reproduced(shared_dir):
    for instance in instances(path_of(shared_dir), "min_max_well_problems"):
        assert_is_recorded(MinMaxWell(DIMS[instance.index]), instance)


def test_the_loss_is_the_largest_square_and_the_smallest_ones_inverse():
    def rendering(v, _):
        return max(v**2) + 1 / min(v**2) - 2 + 1e-12

    assert_is(MinMaxWell(4), rendering, [0.5, -3.0, 2.0, -1.0], ())


def test_two_coordinates_feel_the_gradient():
    x = tf.constant([0.5, -3.0, 2.0, -1.0])
    _, gradient = MinMaxWell(4).loss_and_gradient(x, (), ())
    np.testing.assert_allclose(gradient, [-2 / 0.5**3, -6.0, 0.0, 0.0])


def test_the_minimum_is_where_every_size_is_one():
    x = tf.constant([1.0, -1.0, 1.0], tf.float64)
    loss, gradient = MinMaxWell(3).loss_and_gradient(x, (), ())
    np.testing.assert_allclose(loss, 1e-12, rtol=1e-3)
    # Equal extremes share their slopes, which cancel.
    np.testing.assert_allclose(gradient, 0.0, atol=1e-12)


def test_the_start_is_standard_normal_and_fresh():
    x, constants = MinMaxWell(2000).reset(seeds.make_seed(0))
    assert_standard_normal(x)
    assert constants == ()
    assert_resets_are_fresh(MinMaxWell(5), seeds.make_seed)


@pytest.mark.parametrize("dim", [0, -3, 2.0, True])
def test_a_bad_size_is_refused(dim):
    with pytest.raises(ValueError, match=f"Received: dim={dim}"):
        MinMaxWell(dim)
