"""The outer loop's decisions, driven by scripted validation losses."""

import math

import numpy as np
import pytest
from support.training import (
    Broken,
    ScriptedTrainer,
    arguments,
    same,
    small_trainer,
)

from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.failures import NonFiniteError
from l2o_tf.meta_training.state import Phase
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.unroll.schedules import FixedHorizon, ScheduleState


def advance(trainer, state):
    """Make one transition; return the state and the validation, if any."""
    if state.phase is Phase.EPISODE:
        return trainer.train_one(state)[0], None
    losses = [
        trainer.validation_run(state, run)[1]
        for run in range(trainer.validation_runs)
    ]
    return trainer.judge(state, losses)


def story(trainer):
    """Run to the end; return the states and the validations."""
    states, validations = [trainer.initial_state()], []
    while states[-1].phase is not Phase.DONE:
        state, validation = advance(trainer, states[-1])
        states.append(state)
        validations += [] if validation is None else [validation]
    return states, validations


def test_the_first_state_holds_the_cells_weights_and_fresh_slots():
    trainer = small_trainer()
    state = trainer.initial_state()
    assert same(state.meta.meta_params, trainer.cell.meta_params())
    assert same(state.best, state.meta.meta_params)
    assert not np.any(state.meta.slots.first_moment)
    assert state.meta.step.numpy() == 0
    assert state.phase is Phase.EPISODE
    assert state.schedule == ScheduleState()


def test_an_episode_makes_one_meta_update_per_window():
    trainer = small_trainer(
        schedule=FixedHorizon(10), estimator=TruncatedBackpropagation(2)
    )
    state, report = trainer.train_one(trainer.initial_state())
    assert state.meta.step.numpy() == 5
    assert state.episode == 1
    assert report.skipped == 0
    assert isinstance(report.mean_loss, float)


def test_two_trainers_agree_bit_for_bit_and_the_seed_matters():
    def last(**changes):
        states, _ = story(small_trainer(num_episodes=4, **changes))
        return states[-1]

    first = last()
    assert same(first.meta, last().meta)
    assert not same(first.meta, last(seed=1).meta)


def test_validation_sums_the_last_losses_of_its_runs():
    trainer = ScriptedTrainer(
        [1.0, 2.0, 4.5], validation_runs=3, num_episodes=3
    )
    states, validations = story(trainer)
    assert trainer.asked == [("validation", 4, run) for run in range(3)]
    (validation,) = validations
    assert validation.cost == 7.5
    assert validation.mean_loss == 2.5
    assert validation.verdict == "save"
    assert states[-1].schedule.best == 7.5


def test_validation_runs_and_validations_have_their_own_randomness():
    trainer = small_trainer()
    state = trainer.initial_state()
    losses = [trainer.validation_run(state, run)[1] for run in range(3)]
    losses.append(trainer.validation_run(state.replace(validations=1), 0)[1])
    assert len(set(losses)) == 4
    assert trainer.validation_run(state, 1)[1] == losses[1]


def test_validation_uses_its_own_optimizee():
    trainer = small_trainer(validation_optimizee=Simple())
    _, loss = trainer.validation_run(trainer.initial_state(), 0)
    # From x = 1, whatever the seed; the quadratic's losses differ by seed.
    assert loss == trainer.validation_run(trainer.initial_state(), 1)[1]
    assert trainer.optimizee.layout.size == 6


@pytest.mark.parametrize(
    ("trained", "validated", "expected"),
    [
        (None, None, None),
        ("HALF.", None, "HALF."),
        (None, "HALF.", "HALF."),
        ("HALF.", "HALF.", "HALF."),
        ("A. HALF.", "HALF.", "A. HALF."),
        ("HALF.", "A THIRD.", "HALF. A THIRD."),
    ],
)
def test_the_notice_is_of_the_data_of_training_and_validation(
    trained, validated, expected
):
    optimizee, validation = Quadratic(2, 3), Simple()
    optimizee.notice, validation.notice = trained, validated
    trainer = small_trainer(
        cell=LearnableSGD(),
        optimizee=optimizee,
        validation_optimizee=validation,
    )
    assert trainer.notice == expected


def test_next_stage_takes_the_best_weights_and_keeps_the_slots():
    trainer = ScriptedTrainer([5.0, 6.0, 3.0, 4.0], validation_period=2)
    state = trainer.initial_state()
    for _ in range(3):  # two episodes, a validation that is the best
        state, _ = advance(trainer, state)
    best = state.meta
    assert same(state.best, best.meta_params)
    for _ in range(2):
        state, _ = advance(trainer, state)
    before = state
    assert not same(before.meta.meta_params, best.meta_params)
    after, validation = advance(trainer, before)
    assert validation.verdict == "next_stage"
    assert validation.best == 5.0
    assert after.phase is Phase.BASELINE
    assert after.schedule.stage == 1
    assert same(after.meta.meta_params, best.meta_params)
    assert same(after.meta.slots, before.meta.slots)
    assert after.meta.step.numpy() == before.meta.step.numpy() == 4
    assert same(after.best, best.meta_params)


def test_the_baseline_is_taken_at_the_next_stages_validation_horizon():
    trainer = ScriptedTrainer(
        [5.0, 6.0, 3.5, 3.6], validation_period=2, num_episodes=6
    )
    states, validations = story(trainer)
    assert trainer.asked[:3] == [
        ("validation", 4, 0),
        ("validation", 4, 0),
        ("baseline", 6, 0),
    ]
    baseline = validations[2]
    assert (baseline.kind, baseline.stage) == ("baseline", 1)
    assert baseline.horizon == 6
    assert baseline.verdict == "start"
    assert baseline.best == baseline.cost == 3.5
    # 3.6 does not beat the baseline: with a patience of 1 the stage fails.
    assert validations[3].verdict == "stop"
    assert validations[3].best == 3.5
    assert states[-1].phase is Phase.DONE


def test_the_end_of_the_list_is_a_clean_stop():
    trainer = ScriptedTrainer(
        [9.0, 9.5, 8.5, 8.0, 8.1],
        schedule=Curriculum((2, 4, 6), patience=1),
        validation_period=1,
    )
    states, validations = story(trainer)
    assert [v.verdict for v in validations] == [
        "save",
        "next_stage",
        "start",
        "save",
        "stop",
    ]
    assert [v.stage for v in validations] == [0, 0, 1, 1, 1]
    assert states[-1].episode == 4
    assert [s.validations for s in states][-1] == 5


def test_the_last_episode_is_validated_though_the_period_is_not_over():
    trainer = ScriptedTrainer([5.0, 4.0], num_episodes=5, validation_period=3)
    states, validations = story(trainer)
    assert [v.episode for v in validations] == [3, 5]
    assert same(states[-1].best, states[-1].meta.meta_params)


def test_no_baseline_is_taken_when_no_episode_is_left():
    trainer = ScriptedTrainer([5.0, 6.0], num_episodes=4, validation_period=2)
    states, validations = story(trainer)
    assert validations[-1].verdict == "next_stage"
    assert states[-1].phase is Phase.DONE


def test_a_fixed_horizon_keeps_the_best_of_the_whole_run():
    trainer = ScriptedTrainer(
        [5.0, math.nan, 4.0, 4.5],
        schedule=FixedHorizon(4, 6),
        num_episodes=4,
        validation_period=1,
    )
    states, validations = story(trainer)
    assert [v.verdict for v in validations] == [
        "save",
        "continue",
        "save",
        "continue",
    ]
    assert {horizon for _, horizon, _ in trainer.asked} == {6}
    after_third = next(s for s in states if s.validations == 3)
    assert same(states[-1].best, after_third.meta.meta_params)
    assert not same(states[-1].best, states[-1].meta.meta_params)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_all_stages_share_one_trace(jit_compile):
    trainer = small_trainer(
        cell=LearnableSGD(),
        optimizee=Simple(),
        validation_runs=1,
        jit_compile=jit_compile,
    )
    state = trainer.initial_state()
    for stage in range(3):
        state = state.replace(
            schedule=ScheduleState(stage=stage), phase=Phase.EPISODE
        )
        state, _ = trainer.train_one(state)
        trainer.validation_run(state, 0)
    assert state.meta.step.numpy() == 1 + 2 + 3
    assert trainer._episodes[0, 0].experimental_get_tracing_count() == 1
    assert trainer._validate_run.experimental_get_tracing_count() == 1


def test_training_gives_up_after_episodes_without_a_finite_update():
    trainer = small_trainer(
        optimizee=Broken(2, 3), max_failed_episodes=3, num_episodes=9
    )
    state = trainer.initial_state()
    first = state.meta
    for count in (1, 2):
        state, report = trainer.train_one(state)
        assert report.skipped == 1
        assert state.failed_in_a_row == state.skipped == count
        assert same(state.meta, first)
    with pytest.raises(
        NonFiniteError, match="Received: max_failed_episodes=3"
    ) as caught:
        trainer.train_one(state)
    assert "3 episodes in a row" in str(caught.value)
    assert "learning_rate" in str(caught.value)


def test_a_finite_update_ends_the_count_of_failures():
    trainer = small_trainer()
    state = trainer.initial_state().replace(failed_in_a_row=19, skipped=19)
    state, _ = trainer.train_one(state)
    assert state.failed_in_a_row == 0
    assert state.skipped == 19


@pytest.mark.parametrize(
    ("horizon", "length", "use"),
    [(110, 20, "Use 100 or 120."), (10, 20, "Use 20.")],
)
def test_a_horizon_must_be_a_multiple_of_the_window(horizon, length, use):
    with pytest.raises(
        ValueError,
        match=f"Received: horizon={horizon}, unroll_length={length}",
    ) as caught:
        small_trainer(
            schedule=FixedHorizon(horizon),
            estimator=TruncatedBackpropagation(length),
        )
    assert use in str(caught.value)


def test_every_stages_horizon_is_checked_but_the_last_is_for_validation():
    estimator = TruncatedBackpropagation(4)
    with pytest.raises(ValueError, match="Received: horizon=10"):
        small_trainer(schedule=Curriculum((4, 10, 12)), estimator=estimator)
    trainer = small_trainer(
        schedule=Curriculum((4, 8, 11)), estimator=estimator
    )
    assert trainer.schedule.validation_horizons() == (8, 11)


@pytest.mark.parametrize(
    "name",
    [
        "num_episodes",
        "validation_period",
        "validation_runs",
        "max_failed_episodes",
    ],
)
@pytest.mark.parametrize("value", [0, -3, 2.5, True])
def test_counts_are_positive_ints(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        small_trainer(**{name: value})


@pytest.mark.parametrize("rate", [math.nan, math.inf, -0.001, 0.0])
def test_a_learning_rate_that_cannot_train_is_refused(rate):
    with pytest.raises(ValueError, match=f"Received: learning_rate={rate}"):
        small_trainer(meta_optimizer=Adam(rate))


def test_a_seed_out_of_range_is_refused():
    with pytest.raises(ValueError, match="Received: seed=4294967296"):
        small_trainer(seed=2**32)


def test_a_cell_without_weights_is_refused():
    with pytest.raises(ValueError, match="Adam has no weight to train"):
        small_trainer(cell=Adam())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell", 3),
        ("optimizee", Adam()),
        ("estimator", TruncatedBackpropagation),
        ("schedule", Curriculum),
        ("meta_optimizer", "adam"),
        ("validation_optimizee", Quadratic),
        ("imitation", Imitation),
    ],
)
def test_an_argument_of_another_kind_is_refused(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}=") as caught:
        Trainer(**arguments(**{name: value}))
    assert "@Name()" in str(caught.value)


@pytest.mark.parametrize(
    "losses",
    [[1.0, math.nan], [math.inf, 1.0], [math.inf, -math.inf]],
)
def test_a_validation_that_is_not_finite_is_never_the_best(losses):
    trainer = small_trainer(schedule=FixedHorizon(10))
    state = trainer.initial_state().replace(phase=Phase.VALIDATION)
    after, validation = trainer.judge(state, losses)
    assert validation.verdict == "continue"
    assert not math.isfinite(validation.cost)
    assert after.schedule.best == math.inf
