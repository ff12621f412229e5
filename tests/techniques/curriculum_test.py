"""The curriculum's decisions, driven by scripted costs."""

import math

import pytest

from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.unroll.schedules import ScheduleState, Verdict


def drive(curriculum, costs, baselines=()):
    """Feed costs; take baselines in order; return the story as words."""
    state, story, baselines = ScheduleState(), [], iter(baselines)
    for cost in costs:
        state, verdict = curriculum.observe(state, cost)
        story.append(verdict.value)
        if verdict is Verdict.NEXT_STAGE:
            state = curriculum.start_stage(state, next(baselines))
        if verdict is Verdict.STOP:
            break
    return state, story


def test_paper_horizons_and_validation_at_the_next():
    c = Curriculum()
    assert c.horizons() == (100, 200, 500, 1000, 1500, 2000, 2500)
    assert c.validation_horizons() == (200, 500, 1000, 1500, 2000, 2500, 3000)
    assert c.patience == 3
    state = ScheduleState(stage=2)
    assert c.horizon(state) == 500
    assert c.validation_horizon(state) == 1000


def test_stage_ends_at_the_first_non_best_validation_from_patience_on():
    # Improvements at 1 and 2, the third is worse: three validations, next.
    state, story = drive(Curriculum(), [5.0, 4.0, 4.5], [3.0])
    assert story == ["save", "save", "next_stage"]
    assert state == ScheduleState(
        stage=1, best=3.0, validations=0, improved=False
    )


def test_count_is_not_reset_by_an_improvement():
    _, story = drive(Curriculum(), [5.0, 6.0, 4.0, 4.5], [3.0])
    assert story == ["save", "continue", "save", "next_stage"]


def test_stage_goes_on_while_every_validation_is_the_best():
    _, story = drive(Curriculum(), [9, 8, 7, 6, 5, 4, 4], [1.0])
    assert story == ["save"] * 6 + ["next_stage"]


def test_equal_cost_is_no_improvement():
    _, story = drive(Curriculum(patience=2), [5.0, 5.0], [5.0])
    assert story == ["save", "next_stage"]


def test_training_stops_when_a_stage_never_improves():
    state, story = drive(Curriculum(), [5.0, 6, 6, 3.1, 3.2, 3.3], [3.0])
    assert story[-3:] == ["continue", "continue", "stop"]
    assert state.stage == 1


def test_end_of_the_list_is_a_clean_stop():
    c = Curriculum(horizons=(20, 40, 60), patience=1)
    state, story = drive(c, [5.0, 6.0, 4.0, 4.5], [5.5])
    assert story == ["save", "next_stage", "save", "stop"]
    assert state.stage == 1


def test_nan_baseline_reads_as_infinity():
    _, story = drive(Curriculum(), [5.0, 6, 6, 7.0, 8, 8], [math.nan, 7.0])
    assert story[3:] == ["save", "continue", "next_stage"]


def test_strict_nan_baseline_fails_the_stage_as_in_the_original():
    c = Curriculum(strict_nan=True)
    _, story = drive(c, [5.0, 6, 6, 7.0, 1.0, 1.0], [math.nan])
    assert story[3:] == ["continue", "continue", "stop"]


def test_nan_cost_is_never_better():
    _, story = drive(Curriculum(), [math.nan, math.nan, math.nan])
    assert story == ["continue", "continue", "stop"]


@pytest.mark.parametrize(
    "horizons", [(100,), (100, 100), (200, 100), (100, -200), (100, 2.5), ()]
)
def test_bad_horizons_are_refused(horizons):
    with pytest.raises(ValueError, match="Received: horizons="):
        Curriculum(horizons=horizons)


def test_bad_patience_is_refused():
    with pytest.raises(ValueError, match="Received: patience=0"):
        Curriculum(patience=0)
