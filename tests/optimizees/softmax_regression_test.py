"""Linear classifiers: closed forms, starts, and agreement of two kernels."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.datasets import tabular
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.softmax_regression import (
    SoftmaxRegression,
    SparseSoftmaxRegression,
)


def random_table(columns=4, classes=2, rows=30):
    rs = np.random.RandomState(0)
    return Table(
        tf.constant(rs.randn(rows, columns), tf.float32),
        tf.constant(rs.randint(0, classes, rows), tf.int32),
    )


def test_two_classes_have_a_logistic_loss_of_the_first_logit():
    table = random_table()
    problem = SoftmaxRegression(table, 2, 8)
    x, constants = problem.reset(seeds.make_seed(1))
    w, b = (t.numpy().astype("f8") for t in problem.layout.split(x))
    logit = table.features.numpy() @ w[:, 0] + b[0]
    expected = np.mean(np.log1p(np.exp(logit)) - table.labels.numpy() * logit)
    loss, gradient = problem.value_and_gradient(x, constants, table)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    # The second logit is not read.
    d_w, d_b = problem.layout.split(gradient)
    assert not d_w.numpy()[:, 1].any()
    assert d_b.numpy()[1] == 0.0
    assert d_w.numpy()[:, 0].all()


def test_more_classes_have_the_softmax_cross_entropy():
    table = random_table(classes=3)
    problem = SoftmaxRegression(table, 3, 8)
    x, constants = problem.reset(seeds.make_seed(1))
    w, b = (t.numpy().astype("f8") for t in problem.layout.split(x))
    logits = table.features.numpy() @ w + b
    log_sums = np.log(np.exp(logits).sum(axis=1))
    chosen = logits[np.arange(30), table.labels.numpy()]
    np.testing.assert_allclose(
        problem.loss(x, constants, table), np.mean(log_sums - chosen), rtol=1e-6
    )


def test_tensors_are_the_originals_in_its_order():
    linear = SoftmaxRegression(random_table(), 2, 8)
    assert linear.layout.shapes == ((4, 2), (2,))
    sparse = SparseSoftmaxRegression(tabular.noisy_parity(), 2, 7, 23)
    assert sparse.layout.shapes == ((2, 7), (7, 2), (2,))


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_a_tensor_starts_by_its_first_dimension(scale):
    linear = SoftmaxRegression(random_table(100), 2, 8, start_scale=scale)
    sparse = SparseSoftmaxRegression(
        tabular.noisy_parity(), 2, 50, 23, start_scale=scale
    )
    for problem in (linear, sparse):
        starts = [
            problem.layout.split(problem.reset(seeds.make_seed(s))[0])
            for s in range(200)
        ]
        for tensors in zip(*starts, strict=True):
            values = np.stack(tensors)
            expected = scale * 1.2 / np.sqrt(tensors[0].shape[0])
            n = values.size
            assert abs(values.mean()) < expected * 4.5 / np.sqrt(n)
            assert abs(values.std() / expected - 1) < 4.5 / np.sqrt(2 * n)


def test_tensors_start_independently():
    sparse = SparseSoftmaxRegression(tabular.noisy_parity(), 2, 5, 23)
    x, _ = sparse.reset(seeds.make_seed(0))
    e, w, b = (t.numpy().ravel() for t in sparse.layout.split(x))
    assert np.abs(e / np.sqrt(2.5) - w).min() > 1e-4
    assert np.abs(e[:2] - b).min() > 1e-4


@pytest.mark.parametrize("one_hot", [False, True])
def test_ids_stand_for_the_sum_of_their_rows(one_hot):
    table = tabular.noisy_parity(40, 3, 5, seed=1)
    problem = SparseSoftmaxRegression(table, 3, 4, 40, one_hot)
    x, _ = problem.reset(seeds.make_seed(0))
    e, w, b = (t.numpy() for t in problem.layout.split(x))
    rows = e[table.features.numpy()].sum(axis=1)
    np.testing.assert_allclose(
        problem.logits(x, table.features), rows @ w + b, rtol=1e-5, atol=1e-6
    )


def test_gathered_and_one_hot_rows_have_the_same_gradient():
    table = tabular.noisy_parity()
    gathered, multiplied = (
        SparseSoftmaxRegression(table, 2, 5, 23, one_hot)
        for one_hot in (False, True)
    )
    x, constants = gathered.reset(seeds.make_seed(0))
    one = gathered.value_and_gradient(x, constants, table)
    other = multiplied.value_and_gradient(x, constants, table)
    np.testing.assert_allclose(one[0], other[0], rtol=1e-6)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-5, atol=1e-7)


def test_one_hot_must_be_true_or_false():
    with pytest.raises(ValueError, match="Received: one_hot='no'"):
        SparseSoftmaxRegression(tabular.noisy_parity(), 2, 5, 23, "no")


def test_a_bad_width_is_refused():
    with pytest.raises(ValueError, match="Received: num_features=0"):
        SparseSoftmaxRegression(tabular.noisy_parity(), 2, 0, 23)


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_bad_scale_is_refused(value):
    with pytest.raises(ValueError, match=f"Received: start_scale={value}"):
        SoftmaxRegression(random_table(), 2, 8, value)


def test_features_that_are_no_ids_are_refused():
    with pytest.raises(ValueError, match="Received: features of dtype float32"):
        SparseSoftmaxRegression(random_table(), 2, 5, 8)


def test_ids_out_of_range_are_refused():
    ids = tf.constant([[0, 1], [1, 2]])
    table = Table(ids, tf.zeros([2], tf.int32))
    with pytest.raises(ValueError, match="Received: ids from 0 to 2"):
        SparseSoftmaxRegression(table, 2, 5, 8)
