"""Guards against numbers that are not finite."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere, run_everywhere

from l2o_tf.core.numerics import all_finite, nan_to_inf, select

FINITE = {"a": np.array([1.0, -3e38], "f4"), "b": (np.float32(0.0), ())}


def test_a_finite_nest_is_finite():
    assert assert_same_everywhere(all_finite, FINITE)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_one_bad_number_anywhere_is_seen(bad, place):
    vectors = [np.zeros(3, "f4"), np.zeros(2, "f8")]
    vectors[place][1] = bad
    assert not assert_same_everywhere(all_finite, vectors)


def test_integers_are_finite():
    assert assert_same_everywhere(all_finite, (np.int32(2**31 - 1),))


def test_an_empty_nest_is_finite():
    assert all_finite(()).numpy()


def test_integers_beside_a_bad_float_do_not_hide_it():
    assert not all_finite((tf.constant(1), tf.constant(math.nan))).numpy()


@pytest.mark.parametrize("condition", [True, False])
def test_select_takes_every_tensor_from_one_side(condition):
    chosen = {"a": np.array([1.0, 2.0], "f4"), "b": (np.int32(3), ())}
    otherwise = {"a": np.array([math.nan, 5.0], "f4"), "b": (np.int32(6), ())}
    expected = chosen if condition else otherwise
    for result in run_everywhere(select, condition, chosen, otherwise):
        np.testing.assert_array_equal(result["a"], expected["a"])
        assert result["b"][0] == expected["b"][0]
        assert result["a"].dtype == np.float32


def test_nan_is_read_as_infinity():
    assert nan_to_inf(math.nan) == math.inf


@pytest.mark.parametrize("number", [0.0, -1.5, math.inf, -math.inf])
def test_any_other_number_is_kept(number):
    assert nan_to_inf(number) == number
