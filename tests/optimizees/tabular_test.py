"""Problems over a table: minibatches, the objective's batch, and errors."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.row_quadratics import ProjectionQuadratic
from l2o_tf.optimizees.softmax_regression import SoftmaxRegression


def numbered(rows, columns=2):
    """Make rows that say which they are: all entries are the row's number."""
    numbers = np.arange(rows)
    features = np.repeat(numbers[:, None], columns, axis=1).astype("f4")
    return Table(tf.constant(features), tf.constant(numbers, tf.int32))


def labelled(labels, columns=2):
    features = tf.ones([len(labels), columns])
    return Table(features, tf.constant(labels, tf.int32))


def test_a_minibatch_keeps_features_and_labels_together():
    features, labels = ProjectionQuadratic(numbered(50), 20).sample(
        seeds.make_seed(0)
    )
    assert features.shape == (20, 2)
    np.testing.assert_array_equal(features[:, 0], labels)
    np.testing.assert_array_equal(features[:, 1], labels)


def test_a_minibatch_is_drawn_uniformly_with_replacement():
    problem = ProjectionQuadratic(numbered(50), 40)
    batches = [
        problem.sample(seeds.make_seed(s)).labels.numpy() for s in range(250)
    ]
    # 40 different of 50 by chance: below 1e-10.
    assert all(len(set(b)) < 40 for b in batches)
    counts = np.bincount(np.concatenate(batches), minlength=50)
    assert counts.size == 50
    statistic = np.sum((counts - 200.0) ** 2) / 200.0
    assert abs(statistic - 49) < 4.5 * np.sqrt(2 * 49)


def test_the_seed_decides_the_minibatch():
    problem = ProjectionQuadratic(numbered(1000), 30)
    first, again, other = (
        problem.sample(seeds.make_seed(s)).labels.numpy() for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.8


@pytest.mark.parametrize("batch_size", [5, 23])
def test_a_batch_as_large_as_the_table_is_the_table(batch_size):
    problem = ProjectionQuadratic(numbered(5), batch_size)
    batch = problem.sample(seeds.make_seed(0))
    np.testing.assert_array_equal(batch.labels, np.arange(5))


def test_the_objective_is_measured_on_all_rows():
    problem = ProjectionQuadratic(numbered(50), 7)
    batch = problem.sample_objective(seeds.make_seed(0))
    np.testing.assert_array_equal(batch.labels, np.arange(50))
    assert (problem.split, problem.notice) == ("", None)
    assert (problem.num_rows, problem.num_columns) == (50, 2)


def test_a_table_must_be_a_table():
    with pytest.raises(ValueError, match="Received: table="):
        ProjectionQuadratic((tf.ones([3, 2]), tf.zeros([3], tf.int32)), 1)


@pytest.mark.parametrize(
    ("features", "labels"), [((3,), (3,)), ((3, 2), (4,)), ((3, 2), (3, 1))]
)
def test_parts_that_do_not_fit_are_refused(features, labels):
    table = Table(tf.ones(features), tf.zeros(labels, tf.int32))
    with pytest.raises(ValueError, match="Received: features "):
        ProjectionQuadratic(table, 1)


@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_an_empty_table_is_refused(shape):
    table = Table(tf.ones(shape), tf.zeros(shape[:1], tf.int32))
    with pytest.raises(ValueError, match=r"Received: features \("):
        ProjectionQuadratic(table, 1)


@pytest.mark.parametrize("value", [0, 1.5])
def test_a_bad_batch_size_is_refused(value):
    with pytest.raises(ValueError, match=f"Received: batch_size={value}"):
        ProjectionQuadratic(numbered(3), value)


@pytest.mark.parametrize(
    ("num_classes", "labels"), [(1, [0, 0]), (2, [0, 2]), (3, [-1, 2])]
)
def test_labels_out_of_range_are_refused(num_classes, labels):
    message = (
        f"Received: num_classes={num_classes}, labels from {labels[0]} to "
        f"{labels[1]}"
    )
    with pytest.raises(ValueError, match=message):
        SoftmaxRegression(labelled(labels), num_classes, 1)


def test_a_number_of_classes_that_is_no_int_is_refused():
    with pytest.raises(ValueError, match="Received: num_classes=2.0"):
        SoftmaxRegression(labelled([0, 1]), 2.0, 1)
