"""L2O-DM's configurations, number by number, on the built objects."""

import gin
import numpy as np
import pytest
import tensorflow as tf
from support.gin_files import FIRST, ROOT, named_bindings

from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.adam import Adam
from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.techniques.self_improving import SelfImproving
from l2o_tf.unroll.meta_losses import SumOfLosses
from l2o_tf.unroll.schedules import FixedHorizon, ScheduleState

PLAIN = ["dm.gin", "dm_aug.gin", "dm_cl.gin", "dm_exploration.gin"]
DM_FILES = [*PLAIN, "dm_il.gin", "dm_cl_il.gin", "dm_self_improving.gin"]


@pytest.mark.parametrize("file", DM_FILES)
def test_the_cell_is_the_papers(file, built):
    cell = built(file).cell
    assert isinstance(cell, DMLSTM)
    assert cell.units == (20, 20)
    assert cell.preprocessing == "log_and_sign"
    assert cell.log_scale == 5.0
    assert cell.output_scale == 0.01
    assert cell.meta_layout.size == 5_141
    assert cell.compute_dtype == "float32"
    assert not cell.reads_params


@pytest.mark.parametrize("file", DM_FILES)
def test_the_meta_optimizer_is_tf1s_adam(file, built):
    adam = built(file).meta_optimizer
    assert isinstance(adam, Adam)
    assert adam.learning_rate == 0.001
    assert adam.beta_1 == 0.9
    assert adam.beta_2 == 0.999
    assert adam.epsilon == 1e-8


@pytest.mark.parametrize("file", DM_FILES)
def test_the_window_is_20_steps_summed_first_order(file, built):
    estimator = built(file).estimator
    if isinstance(estimator, SelfImproving):
        assert estimator.unroll_length == 20
        estimator = estimator.estimator
    assert isinstance(estimator, TruncatedBackpropagation)
    assert estimator.unroll_length == 20
    assert estimator.second_derivatives is False
    assert estimator.backward == "adjoint"
    assert isinstance(estimator.meta_loss, SumOfLosses)
    losses = tf.range(1.0, 22.0)  # 21 terms
    value, weights = estimator.meta_loss.value_and_weights(losses)
    assert value.numpy() == 231.0
    np.testing.assert_array_equal(weights, np.ones(21))


@pytest.mark.parametrize("file", DM_FILES)
@pytest.mark.parametrize("role", ["optimizee", "validation_optimizee"])
def test_both_optimizees_are_mlp_orig_on_the_train_split(
    file, role, built, subset
):
    mlp = getattr(built(file), role)
    assert isinstance(mlp, MLP)
    assert mlp.split == "train"
    assert mlp.data is subset.split("train")
    assert mlp.layout.size == 15_910
    assert mlp.hidden == (20,)
    assert mlp.activation == "sigmoid"
    assert mlp.batch_size == 128
    assert mlp.init_stddev == 0.01


@pytest.mark.parametrize("file", DM_FILES)
def test_validation_is_every_100_episodes_with_20_runs(file, built):
    trainer = built(file)
    explores = file == "dm_exploration.gin"
    assert trainer.num_episodes == (10_000 if explores else 5_000)
    assert trainer.best_window == (1_000 if explores else None)
    assert trainer.validation_period == 100
    assert trainer.validation_runs == 20
    assert trainer.seed == trainer.cell.seed == 0


@pytest.mark.parametrize("file", PLAIN)
def test_a_plain_file_imitates_nobody(file, built):
    assert built(file).imitation is None


@pytest.mark.parametrize(
    ("file", "train_steps", "valid_steps"),
    [
        ("dm.gin", 100, 100),
        ("dm_aug.gin", 1_000, 1_500),
        ("dm_il.gin", 100, 100),
        ("dm_self_improving.gin", 100, 100),
        ("dm_exploration.gin", 100, 100),
    ],
)
def test_a_fixed_horizon_is_the_papers(file, train_steps, valid_steps, built):
    schedule = built(file).schedule
    assert isinstance(schedule, FixedHorizon)
    assert schedule.horizon(FIRST) == train_steps
    assert schedule.validation_horizon(FIRST) == valid_steps


@pytest.mark.parametrize("file", ["dm_cl.gin", "dm_cl_il.gin"])
def test_the_curriculum_is_the_papers(file, built):
    schedule = built(file).schedule
    assert isinstance(schedule, Curriculum)
    stages = [ScheduleState(stage=i) for i in range(7)]
    assert [schedule.horizon(s) for s in stages] == [
        100,
        200,
        500,
        1_000,
        1_500,
        2_000,
        2_500,
    ]
    assert [schedule.validation_horizon(s) for s in stages] == [
        200,
        500,
        1_000,
        1_500,
        2_000,
        2_500,
        3_000,
    ]
    assert len(schedule.horizons()) == 7
    assert schedule.patience == 3
    assert schedule.strict_nan is False


def test_the_other_readings_are_named_in_the_comments():
    assert named_bindings("dm.gin") == ["Trainer.num_episodes = 10000"]
    assert named_bindings("dm_aug.gin") == [
        "FixedHorizon.horizon = 500",
        "FixedHorizon.validation_horizon = 500",
    ]


def test_the_readmes_10000_episodes_are_one_binding_away(built):
    trainer = built("dm.gin", *named_bindings("dm.gin"))
    assert trainer.num_episodes == 10_000


def test_the_readmes_500_steps_are_two_bindings_away(built):
    schedule = built("dm_aug.gin", *named_bindings("dm_aug.gin")).schedule
    assert schedule.horizon(FIRST) == 500
    assert schedule.validation_horizon(FIRST) == 500


def test_the_papers_other_horizons_of_exploration_are_one_binding_away(built):
    bindings = named_bindings("dm_exploration.gin")
    assert bindings == ["horizon = 200", "horizon = 500", "horizon = 1000"]
    for binding in bindings:
        schedule = built("dm_exploration.gin", binding).schedule
        steps = int(binding.split()[-1])
        assert schedule.horizons() == (steps,)
        assert schedule.validation_horizons() == (steps,)
        gin.clear_config()


def test_exploration_keeps_10_models(built):
    trainer = built("dm_exploration.gin")
    assert trainer.num_episodes / trainer.best_window == 10
    assert trainer.best_window / trainer.validation_period == 10


def test_the_original_treatment_of_nan_is_one_binding_away(built):
    comment = (ROOT / "gin" / "dm_cl.gin").read_text()
    assert "Curriculum.strict_nan = True" in comment
    trainer = built("dm_cl.gin", "Curriculum.strict_nan = True")
    assert trainer.schedule.strict_nan is True


def test_one_binding_seeds_the_weights_and_the_training(built):
    trainer = built("dm.gin", "seed = 7")
    assert trainer.seed == trainer.cell.seed == 7
