"""What every study shares: its name, its description, its loop over points."""

import json

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic

from l2o_tf.core.compile import compiled
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.square_cos import SquareCos
from l2o_tf.optimizees.wrappers import LogObjective
from l2o_tf.studies.base import (
    checked_lengths,
    described_optimizee,
    map_points,
)
from l2o_tf.studies.momentum import MomentumStudy


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "../up"])
def test_a_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(ValueError, match=f"Received: name='{name}'"):
        MomentumStudy(name=name)


@pytest.mark.parametrize("lengths", [(), (5, 5), (10, 5)])
def test_lengths_that_do_not_rise_are_refused(lengths):
    with pytest.raises(ValueError, match="Received: lengths="):
        checked_lengths("lengths", lengths)


def test_lengths_that_are_no_positive_ints_are_refused():
    with pytest.raises(ValueError, match="Received: lengths=0"):
        checked_lengths("lengths", (0, 5))


def test_a_problem_is_described_by_its_numbers_and_data():
    def described(**options):
        problem = MLP(synthetic_images(), "train", (3,), **options)
        return described_optimizee(problem)

    here = described(batch_size=8)
    assert here["class"] == "MLP"
    assert here["shapes"] == [[16, 3], [3], [3, 3], [3]]
    assert here["split"] == "train"
    assert (here["batch_size"], here["hidden"]) == (8, [3])
    assert here == json.loads(json.dumps(here))
    assert here != described(batch_size=9)
    assert here != described(batch_size=8, init_stddev=0.02)


def test_arrays_inside_a_problem_are_described():
    here, again, other = (
        described_optimizee(DiagonalQuadratic([1.0, h], [2.0, 2.0]))
        for h in (1.0, 1.0, 3.0)
    )
    assert here == again
    assert {k for k in here if here[k] != other[k]} == {"h"}


def test_data_inside_a_problem_are_described():
    here, other = (
        described_optimizee(MLP(synthetic_images(seed), "train", (3,)))
        for seed in (0, 1)
    )
    assert {k for k in here if here[k] != other[k]} == {"data"}


def test_a_problem_inside_a_problem_is_described():
    here, other = (
        described_optimizee(LogObjective(SquareCos(2, dim))) for dim in (3, 4)
    )
    (inside,) = (v for v in here.values() if isinstance(v, dict))
    assert (inside["class"], inside["dim"]) == ("SquareCos", 3)
    assert here != other


def test_what_has_no_form_is_left_out_of_a_description():
    problem = DiagonalQuadratic([1.0], [2.0])
    problem.mixed, problem.odd = [1, object()], {"a": 1}
    assert not {"mixed", "odd"} & set(described_optimizee(problem))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_function_is_mapped_over_points_in_their_order(jit_compile):
    def both(points):
        return map_points(
            lambda row: (tf.reduce_sum(row), 2.0 * row),
            points,
            (tf.float32, tf.float32),
        )

    sums, doubled = compiled(both, jit_compile)(tf.constant([[1.0, 2], [3, 5]]))
    np.testing.assert_array_equal(sums, [3.0, 8.0])
    np.testing.assert_array_equal(doubled, [[2.0, 4.0], [6.0, 10.0]])
