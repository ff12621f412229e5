"""The test functions of the plane: records, minima, formulas, starts."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.numerical import (
    assert_is,
    assert_resets_are_fresh,
    assert_standard_normal,
    assert_uniform,
)
from support.problem_zoo import (
    assert_is_recorded,
    flat,
    instances,
    path_of,
)

from l2o_tf.core import seeds
from l2o_tf.optimizees.combination import Sum
from l2o_tf.optimizees.landscapes import LANDSCAPES, Landscape

PI = math.pi

# The set's order is that of the names.
RECORDED = LANDSCAPES

NINE = (
    "rosenbrock",
    "log_sum_exp",
    "ackley",
    "beale",
    "booth",
    "styblinski_tang",
    "matyas",
    "branin",
    "michalewicz",
)


def test_recorded_landscapes_are_reproduced(shared_dir):
    for instance in instances(
        path_of(shared_dir), "optimization_test_problems"
    ):
        name = RECORDED[instance.index]
        called = instance.spec.split("(")[0].lower()
        assert called == name.replace("_", "")
        assert_is_recorded(Landscape(name), instance)


def test_all_nine_in_the_recorded_sum_are_reproduced(shared_dir):
    recorded = instances(path_of(shared_dir), "sum_problems")
    (instance,) = (i for i in recorded if i.index == 2)
    pieces = instance.params
    for name, x, expected in zip(NINE, pieces, instance.gradients, strict=True):
        _, gradient = Landscape(name).loss_and_gradient(tf.constant(x), (), ())
        error = np.abs(gradient - expected).max()
        assert error <= 1e-5 * np.abs(expected).max(), name
    losses = [
        Landscape(name).loss(tf.constant(x), (), ())
        for name, x in zip(NINE, pieces, strict=True)
    ]
    np.testing.assert_allclose(np.sum(losses), instance.loss, rtol=1e-5)
    assert Sum([Landscape(name) for name in NINE]).layout.size == 18
    assert flat(pieces).shape == (18,)


# As written in the textbooks, in numpy; the coefficients are theirs.
FORMULAS = {
    "ackley": lambda x, y: (
        20
        + math.e
        - 20 * np.exp(-0.2 * np.hypot(x, y) / math.sqrt(2))
        - np.exp((np.cos(2 * PI * x) + np.cos(2 * PI * y)) / 2)
    ),
    "beale": lambda x, y: sum(
        (c - x * (1 - y**n)) ** 2 for n, c in enumerate([1.5, 2.25, 2.625], 1)
    ),
    "booth": lambda x, y: (
        5 * x**2 + 5 * y**2 + 8 * x * y - 34 * x - 38 * y + 74
    ),
    "branin": lambda x, y: (
        (y - 5.1 * (x / (2 * PI)) ** 2 + 5 * x / PI - 6) ** 2
        + (10 - 10 / (8 * PI)) * np.cos(x)
        + 10
    ),
    "log_sum_exp": lambda x, y: np.log(
        1 + np.exp(-0.1) * (2 * np.exp(x) * np.cosh(3 * y) + np.exp(-x))
    ),
    "matyas": lambda x, y: 0.02 * (x**2 + y**2) + 0.24 * (x - y) ** 2,
    "michalewicz": lambda x, y: (
        2
        - sum(
            np.sin(t) * np.sin(i * t**2 / PI) ** 10
            for i, t in enumerate([x, y], 1)
        )
    ),
    "rosenbrock": lambda x, y: (x - 1) ** 2 + 100 * (x**2 - y) ** 2,
    "styblinski_tang": lambda x, y: (
        sum(t**4 - 16 * t**2 + 5 * t for t in (x, y)) / 2 + 80
    ),
}


@pytest.mark.parametrize("name", LANDSCAPES)
def test_loss_and_gradient_are_the_formula(name):
    x = [1.3, 2.1]
    assert_is(Landscape(name), lambda v, _: FORMULAS[name](*v), x, ())


# The stationary point of t^4 - 16 t^2 + 5 t in closed form: 4 t^3 - 32 t + 5.
TANG = np.roots([4.0, 0.0, -32.0, 5.0]).real.min()

MINIMA = {
    "ackley": ((0.0, 0.0), 0.0),
    "beale": ((3.0, 0.5), 0.0),
    "booth": ((1.0, 3.0), 0.0),
    "branin": ((PI, 2.275), 10 / (8 * PI)),
    "log_sum_exp": (
        (-math.log(2) / 2, 0.0),
        math.log(1 + math.sqrt(8) * math.exp(-0.1)),
    ),
    "matyas": ((0.0, 0.0), 0.0),
    "rosenbrock": ((1.0, 1.0), 0.0),
    "styblinski_tang": ((TANG, TANG), TANG**4 - 16 * TANG**2 + 5 * TANG + 80),
}


@pytest.mark.parametrize("name", MINIMA)
def test_the_known_minimum_is_a_minimum(name):
    point, value = MINIMA[name]
    loss, gradient = Landscape(name).loss_and_gradient(
        tf.constant(point, tf.float64), (), ()
    )
    np.testing.assert_allclose(loss, value, rtol=1e-9, atol=1e-12)
    # Branin's is where 5.1 x^2 / (4 pi^2) - 5 x / pi + 6 = 2.275 at x = pi.
    np.testing.assert_allclose(gradient, 0.0, atol=1e-12)
    rng = np.random.RandomState(0)
    for _ in range(20):
        near = tf.constant(point + 0.01 * rng.randn(2))
        assert Landscape(name).loss(near, (), ()) > loss


def test_michalewicz_lies_in_the_valley_at_half_pi():
    # sin(y) sin(2 y^2 / pi)^10 reaches its bound 1 at y = pi / 2.
    loss, gradient = Landscape("michalewicz").loss_and_gradient(
        tf.constant([2.18531196, PI / 2], tf.float64), (), ()
    )
    np.testing.assert_allclose(loss, 0.19337711, rtol=1e-7)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_the_tip_of_ackleys_cone_has_a_gradient(dtype):
    _, gradient = Landscape("ackley").loss_and_gradient(
        tf.zeros([2], dtype), (), ()
    )
    np.testing.assert_array_equal(gradient, 0.0)
    # Beside it the cone's slope, 2 sqrt(2) along the diagonal's coordinates.
    _, gradient = Landscape("ackley").loss_and_gradient(
        tf.constant([1e-6, 0.0], dtype), (), ()
    )
    np.testing.assert_allclose(gradient[0], 4 / math.sqrt(2), rtol=1e-4)


def test_log_sum_exp_is_finite_far_out():
    x = tf.constant([300.0, 100.0])
    loss, gradient = Landscape("log_sum_exp").loss_and_gradient(x, (), ())
    np.testing.assert_allclose(loss, 599.9, rtol=1e-6)
    np.testing.assert_allclose(gradient, [1.0, 3.0], rtol=1e-6)


SQUARES = {
    "ackley": ((-32.768, 32.768),) * 2,
    "beale": ((-4.5, 4.5),) * 2,
    "booth": ((-10.0, 10.0),) * 2,
    "branin": ((-5.0, 10.0), (0.0, 15.0)),
    "matyas": ((-10.0, 10.0),) * 2,
    "michalewicz": ((0.0, PI),) * 2,
    "rosenbrock": ((-5.0, 10.0),) * 2,
    "styblinski_tang": ((-5.0, 5.0),) * 2,
}


def starts(name, count):
    problem = Landscape(name)
    reset = tf.function(lambda s: problem.reset(seeds.fold_in(base, s))[0])
    base = seeds.make_seed(3)
    return np.stack([reset(tf.constant(i)) for i in range(count)])


@pytest.mark.parametrize("name", SQUARES)
def test_the_start_is_uniform_on_the_functions_square(name):
    x = starts(name, 200)
    for values, bounds in zip(x.T, SQUARES[name], strict=True):
        assert_uniform(values, *bounds)
    assert abs(np.corrcoef(x.T)[0, 1]) < 4.5 / math.sqrt(200)


def test_log_sum_exp_starts_standard_normal():
    assert set(LANDSCAPES) - set(SQUARES) == {"log_sum_exp"}
    x = starts("log_sum_exp", 300)
    assert_standard_normal(x)
    assert abs(np.corrcoef(x.T)[0, 1]) < 4.5 / math.sqrt(300)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_seeds_decide_the_start(name):
    assert_resets_are_fresh(Landscape(name), seeds.make_seed)
    assert Landscape(name).layout.shapes == ((2,),)


def test_a_function_of_no_such_name_is_refused_with_all_names():
    with pytest.raises(ValueError, match="Received: function='akley'") as e:
        Landscape("akley")
    for name in LANDSCAPES:
        assert repr(name) in str(e.value)
