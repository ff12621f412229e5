"""Means, variances and their merging, against NumPy and exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o_tf.estimators.merging import (
    inverse_variance_mean,
    log_mean,
    mean_and_variance,
)

RNG = np.random.default_rng(5)


def merged(score, pathwise, floor=0.0):
    as_vectors = (
        tuple(tf.constant([x], tf.float64) for x in pair)
        for pair in (score, pathwise)
    )
    return float(inverse_variance_mean(*as_vectors, floor)[0])


def test_mean_and_variance_are_numpy_s_of_what_is_kept():
    x = RNG.normal(size=(7, 3)).astype("f4")
    kept = np.array([1, 0, 1, 1, 1, 0, 1], bool)
    x[1, 2] = np.nan  # left out
    mean, variance = mean_and_variance(tf.constant(x), tf.constant(kept))
    of = x[kept].astype("f8")
    np.testing.assert_allclose(mean, of.mean(0), rtol=1e-12)
    np.testing.assert_allclose(variance, of.var(0, ddof=1), rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_element_that_is_not_finite_has_an_infinite_variance(bad):
    x = RNG.normal(size=(4, 2)).astype("f4")
    x[2, 0] = bad
    mean, variance = mean_and_variance(tf.constant(x), tf.constant([True] * 4))
    assert (mean[0].numpy(), variance[0].numpy()) == (0.0, np.inf)
    np.testing.assert_allclose(mean[1], x[:, 1].astype("f8").mean())


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_samples_have_no_variance(count):
    kept = tf.range(3) < count
    _, variance = mean_and_variance(tf.ones([3, 2]), kept)
    assert np.isnan(variance).all()


@settings(deadline=None, max_examples=60)
@given(
    st.floats(-1e3, 1e3),
    st.floats(-1e3, 1e3),
    st.floats(-30, 30),
    st.floats(-30, 30),
)
def test_the_merged_mean_is_equation_1(g_s, g_p, log_s, log_p):
    v_s, v_p = 10.0**log_s, 10.0**log_p
    a, b = Fraction(1) / Fraction(v_s), Fraction(1) / Fraction(v_p)
    exact = (Fraction(g_s) * a + Fraction(g_p) * b) / (a + b)
    scale = max(abs(g_s), abs(g_p), 1e-290)  # smaller ones flush
    found = merged((g_s, v_s), (g_p, v_p))
    assert abs(found - float(exact)) <= 1e-9 * scale


def test_ratios_of_1e20_are_right_either_way():
    assert merged((1.0, 1e20), (3.0, 1.0)) == 3.0
    assert merged((1.0, 1.0), (3.0, 1e20)) == 1.0
    # What the other adds is not lost either.
    assert merged((1e18, 1e20), (0.0, 1.0)) == pytest.approx(1e-2)
    assert merged((0.0, 1.0), (1e18, 1e20)) == pytest.approx(1e-2)


def test_an_unknown_pathwise_estimate_leaves_the_score():
    assert merged((1.25, 1e30), (0.0, np.inf), 1e-8) == 1.25


def test_equal_variances_count_alike_and_so_do_those_below_the_floor():
    assert merged((1.0, 0.0), (3.0, 0.0)) == 2.0
    assert merged((1.0, 7.0), (3.0, 7.0)) == 2.0
    assert merged((1.0, 1e-14), (3.0, 1e-13), 1e-8) == pytest.approx(2.0, 1e-5)


def test_the_merged_estimate_varies_less_than_both_parents():
    """The variances known, of independent ones: 1 / (1 / v_s + 1 / v_p)."""
    count, v_s, v_p = 4_000, 4.0, 0.25
    score = RNG.normal(1.0, np.sqrt(v_s), count)
    pathwise = RNG.normal(1.0, np.sqrt(v_p), count)
    found = inverse_variance_mean(
        (tf.constant(score), tf.fill([count], tf.constant(v_s, tf.float64))),
        (tf.constant(pathwise), tf.fill([count], tf.constant(v_p, tf.float64))),
        0.0,
    ).numpy()
    expected = 1.0 / (1.0 / v_s + 1.0 / v_p)
    assert expected < min(v_s, v_p)
    # The standard error of a variance of normal numbers.
    assert abs(found.var() - expected) < 4 * expected * np.sqrt(2 / count)


def test_the_logarithm_is_of_the_mean_and_survives_what_float32_does_not():
    found = log_mean(tf.constant([1e60, 3e60], tf.float64))
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, np.log10(2e60), rtol=1e-6)
