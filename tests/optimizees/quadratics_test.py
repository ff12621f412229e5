"""The quadratics and x squared: recorded numbers, algebra, fresh constants."""

import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere
from support.problems import (
    RecordedProblem,
    assert_gradient_is_recorded,
    released_problem,
)
from support.small_problem import relative_error

from l2o_tf.core import seeds
from l2o_tf.optimizees.quadratics import Quadratic, Simple


def test_loss_and_gradient_are_the_recorded_ones():
    recorded = RecordedProblem("quadratic")
    problem = Quadratic()
    constants = tuple(tf.constant(recorded.constants[k]) for k in "wy")
    loss, gradient = problem.loss_and_gradient(
        tf.constant(recorded.params), constants, ()
    )
    assert relative_error(loss, recorded["loss"]) < 1e-5
    assert problem.layout.names == recorded.names
    assert_gradient_is_recorded(problem.layout.split(gradient), recorded)


def test_the_whole_gradient_equals_the_original(shared_dir):
    released = released_problem(shared_dir, "quadratic")
    constants = tuple(tf.constant(released[f"const:{k}"]) for k in "wy")
    x = tf.constant(released["x:x"].ravel())
    loss, gradient = Quadratic().loss_and_gradient(x, constants, ())
    assert relative_error(loss, released["loss"]) < 1e-5
    assert relative_error(gradient, released["g:x"].ravel()) < 1e-5


def test_the_gradient_is_the_algebra():
    problem = Quadratic(batch_size=3, dim=2)
    x, (w, y) = problem.reset(seeds.make_seed(4))
    loss, gradient = problem.loss_and_gradient(x, (w, y), ())
    x, w, y = (np.float64(t) for t in (x, w, y))
    x = x.reshape(3, 2)
    residual = np.einsum("bij,bj->bi", w, x) - y
    np.testing.assert_allclose(loss, (residual**2).sum() / 3, rtol=1e-6)
    np.testing.assert_allclose(
        gradient,
        2 / 3 * np.einsum("bij,bi->bj", w, residual).ravel(),
        rtol=1e-5,
        atol=1e-7,
    )


def test_there_are_1280_coordinates_by_default():
    layout = Quadratic().layout
    assert layout.size == 1280
    assert (layout.names, layout.shapes) == (("x",), ((128, 10),))


def test_start_and_constants_have_the_specified_laws():
    x, (w, y) = Quadratic(batch_size=1000).reset(seeds.make_seed(0))
    assert abs(np.std(x) / 0.01 - 1) < 4.5 / np.sqrt(2 * 10_000)
    assert abs(np.mean(x)) < 0.01 * 4.5 / np.sqrt(10_000)
    for values in (w.numpy(), y.numpy()):
        assert values.min() > 0.0
        assert values.max() < 1.0
        # Uniform on (0, 1): variance 1/12, of (u - 1/2)^2 1/180.
        n = values.size
        assert abs(values.mean() - 0.5) < 4.5 / np.sqrt(12 * n)
        assert abs(values.var() - 1 / 12) < 4.5 / np.sqrt(180 * n)


def test_a_reset_redraws_start_and_constants():
    problem = Quadratic(batch_size=4, dim=3)
    first, again, other = (
        tf.nest.flatten(problem.reset(seeds.make_seed(s))) for s in (1, 1, 2)
    )
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).numpy().all()


def test_start_matrix_and_target_are_independent_draws():
    x, (w, y) = Quadratic(batch_size=2, dim=2).reset(seeds.make_seed(0))
    uniform = np.concatenate([w.numpy().ravel(), y.numpy().ravel()])
    assert len(set(uniform)) == 12
    # The same bits as y would make x = 0.01 sqrt(2) erfinv(2 y - 1).
    same = 0.01 * np.sqrt(2) * tf.math.erfinv(2 * y - 1).numpy().ravel()
    assert np.abs(x.numpy() - same).max() > 1e-3


def test_there_is_no_batch():
    assert Quadratic().sample(seeds.make_seed(0)) == ()
    assert Simple().sample(seeds.make_seed(0)) == ()


def test_the_quadratic_agrees_everywhere():
    problem = Quadratic(batch_size=3, dim=2)

    def start(seed):
        x, constants = problem.reset(seed)
        return x, constants, problem.loss_and_gradient(x, constants, ())

    assert_same_everywhere(start, seeds.make_seed(0), atol=1e-5)


def test_simple_starts_at_one_and_is_the_square():
    problem = Simple()
    x, constants = problem.reset(seeds.make_seed(0))
    np.testing.assert_array_equal(x, [1.0])
    assert problem.layout.size == 1
    loss, gradient = problem.loss_and_gradient(3.0 * x, constants, ())
    assert loss.numpy() == 9.0
    np.testing.assert_array_equal(gradient, [6.0])


@pytest.mark.parametrize("argument", ["batch_size", "dim"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True])
def test_bad_sizes_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        Quadratic(**{argument: value})
