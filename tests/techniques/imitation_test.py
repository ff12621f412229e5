"""The coin of imitation: how often, and who teaches."""

import math

import gin
import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.estimators.imitation import ImitationGradient
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.techniques.teachers import TEACHERS, teachers


@pytest.fixture(autouse=True)
def _compiled_seeds(monkeypatch):
    """Compile the random numbers: thousands of coins in seconds."""
    for name in ("fold_in", "uniform", "integers"):
        function = tf.function(getattr(seeds, name), autograph=False)
        monkeypatch.setattr(seeds, name, function)


THREE = (Adam(0.01), SGD(0.01), Adagrad(0.01))


def choices(technique, count, stage=0):
    """Toss the coins of some episodes, counting those that imitate."""
    answers, imitated = [], 0
    for i in range(count):
        answer = technique.choose(seeds.make_seed(i), stage, imitated)
        answers.append(answer)
        imitated += answer is not None
    return answers


def test_the_share_of_imitation_is_the_ratio_and_teachers_are_equally_likely():
    count, ratio = 4_000, 0.6
    answers = choices(Imitation(THREE, ratios=(ratio,)), count)
    taught = [a for a in answers if a is not None]
    share = len(taught) / count
    error = math.sqrt(ratio * (1 - ratio) / count)
    assert abs(share - ratio) < 5 * error
    # Chi-square of 2 degrees of freedom: above 20 with probability
    # exp(-20 / 2) = 4.5e-5.
    counts = np.bincount(taught, minlength=3)
    expected = len(taught) / 3
    assert np.sum((counts - expected) ** 2 / expected) < 20.0


@pytest.mark.parametrize("word", ["both", None, True])
def test_slots_are_own_or_shared(word):
    assert Imitation(THREE).shares_slots is False
    assert Imitation(THREE, slots="shared").shares_slots is True
    with pytest.raises(ValueError, match=f"Received: slots={word!r}"):
        Imitation(THREE, slots=word)


def test_the_teacher_does_not_depend_on_the_coin():
    # Small draws of the coin and large ones alike meet every teacher.
    low = choices(Imitation(THREE, ratios=(0.1,)), 600)
    every = choices(Imitation(THREE, ratios=(1.0,)), 600)
    assert {a for a in low if a is not None} == {0, 1, 2}
    assert all(a == b for a, b in zip(low, every, strict=True) if a is not None)


@pytest.mark.parametrize("choice", ["uniform", "round_robin"])
def test_ratio_zero_is_never_and_ratio_one_is_always(choice):
    technique = Imitation(THREE, ratios=(0.0, 1.0), choice=choice)
    never, always = (choices(technique, 200, stage=s) for s in (0, 1))
    assert never == [None] * 200
    assert None not in always


def test_round_robin_takes_turns_counted_in_imitation_episodes():
    technique = Imitation(THREE, ratios=(0.5,), choice="round_robin")
    answers = choices(technique, 60)
    taught = [a for a in answers if a is not None]
    assert 0 < len(taught) < 60
    assert taught == [i % 3 for i in range(len(taught))]
    always = Imitation(THREE, ratios=(1.0,), choice="round_robin")
    assert always.choose(seeds.make_seed(0), 0, 3) == 0
    assert always.choose(seeds.make_seed(0), 0, 4) == 1


def test_the_same_seed_gives_the_same_answer():
    technique = Imitation(THREE, ratios=(0.5,))
    assert choices(technique, 100) == choices(technique, 100)
    assert choices(technique, 100) == choices(
        Imitation(teachers(), ratios=(0.5,)), 100
    )


@pytest.mark.parametrize(
    ("stage", "ratio"), [(0, 0.0), (1, 0.1), (2, 0.3), (3, 0.3), (99, 0.3)]
)
def test_the_last_ratio_holds_for_all_further_stages(stage, ratio):
    assert Imitation(THREE, ratios=(0.0, 0.1, 0.3)).ratio(stage) == ratio


def test_the_ratio_is_three_tenths_by_default():
    technique = Imitation(THREE)
    assert [technique.ratio(stage) for stage in (0, 5)] == [0.3, 0.3]


def test_choices_follow_the_ratio_of_the_stage():
    technique = Imitation(THREE, ratios=[0.0, 0.25, 1.0])
    taught = [
        sum(a is not None for a in choices(technique, 200, stage=stage))
        for stage in (0, 1, 2, 7)
    ]
    assert taught[0] == 0
    assert abs(taught[1] - 50) < 5 * math.sqrt(200 * 0.25 * 0.75)
    assert taught[2:] == [200, 200]


def test_one_estimator_per_teacher_with_the_techniques_arguments():
    technique = Imitation(THREE, teacher_steps=3, initial_state="last_run")
    estimators = technique.estimators(5)
    assert all(type(e) is ImitationGradient for e in estimators)
    assert [e.teacher for e in estimators] == list(THREE)
    assert {
        (e.unroll_length, e.teacher_steps, e.keep_memory) for e in estimators
    } == {(5, 3, True)}


@pytest.mark.parametrize(
    ("initial_state", "keeps"), [("zero", False), ("last_run", True)]
)
def test_memory_is_kept_for_the_last_runs_state_only(initial_state, keeps):
    technique = Imitation(THREE, initial_state=initial_state)
    assert technique.keeps_memory is keeps
    assert technique.estimators(2)[0].keep_memory is keeps


def test_memory_is_not_kept_by_default():
    assert Imitation(THREE).keeps_memory is False
    assert Imitation(THREE).estimators(2)[0].teacher_steps == 1


def test_names_are_the_classes_and_numbered_when_they_repeat():
    assert Imitation(THREE).names == ("adam", "sgd", "adagrad")
    two = (Adam(0.01), Adam(0.1))
    assert Imitation(two).names == ("adam_0", "adam_1")
    mixed = (Adam(0.01), Momentum(0.1), Adam(0.1))
    assert Imitation(mixed).names == ("adam_0", "momentum", "adam_2")
    everyone = teachers(tuple(TEACHERS))
    assert Imitation(everyone).names == tuple(TEACHERS)


@pytest.mark.parametrize("value", [(), [], 0.3, None, "0.3"])
def test_ratios_that_are_no_tuple_of_numbers_are_refused(value):
    with pytest.raises(ValueError, match="Received: ratios=") as caught:
        Imitation(THREE, ratios=value)
    assert str(caught.value) == (
        "`ratios` must be a tuple with a number per stage, at least one. "
        f"Received: ratios={value!r}."
    )


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, "0.3", True])
def test_a_ratio_outside_of_the_unit_interval_is_refused(value):
    with pytest.raises(ValueError, match=f"Received: ratios={value!r}"):
        Imitation(THREE, ratios=(0.3, value))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("choice", "random"),
        ("initial_state", "leak"),
        ("teacher_steps", 0),
        ("teacher_steps", 1.5),
        ("teachers", ()),
        ("teachers", ("adam",)),
    ],
)
def test_an_argument_out_of_range_is_refused(argument, value):
    arguments = {"teachers": THREE, argument: value}
    with pytest.raises(ValueError, match="Received: ") as caught:
        Imitation(**arguments)
    assert f"Received: {argument}={value!r}." in str(caught.value)


def test_gin_builds_imitation():
    gin.parse_config(
        "Imitation.teachers = @teachers()\nImitation.ratios = (0.0, 0.1)"
    )
    technique = gin.get_configurable("l2o_tf.techniques.Imitation")()
    assert technique.ratios == (0.0, 0.1)
    assert technique.names == ("adam", "sgd", "adagrad")
