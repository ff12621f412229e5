"""The line of Metz et al. 2019, Figure 2, against its derivative."""

import math

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.studies.two_minima import TwoMinima

LOWER = (21.0 + math.sqrt(57.0)) / 8.0
BARRIER = (21.0 - math.sqrt(57.0)) / 8.0


def test_the_minima_and_the_barrier_are_the_specs():
    line = TwoMinima(4, dtype="float64")
    at = line.each(tf.constant([0.0, LOWER, BARRIER, -1.2], tf.float64))
    assert pytest.approx(3.5687, abs=5e-5) == LOWER
    assert pytest.approx(1.6813, abs=5e-5) == BARRIER
    np.testing.assert_allclose(at, [0.0, -3.1238, 8.6433, 31.4496], atol=5e-5)


def test_the_gradient_of_the_sum_is_each_coordinates_own():
    line = TwoMinima(5, dtype="float64")
    w = np.array([0.0, LOWER, BARRIER, -1.2, 5.0])
    loss, gradient = line.value_and_gradient(tf.constant(w), (), ())
    expected = w * (4.0 * w**2 - 21.0 * w + 24.0)
    np.testing.assert_allclose(gradient, expected, atol=1e-11)
    assert abs(gradient[1]) < 1e-12
    np.testing.assert_allclose(loss, np.sum((w - 4) * (w - 3) * w**2))


def test_all_coordinates_start_at_the_start():
    params, constants = TwoMinima(3).reset(seeds.make_seed(1))
    assert (params.dtype, constants) == (tf.float32, ())
    np.testing.assert_array_equal(params, np.full(3, -1.2, np.float32))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="Received: count=0"):
        TwoMinima(0)
    with pytest.raises(ValueError, match="Received: start=nan"):
        TwoMinima(start=float("nan"))
    with pytest.raises(ValueError, match="Received: dtype='float16'"):
        TwoMinima(dtype="float16")
