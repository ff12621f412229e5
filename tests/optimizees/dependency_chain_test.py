"""The chain: records, its formula, what the first coordinate counts."""

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
from l2o_tf.optimizees.dependency_chain import DependencyChain

LENGTHS = (20, 12, 56, 64, 13) * 2


def test_recorded_chains_are_reproduced(shared_dir):
    found = instances(path_of(shared_dir), "dependency_chain_problems")
    for instance in found:
        assert_is_recorded(DependencyChain(LENGTHS[instance.index]), instance)


def test_the_loss_measures_each_against_the_last():
    def rendering(v, _):
        return sum(
            v[0] ** 2 + v[j] ** 2 / (v[j - 1] ** 2 + 1e-6)
            for j in range(1, len(v))
        )

    assert_is(DependencyChain(3), rendering, [0.5, -1.0, 2.0, 0.25], ())


def test_the_first_square_counts_once_per_link():
    x = tf.constant([3.0, 0.0, 0.0, 0.0, 0.0])
    loss, gradient = DependencyChain(4).loss_and_gradient(x, (), ())
    assert loss.numpy() == 4 * 9.0
    np.testing.assert_array_equal(gradient, [4 * 6.0, 0.0, 0.0, 0.0, 0.0])


def test_the_minimum_is_zero():
    loss, gradient = DependencyChain(4).loss_and_gradient(tf.zeros([5]), (), ())
    assert loss.numpy() == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_start_is_standard_normal_and_fresh():
    x, constants = DependencyChain(1999).reset(seeds.make_seed(0))
    assert x.shape == (2000,)
    assert_standard_normal(x)
    assert constants == ()
    assert_resets_are_fresh(DependencyChain(5), seeds.make_seed)


@pytest.mark.parametrize("length", [0, -3, 2.0, True])
def test_a_bad_length_is_refused(length):
    with pytest.raises(ValueError, match=f"Received: length={length}"):
        DependencyChain(length)
