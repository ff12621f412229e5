"""SimpleOptimizer's setting, number by number, on the built objects."""

import numpy as np
import pytest
import tensorflow as tf
from support.gin_files import FIRST

from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.simple import SimpleOptimizer
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.adam import Adam
from l2o_tf.techniques.random_scaling import RandomScaling
from l2o_tf.unroll.meta_losses import LossAt, SumOfLosses, WeightedDifference
from l2o_tf.unroll.schedules import FixedHorizon

SIMPLE = {
    "simple.gin": 132,
    "simple_bias.gin": 143,
    "simple_no_aggregate.gin": 120,
    "simple_uniform_loss.gin": 132,
    "simple_last_loss.gin": 132,
}
FILES = [*SIMPLE, "dm_base_mlp.gin", "rnnprop_base_mlp.gin"]
WEIGHTED = ["simple.gin", "simple_bias.gin", "simple_no_aggregate.gin"]
every_file = pytest.mark.parametrize("file", FILES)


@pytest.mark.parametrize(("file", "size"), SIMPLE.items())
def test_the_cell_is_the_papers_or_its_ablation(file, size, built):
    cell = built(file).cell
    assert isinstance(cell, SimpleOptimizer)
    assert cell.units == 10
    assert cell.use_bias == (file == "simple_bias.gin")
    without = file == "simple_no_aggregate.gin"
    assert cell.aggregate == ("none" if without else "mean")
    assert cell.recurrent_aggregate is False
    assert cell.meta_layout.size == size


@every_file
def test_a_trajectory_is_200_steps_in_windows_of_20(file, built):
    trainer = built(file)
    assert isinstance(trainer.schedule, FixedHorizon)
    assert trainer.schedule.horizon(FIRST) == 200
    assert trainer.schedule.validation_horizon(FIRST) == 200
    estimator = trainer.estimator
    assert isinstance(estimator, TruncatedBackpropagation)
    assert estimator.unroll_length == 20
    assert estimator.second_derivatives is False
    assert (estimator.backward, estimator.objective) == ("adjoint", "minibatch")
    assert trainer.windows(trainer.initial_state()) == 10 * (20,)


@every_file
def test_there_are_as_many_trajectories_as_the_part_says(file, built):
    trainer = built(file)
    assert (trainer.num_episodes, trainer.validation_period) == (1_000, 50)


@every_file
def test_it_trains_and_validates_on_the_base_mlp(file, built):
    trainer = built(file)
    trained = trainer.optimizee
    if file == "rnnprop_base_mlp.gin":
        assert isinstance(trained, RandomScaling)
        assert trained.log_scale_bound == 3.0
        trained = trained.optimizee
    for problem in (trained, trainer.validation_optimizee):
        assert isinstance(problem, MLP)
        assert (problem.hidden, problem.activation) == ((500,), "relu")
        assert problem.layout.size == 397_510
        assert (problem.split, problem.batch_size) == ("train", 128)
        assert problem.initializer == "glorot_uniform"


@every_file
def test_the_meta_optimizer_is_adam_at_a_thousandth(file, built):
    adam = built(file).meta_optimizer
    assert isinstance(adam, Adam)
    assert adam.learning_rate == 1e-3


@pytest.mark.parametrize("file", WEIGHTED)
def test_the_weights_are_the_squares_of_the_step_over_200(file, built):
    meta_loss = built(file).estimator.meta_loss
    assert isinstance(meta_loss, WeightedDifference)
    step = tf.constant(180)
    _, weights = meta_loss.value_and_weights(tf.zeros([21]), None, None, step)
    w = (np.arange(181, 201) / 200.0) ** 2
    np.testing.assert_allclose(weights[-1], 1.0, rtol=1e-6)
    np.testing.assert_allclose(
        np.cumsum(weights), np.append(-w, 0.0), atol=1e-6
    )


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("simple_uniform_loss.gin", SumOfLosses),
        ("dm_base_mlp.gin", SumOfLosses),
        ("simple_last_loss.gin", LossAt),
        ("rnnprop_base_mlp.gin", LossAt),
    ],
)
def test_the_other_meta_losses_are_the_earlier_works(file, kind, built):
    meta_loss = built(file).estimator.meta_loss
    assert isinstance(meta_loss, kind)
    _, weights = meta_loss.value_and_weights(tf.ones([21]))
    expected = np.ones(21) if kind is SumOfLosses else np.eye(21)[20]
    np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize(
    ("file", "kind", "size"),
    [
        ("dm_base_mlp.gin", DMLSTM, 5_141),
        ("rnnprop_base_mlp.gin", RNNprop, 6_641),
    ],
)
def test_the_baselines_cells_are_those_of_their_own_files(
    file, kind, size, built
):
    cell = built(file).cell
    assert isinstance(cell, kind)
    assert cell.meta_layout.size == size
    assert cell.units == (20, 20)
