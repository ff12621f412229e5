"""L2O-Scale's configurations, number by number, on the built objects."""

import numpy as np
import pytest
import tensorflow as tf
from support.gin_files import FIRST, SCALE_FILES, named_bindings

from l2o_tf.datasets.base import SPLITS, ImageDataset, make_split
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.optimizees import collection
from l2o_tf.optimizees.ensemble import Ensemble
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.techniques.self_improving import SelfImproving
from l2o_tf.unroll.meta_losses import LogRatio
from l2o_tf.unroll.random_windows import LongTail, RandomWindows
from l2o_tf.unroll.schedules import FixedHorizon, ScheduleState

RELEASED = [
    "scale_cl_il_released.gin",
    "scale_cl_released.gin",
    "scale_il_released.gin",
    "scale_released.gin",
]
PAPERS = [f for f in SCALE_FILES if f not in RELEASED]
CURRICULA = [f for f in SCALE_FILES if "_cl" in f]
IMITATING = [f for f in SCALE_FILES if "_il" in f]
ON_THE_MLP = [f for f in SCALE_FILES if f != "scale_meta.gin"]
FIXED = [f for f in ON_THE_MLP if f not in CURRICULA]
STAGES = (100, 200, 500, 1_000, 1_500, 2_000, 2_500)
STAGES = (*STAGES, 3_000, 3_500, 4_000, 4_500, 5_000)

every_file = pytest.mark.parametrize("file", SCALE_FILES)


@pytest.fixture(scope="module")
def kept():
    return {}


@pytest.fixture
def built(built, kept):
    """Build what a file describes once, and remember it."""

    def build(file, *parameters):
        if (file, parameters) not in kept:
            kept[file, parameters] = built(file, *parameters)
        return kept[file, parameters]

    return build


def backpropagation(trainer):
    """Return the estimator, taken out of a mixture if it is in one."""
    estimator = trainer.estimator
    if isinstance(estimator, SelfImproving):
        estimator = estimator.estimator
    assert isinstance(estimator, TruncatedBackpropagation)
    return estimator


def weights_of(cell):
    """Return the weights by their short names."""
    flat = cell.meta_layout.split(cell.meta_params())
    return {
        name.removeprefix(f"{cell.name}/"): tensor.numpy()
        for name, tensor in zip(cell.meta_layout.names, flat, strict=True)
    }


def test_the_files_with_the_programs_readings_are_named_after_it():
    assert [f for f in SCALE_FILES if "released" in f] == RELEASED


@every_file
def test_the_cell_is_the_papers(file, built):
    cell = built(file).cell
    assert isinstance(cell, HierarchicalRNN)
    assert cell.units == (10, 20, 20)
    assert cell.num_gradient_scales == 4
    assert cell.num_features == 12
    assert cell.problem_input == "last"
    assert cell.initial_learning_rate_range == (1e-6, 1e-2)
    assert cell.max_log_learning_rate == 33.0
    assert cell.meta_layout.size == 8_349
    assert len(cell.meta_layout.names) == 31
    assert cell.compute_dtype == "float32"


@every_file
def test_the_switches_are_those_of_the_original_command(file, built):
    assert built(file).cell.switches._asdict() == {
        "learned_decays": True,
        "learned_input_decay": True,
        "dynamic_output_scale": True,
        "attention": False,
        "gradient_shortcut": True,
        "gradient_products": True,
        "log_mean_squares": True,
        "relative_learning_rate": True,
        "problem_learning_rate_mean": True,
        "learning_rate_shortcut": False,
        "extreme_indicator": False,
        "chained_scale_decay": False,
        "zero_learning_rate_weights": True,
        "learned_initial_state": True,
    }


def test_the_weights_start_where_the_original_commands_flags_say(built):
    weights = weights_of(built("scale.gin").cell)
    for level in range(3):
        assert set(weights[f"level_{level}/b_gates"]) == {np.float32(2.2)}
        assert not weights[f"level_{level}/b_candidate"].any()
    assert weights["input_decay_bias"] == np.float32(2.2)
    assert weights["scale_decay_bias"] == np.float32(3.2)
    assert weights["learning_rate_momentum_logit"] == np.float32(3.2)
    assert weights["step_size_offset"] == -1.0
    assert weights["learning_rate_bias"] == 0.0
    assert not weights["learning_rate_weights"].any()
    # 0.5 / sqrt(rows), up to the spread of 1,600 draws.
    spread = weights["level_2/w_gates"].std() * np.sqrt(40)
    np.testing.assert_allclose(spread, 0.5, rtol=0.06)
    spread = weights["level_2_to_1/w"].std() * np.sqrt(20)
    np.testing.assert_allclose(spread, 0.5, rtol=0.08)


@every_file
def test_the_slots_start_from_a_mean_square_of_1(file, built):
    state = built(file).initial_state()
    assert set(state.meta.slots.mean_square.numpy()) == {1.0}
    assert set(state.meta.slots.momentum.numpy()) == {0.0}


@every_file
def test_the_meta_loss_is_the_mean_logarithm_of_the_ratio(file, built):
    loss = backpropagation(built(file)).meta_loss
    assert isinstance(loss, LogRatio)
    assert loss.numerator_epsilon is False
    losses = np.linspace(2.0, 1.0, 21).astype("float32")
    value = loss(tf.constant(losses), tf.constant(2.5))
    twice = np.concatenate([losses[:1], losses[:-1]]).astype("float64")
    expected = np.mean(np.log(twice / (2.5 + 1e-6) + 1e-6))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@every_file
def test_the_gradient_is_first_order_and_the_objective_apart(file, built):
    estimator = backpropagation(built(file))
    assert estimator.second_derivatives is False
    assert estimator.backward == "adjoint"
    assert estimator.objective == "window"


@pytest.mark.parametrize("file", ON_THE_MLP)
def test_the_window_is_20_steps(file, built):
    trainer = built(file)
    assert trainer.estimator.unroll_length == 20
    assert backpropagation(trainer).unroll_length == 20


@every_file
def test_states_are_kept_where_the_program_is_followed(file, built):
    trainer = built(file)
    expected = file in RELEASED
    assert backpropagation(trainer).keep_memory is expected
    assert trainer.estimator.keep_memory is expected


@pytest.mark.parametrize("file", ON_THE_MLP)
@pytest.mark.parametrize("role", ["optimizee", "validation_optimizee"])
def test_both_optimizees_are_mlp_orig_judged_on_10_000_images(
    file, role, built, subset
):
    mlp = getattr(built(file), role)
    assert isinstance(mlp, MLP)
    assert mlp.data is subset.split("train")
    assert mlp.layout.size == 15_910
    assert (mlp.hidden, mlp.activation) == ((20,), "sigmoid")
    assert mlp.batch_size == 128
    assert mlp.objective_size == 10_000
    assert mlp.init_stddev == (1.0 if file in RELEASED else 0.01)


def test_the_objective_is_measured_on_10_000_images_of_more(built, monkeypatch):
    images = np.zeros((10_003, 28, 28, 1), np.uint8)
    split = make_split(images, np.arange(10_003) % 10)
    more = ImageDataset("mnist", dict.fromkeys(SPLITS, split), 10)
    size = built("scale.gin").optimizee.objective_size
    monkeypatch.setattr(collection, "load_images", lambda name: more)
    mlp = collection.mlp_orig(objective_size=size)
    _, labels = mlp.sample_objective(tf.constant([0, 1]))
    assert labels.shape == (10_000,)


@pytest.mark.parametrize("file", FIXED)
def test_without_a_curriculum_it_is_100_episodes_of_100_steps(file, built):
    trainer = built(file)
    assert isinstance(trainer.schedule, FixedHorizon)
    assert not isinstance(trainer.schedule, RandomWindows)
    assert trainer.schedule.horizon(FIRST) == 100
    assert trainer.schedule.validation_horizon(FIRST) == 100
    assert trainer.windows(trainer.initial_state()) == 5 * (20,)
    assert trainer.num_episodes == 100
    assert trainer.validation_period == 1
    assert trainer.validation_runs == 20
    assert trainer.restored == "weights"


@pytest.mark.parametrize("file", CURRICULA)
def test_the_curriculum_is_the_papers(file, built):
    trainer = built(file)
    schedule = trainer.schedule
    assert isinstance(schedule, Curriculum)
    assert schedule.horizons() == STAGES[:-1]
    assert schedule.validation_horizons() == STAGES[1:]
    assert schedule.patience == 3
    assert schedule.strict_nan is False


@pytest.mark.parametrize("file", CURRICULA)
def test_a_curriculum_is_100_episodes_validated_one_by_one(file, built):
    trainer = built(file)
    assert trainer.num_episodes == 100
    assert trainer.validation_period == 1
    assert trainer.validation_runs == 5


@pytest.mark.parametrize("file", CURRICULA)
def test_a_new_stage_begins_with_the_best_slots_too(file, built):
    trainer = built(file)
    assert trainer.restored == "weights_and_slots"
    slots, others = trainer.initial_state().best_slots
    assert slots.mean_square.shape == (8_349,)
    assert others == ()


@pytest.mark.parametrize("file", ON_THE_MLP)
def test_on_the_mlp_episodes_are_compiled(file, built):
    assert built(file).jit_compile is True


def test_the_papers_t_period_is_two_bindings_away(built):
    bindings = named_bindings("scale_cl.gin")
    assert bindings == [
        "Trainer.validation_period = 100",
        "Trainer.num_episodes = 10000",
    ]
    trainer = built("scale_cl.gin", *bindings)
    assert trainer.validation_period == 100
    assert trainer.num_episodes == 10_000


@pytest.mark.parametrize("file", SCALE_FILES)
def test_only_the_files_with_il_imitate(file, built):
    assert (built(file).imitation is not None) == (file in IMITATING)


@pytest.mark.parametrize("file", IMITATING)
def test_every_tenth_trajectory_imitates_with_shared_slots(file, built):
    trainer = built(file)
    imitation = trainer.imitation
    assert [imitation.ratio(stage) for stage in range(12)] == 12 * [0.1]
    assert imitation.choice == "uniform"
    assert imitation.teacher_steps == 1
    assert imitation.slots == "shared"
    assert imitation.reduction == "mean"
    for teaching in imitation.estimators(20):
        assert teaching.reduction == "mean"
    assert trainer.initial_state().others == ()


@pytest.mark.parametrize("file", IMITATING)
def test_the_teachers_are_the_papers_or_the_programs(file, built):
    imitation = built(file).imitation
    adam, *others = imitation.teachers
    assert isinstance(adam, Adam)
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.9, 0.999, 1e-8)
    assert {t.learning_rate for t in imitation.teachers} == {0.01}
    if file in RELEASED:
        assert others == []
        assert imitation.initial_state == "last_run"
    else:
        assert [type(teacher) for teacher in others] == [SGD, Adagrad]
        assert imitation.initial_state == "zero"


def test_the_programs_teacher_is_one_binding_away(built):
    (binding,) = named_bindings("scale_il.gin")
    (teacher,) = built("scale_il.gin", binding).imitation.teachers
    assert isinstance(teacher, Adam)


def test_self_improving_starts_at_a_quarter_each_and_ends_after_100(built):
    estimator = built("scale_self_improving.gin").estimator
    assert isinstance(estimator, SelfImproving)
    kinds = [type(auxiliary) for auxiliary in estimator.auxiliaries]
    assert kinds == [Adam, SGD, Adagrad]
    assert {a.learning_rate for a in estimator.auxiliaries} == {0.01}
    assert estimator.start_probability == 0.25
    assert estimator.decay_episodes == 100


def test_the_papers_other_start_value_is_one_binding_away(built):
    (binding,) = named_bindings("scale_self_improving.gin")
    estimator = built("scale_self_improving.gin", binding).estimator
    assert estimator.start_probability == 0.33


def test_the_ensemble_has_101_problems_and_5_episodes_on_each(built):
    trainer = built("scale_meta.gin")
    assert isinstance(trainer.optimizee, Ensemble)
    assert len(trainer.optimizee) == 101
    assert trainer.optimizee.episodes_per_problem == 5
    assert trainer.num_episodes == 1_000 * 5


def test_the_ensemble_is_validated_on_mlp_orig(built):
    trainer = built("scale_meta.gin")
    mlp = trainer.validation_optimizee
    assert isinstance(mlp, MLP)
    assert (mlp.hidden, mlp.activation) == ((20,), "sigmoid")
    assert (mlp.split, mlp.objective_size) == ("train", 10_000)
    assert (mlp.batch_size, mlp.init_stddev) == (128, 0.01)
    assert trainer.validation_period == 50
    assert trainer.validation_runs == 20


def test_the_lengths_of_the_ensemble_are_long_tailed(built):
    trainer = built("scale_meta.gin")
    schedule = trainer.schedule
    assert isinstance(schedule, RandomWindows)
    windows, steps = schedule.num_windows, schedule.unroll_length
    assert isinstance(windows, LongTail)
    assert isinstance(steps, LongTail)
    assert (windows.scale, windows.minimum, windows.maximum) == (40.0, 1, 481)
    assert (steps.scale, steps.minimum, steps.maximum) == (200.0, 50, 2_450)
    # A maximum is 12 scales above its minimum.
    assert windows.maximum == 1 + 12 * 40
    assert steps.maximum == 50 + 12 * 200
    assert trainer.estimator.unroll_length == 2_450
    assert schedule.validation_horizon(FIRST) == 1_000


def test_the_ensembles_episodes_have_41_windows_of_250_steps_on_average(built):
    trainer = built("scale_meta.gin")
    state = trainer.initial_state()
    drawn = [
        trainer.windows(state.replace(episode=episode))
        for episode in range(150)
    ]
    counts = np.array([len(windows) for windows in drawn])
    # The standard error of the mean is 40 / sqrt(150) = 3.3.
    np.testing.assert_allclose(counts.mean(), 41, atol=10)
    lengths = np.concatenate(drawn)
    assert lengths.min() >= 50
    np.testing.assert_allclose(lengths.mean(), 250, atol=10)


def test_the_ensembles_episodes_are_not_compiled(built):
    trainer = built("scale_meta.gin")
    assert trainer.jit_compile is False
    assert trainer.restored == "weights"


def test_a_run_of_the_ensemble_that_ends_is_one_binding_away(built):
    (binding,) = named_bindings("scale_meta.gin")
    assert built("scale_meta.gin", binding).num_episodes == 100


@pytest.mark.parametrize("file", RELEASED)
def test_the_programs_reading_begins_with_a_memory(file, built):
    trainer = built(file)
    memory = trainer.initial_state().memory
    assert memory.coordinates.shape == (10, 15_910)


@pytest.mark.parametrize("file", PAPERS)
def test_the_papers_reading_has_no_memory(file, built):
    assert built(file).initial_state().memory == ()


@pytest.mark.parametrize("file", CURRICULA)
def test_the_last_stage_is_the_eleventh(file, built):
    schedule = built(file).schedule
    last = ScheduleState(stage=10)
    assert schedule.horizon(last) == 4_500
    assert schedule.validation_horizon(last) == 5_000
    assert len(schedule.horizons()) == 11
