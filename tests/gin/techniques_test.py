"""Imitation and self-improving in the configurations, number by number."""

import pytest
from support.gin_files import named_bindings

from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.self_improving import SelfImproving

IMITATING = ["dm_il.gin", "dm_cl_il.gin", "rnnprop_il.gin", "rnnprop_cl_il.gin"]
imitating_files = pytest.mark.parametrize("file", IMITATING)


def assert_papers_optimizers(cells):
    adam, sgd, adagrad = cells
    assert isinstance(adam, Adam)
    assert isinstance(sgd, SGD)
    assert isinstance(adagrad, Adagrad)
    assert {cell.learning_rate for cell in cells} == {0.01}
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.9, 0.999, 1e-8)
    assert (adagrad.initial_accumulator, adagrad.epsilon) == (0.1, 0.0)


@imitating_files
def test_the_teachers_are_the_papers(file, built):
    imitation = built(file).imitation
    assert_papers_optimizers(imitation.teachers)
    assert imitation.choice == "uniform"
    assert imitation.teacher_steps == 1
    assert imitation.initial_state == "zero"


@pytest.mark.parametrize(
    ("file", "ratios"),
    [
        ("dm_il.gin", [0.3] * 7),
        ("dm_cl_il.gin", [0.0, 0.1, 0.3, 0.3, 0.3, 0.3, 0.3]),
        ("rnnprop_il.gin", [0.3] * 7),
        ("rnnprop_cl_il.gin", [0.3] * 7),
    ],
)
def test_the_ratios_are_the_papers_per_stage(file, ratios, built):
    imitation = built(file).imitation
    assert [imitation.ratio(stage) for stage in range(7)] == ratios


def test_the_readmes_10000_episodes_of_dm_il_are_one_binding_away(built):
    trainer = built("dm_il.gin", "Trainer.num_episodes = 10000")
    assert "Trainer.num_episodes = 10000" in named_bindings("dm_il.gin")
    assert trainer.num_episodes == 10_000


@pytest.mark.parametrize("file", IMITATING)
def test_the_released_programs_imitation_is_three_bindings_away(file, built):
    bindings = named_bindings(file)
    assert bindings[:3] == [
        "teachers.names = ('adam',)",
        "Imitation.choice = 'round_robin'",
        "Imitation.initial_state = 'last_run'",
    ]
    imitation = built(file, *bindings[:3]).imitation
    (teacher,) = imitation.teachers
    assert isinstance(teacher, Adam)
    assert imitation.choice == "round_robin"
    assert imitation.keeps_memory


def test_dm_cl_ils_ratios_are_the_released_programs(built):
    ratios = built("dm_cl_il.gin").imitation.ratios
    assert ratios == (0.0, 0.1, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)


@pytest.mark.parametrize(
    "file",
    [
        "rnnprop.gin",
        "rnnprop_cl.gin",
        "rnnprop_lv.gin",
        "dm_self_improving.gin",
    ],
)
def test_the_others_imitate_nobody(file, built):
    assert built(file).imitation is None


def test_self_improving_starts_at_a_quarter_each_and_ends_after_100(built):
    estimator = built("dm_self_improving.gin").estimator
    assert isinstance(estimator, SelfImproving)
    assert_papers_optimizers(estimator.auxiliaries)
    assert estimator.start_probability == 0.25
    assert estimator.decay_episodes == 100


def test_the_papers_other_start_value_is_one_binding_away(built):
    (binding,) = named_bindings("dm_self_improving.gin")
    estimator = built("dm_self_improving.gin", binding).estimator
    assert estimator.start_probability == 0.33
