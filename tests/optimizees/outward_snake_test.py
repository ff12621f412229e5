"""The snake against its equation in float64."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.datasets import tabular
from l2o_tf.datasets.tabular import Table
from l2o_tf.optimizees.outward_snake import OutwardSnake

TABLE = tabular.random_binary(5, 40, seed=1)


def snake(p, x):
    total = np.sum(x[:, 0]) / (np.linalg.norm(p) + 1e-6)
    for j in range(1, p.size):
        total += np.sum(((p[j] - np.pi * np.cos(p[j - 1])) * x[:, j]) ** 2)
    return total


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_and_gradient_are_the_equations(seed):
    problem = OutwardSnake(TABLE, 8)
    x, constants = problem.reset(seeds.make_seed(seed))
    loss, gradient = problem.value_and_gradient(x, constants, TABLE)
    p, rows = x.numpy().astype("f8"), TABLE.features.numpy().astype("f8")
    np.testing.assert_allclose(loss, snake(p, rows), rtol=1e-6)
    for j, step in enumerate(1e-5 * np.eye(5)):
        slope = (snake(p + step, rows) - snake(p - step, rows)) / 2e-5
        np.testing.assert_allclose(
            gradient[j], slope, atol=1e-5 * np.abs(gradient).max()
        )


def test_further_out_along_the_snake_is_better():
    # On the snake only the first term is left.
    def on_the_snake(first):
        p = [first]
        for _ in range(4):
            p.append(np.pi * np.cos(p[-1]))
        return OutwardSnake(TABLE, 8).loss(
            tf.constant(p, tf.float32), (), TABLE
        )

    near, far = on_the_snake(0.5).numpy(), on_the_snake(50.0).numpy()
    assert 0.0 < far < 0.2 * near


def test_the_start_is_standard_normal():
    problem = OutwardSnake(TABLE, 8)
    assert problem.layout.shapes == ((5,),)
    values = np.stack(
        [problem.reset(seeds.make_seed(s))[0].numpy() for s in range(300)]
    )
    assert abs(values.mean()) < 4.5 / np.sqrt(values.size)
    assert abs(values.std() - 1) < 4.5 / np.sqrt(2 * values.size)


def test_a_single_column_is_refused():
    table = Table(tf.ones([3, 1]), tf.zeros([3], tf.int32))
    with pytest.raises(ValueError, match=r"Received: features \(3, 1\)"):
        OutwardSnake(table, 1)
