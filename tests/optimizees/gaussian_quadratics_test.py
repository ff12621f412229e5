"""L2O-Scale's linear systems: recorded numbers, algebra, fresh constants."""

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
from l2o_tf.optimizees.gaussian_quadratics import (
    GaussianNorm,
    GaussianQuadratic,
    IsotropicQuadratic,
)

DIMS = (20, 25, 50, 100)
NORMS = {
    "norm_problems": ((27, 1.0), (25, 2.0), (22, 3.0)),
    "norm_problems_noisy": ((19, 1.0), (26, 2.0), (23, 3.0)),
}


@pytest.mark.parametrize(
    "name", ["quadratic_problems", "quadratic_problems_noisy"]
)
def test_recorded_quadratics_are_reproduced(name, shared_dir):
    for instance in instances(path_of(shared_dir), name):
        assert_is_recorded(
            GaussianQuadratic(DIMS[instance.index]),
            instance,
            (*instance.ws, *instance.ys),
        )


@pytest.mark.parametrize("name", NORMS)
def test_recorded_norms_are_reproduced(name, shared_dir):
    for instance in instances(path_of(shared_dir), name):
        problem = GaussianNorm(*NORMS[name][instance.index])
        assert_is_recorded(problem, instance, (*instance.ws, *instance.ys))


def system(dim, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(dim), (rng.randn(dim, dim), rng.randn(dim, 1))


def test_the_quadratic_is_half_a_square():
    x, constants = system(4)

    def rendering(v, constants):
        w, y = constants
        return 0.5 * np.sum((w @ v - y[:, 0]) ** 2)

    assert_is(GaussianQuadratic(4), rendering, x, constants)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 2.5, 3.0])
def test_the_norm_is_the_p_norm_of_the_shifted_sizes(power):
    x, constants = system(4)

    def rendering(v, constants):
        w, y = constants
        size = np.abs(w @ v - y[:, 0]) + 1e-6
        return np.sum(size**power) ** (1 / power)

    assert_is(GaussianNorm(4, power), rendering, x, constants)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_the_norms_minimum_is_the_shift_with_a_gradient_of_zero(power):
    eye, y = np.eye(4), np.array([[1.0], [-2.0], [3.0], [0.0]])
    loss, gradient = GaussianNorm(4, power).loss_and_gradient(
        tf.constant(y[:, 0]), (tf.constant(eye), tf.constant(y)), ()
    )
    np.testing.assert_allclose(loss, 1e-6 * 4 ** (1 / power), rtol=1e-9)
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_isotropic_quadratic_sums_squares():
    problem = IsotropicQuadratic((2, 3))
    assert problem.layout.shapes == ((2, 3),)
    assert_is(problem, lambda v, _: np.sum(v**2), np.arange(6.0) - 2.0, ())


@pytest.mark.parametrize(
    "problem", [GaussianQuadratic(60), GaussianNorm(60, 2.0)]
)
def test_start_and_constants_are_standard_normal(problem):
    x, (w, y) = problem.reset(seeds.make_seed(0))
    assert (w.shape, y.shape) == ((60, 60), (60, 1))
    for values in (x, w, y):
        assert_standard_normal(values)
    drawn = np.concatenate([np.ravel(v) for v in (x, w, y)])
    # Of 3,720 draws from 2**23 numbers, about one pair is equal by chance.
    assert len(set(drawn)) > drawn.size - 8


def test_the_isotropic_quadratic_starts_standard_normal():
    x, constants = IsotropicQuadratic((40, 50)).reset(seeds.make_seed(0))
    assert_standard_normal(x)
    assert constants == ()


@pytest.mark.parametrize(
    "problem",
    [GaussianQuadratic(5), GaussianNorm(5, 1.0), IsotropicQuadratic((5,))],
)
def test_a_reset_redraws_everything(problem):
    assert_resets_are_fresh(problem, seeds.make_seed)
    assert problem.sample(seeds.make_seed(0)) == ()


@pytest.mark.parametrize("dim", [0, -3, 2.0, True])
@pytest.mark.parametrize(
    "build", [GaussianQuadratic, lambda dim: GaussianNorm(dim, 2.0)]
)
def test_a_bad_size_is_refused(build, dim):
    with pytest.raises(ValueError, match=f"Received: dim={dim}"):
        build(dim)


@pytest.mark.parametrize("power", [0.5, -1, np.nan, np.inf, "2"])
def test_a_bad_power_is_refused(power):
    with pytest.raises(ValueError, match=f"Received: power={power!r}"):
        GaussianNorm(3, power)


@pytest.mark.parametrize("shape", [(0,), (2, -1), (1.5,)])
def test_a_bad_shape_is_refused(shape):
    with pytest.raises(ValueError, match="Received: shape="):
        IsotropicQuadratic(shape)
