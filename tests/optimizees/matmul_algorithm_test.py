"""Matrix multiplication: records, Strassen's minimum, the solve everywhere."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere
from support.numerical import assert_is, assert_resets_are_fresh
from support.problem_zoo import assert_is_recorded, instances, path_of

from l2o_tf.core import seeds
from l2o_tf.optimizees.matmul_algorithm import MatMulAlgorithm

SIZES = (*((2, k) for k in range(5, 9)), *((3, k) for k in range(19, 25)))


def test_recorded_algorithms_are_reproduced(shared_dir):
    for instance in instances(path_of(shared_dir), "matmul_problems"):
        assert_is_recorded(MatMulAlgorithm(*SIZES[instance.index]), instance)


def one_hots(n):
    return [np.reshape(row, (n, n)) for row in np.eye(n * n)]


def rendering(n, k):
    """The loss, by the definition: all pairs, an explicit inverse."""

    def loss(v, _):
        left, right = v.reshape(2, n * n, k)
        pairs = list(itertools.product(one_hots(n), repeat=2))
        q = np.stack(
            [(a.ravel() @ left) * (b.ravel() @ right) for a, b in pairs]
        )
        c = np.stack([(a @ b).ravel() for a, b in pairs])
        fit = np.linalg.inv(q.T @ q) @ q.T @ c
        return np.sum((q @ fit - c) ** 2)

    return loss


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 3), (2, 5)])
def test_loss_and_gradient_are_the_definition(n, k):
    x = np.random.RandomState(k).randn(2 * n * n * k)
    problem = MatMulAlgorithm(n, k)
    if n == 1:
        # One multiplication multiplies numbers.
        loss, gradient = problem.loss_and_gradient(tf.constant(x), (), ())
        np.testing.assert_allclose(loss, 0.0, atol=1e-12)
        np.testing.assert_allclose(gradient, 0.0, atol=1e-12)
    else:
        assert_is(problem, rendering(n, k), x, ())


# Strassen's seven products of sums of a11, a12, a21, a22 (rows of b the same).
STRASSEN_LEFT = [
    (1, 0, 0, 1),
    (0, 0, 1, 1),
    (1, 0, 0, 0),
    (0, 0, 0, 1),
    (1, 1, 0, 0),
    (-1, 0, 1, 0),
    (0, 1, 0, -1),
]
STRASSEN_RIGHT = [
    (1, 0, 0, 1),
    (1, 0, 0, 0),
    (0, 1, 0, -1),
    (-1, 0, 1, 0),
    (0, 0, 0, 1),
    (1, 1, 0, 0),
    (0, 0, 1, 1),
]


def test_strassens_algorithm_is_a_minimum():
    x = np.stack([np.transpose(STRASSEN_LEFT), np.transpose(STRASSEN_RIGHT)])
    loss, gradient = MatMulAlgorithm(2, 7).loss_and_gradient(
        tf.constant(np.float64(x.ravel())), (), ()
    )
    np.testing.assert_allclose(loss, 0.0, atol=1e-20)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-12)


def test_without_a_product_an_algorithm_is_worse():
    x = np.stack(
        [np.transpose(STRASSEN_LEFT[:-1]), np.transpose(STRASSEN_RIGHT[:-1])]
    )
    loss = MatMulAlgorithm(2, 6).loss(
        tf.constant(np.float64(x.ravel())), (), ()
    )
    assert 0.1 < loss.numpy() < 8.0


def test_the_largest_size_agrees_eagerly_in_graphs_and_under_xla():
    problem = MatMulAlgorithm(3, 24)
    x, _ = problem.reset(seeds.make_seed(5))
    assert_same_everywhere(
        lambda v: problem.loss_and_gradient(v, (), ()),
        x,
        rtol=1e-5,
        atol=1e-5,
    )


def test_equal_multiplications_are_no_number_and_no_error():
    problem = MatMulAlgorithm(2, 2)
    x = tf.ones([problem.layout.size])
    loss, _ = problem.loss_and_gradient(x, (), ())
    assert np.isnan(loss)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_run_that_left_float32_is_no_number_and_no_error(bad):
    problem = MatMulAlgorithm(2, 5)
    loss, gradient = problem.loss_and_gradient(
        tf.fill([problem.layout.size], np.float32(bad)), (), ()
    )
    assert np.isnan(loss)
    assert np.isnan(gradient).any()


def test_the_start_has_columns_of_length_one():
    problem = MatMulAlgorithm(3, 200 // 5)
    x, constants = problem.reset(seeds.make_seed(0))
    assert constants == ()
    left, right = problem.layout.split(x)
    assert problem.layout.shapes == ((9, 40), (9, 40))
    for tensor in (left, right):
        np.testing.assert_allclose(tf.norm(tensor, axis=0), 1.0, rtol=1e-6)
        # Directions uniform on the sphere: each square is 1/9 on average,
        # with variance 2 (9 - 1) / (9^2 (9 + 2)); 40 columns.
        error = np.abs(np.mean(np.square(tensor), axis=1) - 1 / 9)
        assert error.max() < 4.5 * np.sqrt(16 / (81 * 11) / 40)
        assert abs(np.mean(tensor)) < 4.5 / np.sqrt(9 * 360)
    assert (left != right).numpy().all()
    assert_resets_are_fresh(problem, seeds.make_seed)


def test_the_recorded_starts_have_columns_of_length_one(shared_dir):
    for instance in instances(path_of(shared_dir), "matmul_problems"):
        for start in instance.starts:
            lengths = np.linalg.norm(start, axis=0)
            np.testing.assert_allclose(lengths, 1.0, rtol=1e-6)


@pytest.mark.parametrize("argument", ["size", "rank"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True])
def test_a_bad_size_is_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        MatMulAlgorithm(**{"size": 2, "rank": 5, argument: value})


def test_more_multiplications_than_pairs_are_refused():
    with pytest.raises(ValueError, match="Received: rank=17, size=2"):
        MatMulAlgorithm(2, 17)
