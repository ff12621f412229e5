"""The bowl and the saddle: recorded numbers, the Hessian, the turn's sense."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.numerical import (
    assert_is,
    assert_resets_are_fresh,
    assert_standard_normal,
)
from support.problem_zoo import assert_is_recorded, instances, path_of

from l2o_tf.core import seeds
from l2o_tf.optimizees.bowls import Bowl, Saddle

BOWLS = (Bowl(0.1), Bowl(1.0), Bowl(5.0), Bowl(5.0, math.pi / 4))


@pytest.mark.parametrize("name", ["bowl_problems", "bowl_problems_noisy"])
def test_recorded_bowls_are_reproduced(name, shared_dir):
    for instance in instances(path_of(shared_dir), name):
        assert_is_recorded(BOWLS[instance.index], instance)


def hessian(problem):
    columns = [
        problem.loss_and_gradient(tf.constant(e), (), ())[1] for e in np.eye(2)
    ]
    return np.stack(columns, axis=1)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 100.0), st.floats(-7.0, 7.0))
def test_the_curvatures_are_the_condition_number_and_one(condition, angle):
    values = np.linalg.eigvalsh(hessian(Bowl(condition, angle)))
    np.testing.assert_allclose(values, sorted([condition, 1.0]), rtol=1e-9)


def test_without_an_angle_the_first_coordinate_is_the_steep_one():
    np.testing.assert_allclose(hessian(Bowl(5.0)), [[5.0, 0.0], [0.0, 1.0]])


def test_the_steep_direction_turns_clockwise():
    # A x = (sqrt(c) (x cos a - y sin a), ...): steep along (cos a, -sin a).
    angle = math.pi / 6
    steep = np.array([math.cos(angle), -math.sin(angle)])
    matrix = hessian(Bowl(5.0, angle))
    np.testing.assert_allclose(matrix @ steep, 5.0 * steep, rtol=1e-9)
    flat = np.array([math.sin(angle), math.cos(angle)])
    np.testing.assert_allclose(matrix @ flat, flat, rtol=1e-9)


def test_the_bowl_is_the_half_square():
    def rendering(v, _):
        c, s = math.cos(0.3), math.sin(0.3)
        stretched = math.sqrt(3.0) * (c * v[0] - s * v[1])
        return 0.5 * (stretched**2 + (s * v[0] + c * v[1]) ** 2)

    assert_is(Bowl(3.0, 0.3), rendering, np.array([1.5, -0.7]), ())


def test_the_saddle_rises_along_x_and_falls_along_y():
    assert_is(Saddle(), lambda v, _: v[0] ** 2 - v[1] ** 2, [1.5, -2.0], ())
    assert Saddle().layout.shapes == ((2,),)


@pytest.mark.parametrize("problem", [Bowl(2.0), Saddle()])
def test_the_start_is_standard_normal_and_fresh(problem):
    starts = [problem.reset(seeds.make_seed(s))[0] for s in range(300)]
    assert_standard_normal(starts)
    assert_resets_are_fresh(problem, seeds.make_seed)
    assert problem.sample(seeds.make_seed(0)) == ()


@pytest.mark.parametrize("condition", [0, -1.0, math.nan, math.inf, "5"])
def test_a_bad_condition_number_is_refused(condition):
    message = f"Received: condition_number={condition!r}"
    with pytest.raises(ValueError, match=message):
        Bowl(condition)


@pytest.mark.parametrize("angle", [math.nan, math.inf, "0"])
def test_a_bad_angle_is_refused(angle):
    with pytest.raises(ValueError, match=f"Received: angle={angle!r}"):
        Bowl(1.0, angle)
