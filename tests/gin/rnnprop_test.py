"""RNNprop's configurations, number by number, on the built objects."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizees.combination import Sum
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.techniques.random_scaling import RandomScaling
from l2o_tf.unroll.meta_losses import LossAt, SumOfLosses
from l2o_tf.unroll.schedules import FixedHorizon, ScheduleState

PAPERS = [
    "rnnprop.gin",
    "rnnprop_il.gin",
    "rnnprop_cl.gin",
    "rnnprop_cl_il.gin",
]
FIRST = ScheduleState()
papers_files = pytest.mark.parametrize("file", PAPERS)


@papers_files
def test_the_cell_is_the_papers(file, built):
    cell = built(file).cell
    assert isinstance(cell, RNNprop)
    assert cell.units == (20, 20)
    assert cell.projection_units == 20
    assert (cell.beta_1, cell.beta_2, cell.epsilon) == (0.95, 0.95, 1e-8)
    assert cell.output_scale == 0.01
    assert cell.gradient_first is False
    assert cell.initial_weights == "fan_in"
    assert cell.meta_layout.size == 6_641


@papers_files
def test_the_window_is_20_steps_summed_first_order(file, built):
    estimator = built(file).estimator
    assert isinstance(estimator, TruncatedBackpropagation)
    assert estimator.unroll_length == 20
    assert estimator.second_derivatives is False
    assert estimator.backward == "adjoint"
    assert isinstance(estimator.meta_loss, SumOfLosses)


@papers_files
def test_it_trains_and_validates_on_mlp_orig(file, built):
    trainer = built(file)
    for problem in (trainer.optimizee, trainer.validation_optimizee):
        assert isinstance(problem, MLP)
        assert (problem.hidden, problem.activation) == ((20,), "sigmoid")
        assert problem.split == "train"
        assert problem.layout.size == 15_910
        assert (problem.batch_size, problem.init_stddev) == (128, 0.01)


@papers_files
def test_validation_is_every_10_episodes_with_20_runs(file, built):
    trainer = built(file)
    assert trainer.validation_period == 10
    assert trainer.validation_runs == 20


@pytest.mark.parametrize("file", ["rnnprop.gin", "rnnprop_il.gin"])
def test_without_a_curriculum_it_is_100_episodes_of_100_steps(file, built):
    trainer = built(file)
    assert trainer.num_episodes == 100
    assert isinstance(trainer.schedule, FixedHorizon)
    assert trainer.schedule.horizon(FIRST) == 100
    assert trainer.schedule.validation_horizon(FIRST) == 100


@pytest.mark.parametrize("file", ["rnnprop_cl.gin", "rnnprop_cl_il.gin"])
def test_the_curriculum_is_the_papers(file, built):
    trainer = built(file)
    schedule = trainer.schedule
    assert isinstance(schedule, Curriculum)
    assert trainer.num_episodes == 5_000
    stages = (100, 200, 500, 1_000, 1_500, 2_000, 2_500)
    assert schedule.horizons() == stages
    assert schedule.validation_horizons() == (*stages[1:], 3_000)
    assert (schedule.patience, schedule.strict_nan) == (3, False)


def test_the_original_rnnprops_cell(built):
    cell = built("rnnprop_lv.gin").cell
    assert cell.output_scale == -0.1
    assert cell.gradient_first is True
    assert cell.initial_weights == "lv"
    assert cell.units == (20, 20)
    assert cell.projection_units == 20
    assert (cell.beta_1, cell.beta_2, cell.epsilon) == (0.95, 0.95, 1e-8)


def test_the_original_rnnprops_meta_loss_is_the_last_before_an_update(built):
    estimator = built("rnnprop_lv.gin").estimator
    assert isinstance(estimator.meta_loss, LossAt)
    _, weights = estimator.meta_loss.value_and_weights(tf.range(1.0, 22.0))
    np.testing.assert_array_equal(weights, np.eye(21)[19])
    assert estimator.unroll_length == 20
    assert estimator.second_derivatives is False
    assert estimator.backward == "adjoint"


def test_the_original_rnnprops_optimizee_is_scaled_and_has_a_bowl(built):
    trainer = built("rnnprop_lv.gin")
    mixture = trainer.optimizee
    assert isinstance(mixture, Sum)
    mlp, bowl = mixture.optimizees
    assert isinstance(mlp, RandomScaling)
    assert isinstance(bowl, RandomScaling)
    assert (mlp.log_scale_bound, bowl.log_scale_bound) == (3.0, 1.0)
    assert bowl.optimizee.dim == 20
    assert bowl.optimizee.start_bound == 0.0
    assert bowl.optimizee.cut_off == 10.0
    valid = trainer.validation_optimizee
    for problem in (mlp.optimizee, valid):
        assert isinstance(problem, MLP)
        assert problem.split == "train"
        assert (problem.hidden, problem.activation) == ((20,), "sigmoid")
        assert (problem.batch_size, problem.init_stddev) == (128, 0.1)
        assert problem.layout.size == 15_910
    assert mixture.layout.size == 15_930


def test_the_original_rnnprops_episode(built):
    trainer = built("rnnprop_lv.gin")
    assert trainer.schedule.horizon(FIRST) == 100
    assert trainer.schedule.validation_horizon(FIRST) == 100
    assert trainer.num_episodes == 10_000
    assert trainer.validation_period == 100
    assert trainer.validation_runs == 20
