"""Quadratics given by rows, against their equations in float64."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.datasets import tabular
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.row_quadratics import (
    ProjectionQuadratic,
    SumOfQuadratics,
)

ROWS = np.random.RandomState(0).randn(30, 6).astype("f4")
TABLE = Table(tf.constant(ROWS), tf.zeros([30], tf.int32))


@pytest.fixture
def point():
    return np.random.RandomState(1).randn(6).astype("f4")


def test_the_distances_to_the_rows_are_summed(point):
    p, x = point.astype("f8"), ROWS.astype("f8")
    expected = np.sum((p - x) ** 2) - np.sum(x**2) + 1e-12
    loss, gradient = SumOfQuadratics(TABLE, 5).value_and_gradient(
        tf.constant(point), (), TABLE
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(
        gradient, 2.0 * np.sum(p - x, axis=0), rtol=1e-4, atol=1e-4
    )


def test_over_symmetric_rows_it_is_the_squared_length(point):
    table = tabular.random_symmetric(6, 1000, seed=2)
    problem = SumOfQuadratics(table, 10)
    loss, gradient = problem.value_and_gradient(
        tf.constant(point), (), problem.sample_objective(seeds.make_seed(0))
    )
    np.testing.assert_allclose(loss, 1000.0 * np.sum(point**2), rtol=1e-5)
    np.testing.assert_allclose(gradient, 2000.0 * point, rtol=1e-4)


@pytest.mark.parametrize("size", [1e-2, 1e-4])
def test_it_stays_exact_near_its_minimum(size, point):
    # The difference of two sums of 10,000 squares would be off by 1e-2.
    table = tabular.random_symmetric(6, 10_000, seed=2)
    near = size * point
    loss = SumOfQuadratics(table, 10).loss(tf.constant(near), (), table)
    np.testing.assert_allclose(
        loss, 1e4 * np.sum(near.astype("f8") ** 2), rtol=1e-2
    )


def test_at_zero_the_distances_leave_a_trace():
    loss = SumOfQuadratics(TABLE, 5).loss(tf.zeros([6]), (), TABLE)
    assert loss.numpy() == np.float32(1e-12)


def test_a_projection_weighs_each_number_by_its_column(point):
    x = ROWS.astype("f8")
    loss, gradient = ProjectionQuadratic(TABLE, 5).value_and_gradient(
        tf.constant(point), (), TABLE
    )
    weights = np.sum(x**2, axis=0)
    np.testing.assert_allclose(loss, np.sum(weights * point**2), rtol=1e-5)
    np.testing.assert_allclose(gradient, 2.0 * weights * point, rtol=1e-5)


@pytest.mark.parametrize("kind", [SumOfQuadratics, ProjectionQuadratic])
def test_the_loss_is_a_sum_over_rows_not_a_mean(kind, point):
    problem = kind(TABLE, 5)
    halves = [
        Table(TABLE.features[a:b], TABLE.labels[a:b])
        for a, b in ((0, 10), (10, 30))
    ]
    x = tf.constant(point)
    np.testing.assert_allclose(
        problem.loss(x, (), TABLE),
        sum(problem.loss(x, (), half).numpy() for half in halves),
        rtol=1e-5,
    )


@pytest.mark.parametrize("kind", [SumOfQuadratics, ProjectionQuadratic])
def test_the_start_is_one_row_of_standard_normals(kind):
    problem = kind(TABLE, 5)
    assert problem.layout.shapes == ((1, 6),)
    values = np.stack(
        [problem.reset(seeds.make_seed(s))[0].numpy() for s in range(300)]
    )
    assert abs(values.mean()) < 4.5 / np.sqrt(values.size)
    assert abs(values.std() - 1) < 4.5 / np.sqrt(2 * values.size)
