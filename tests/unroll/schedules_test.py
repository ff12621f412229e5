"""The schedule of one horizon: its verdicts and its refusals."""

import json
import math

import pytest

from l2o_tf.core import seeds
from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.unroll.schedules import FixedHorizon, ScheduleState, Verdict


def test_horizons_are_the_arguments():
    schedule, state = FixedHorizon(1000, 1500), ScheduleState()
    assert schedule.horizon(state) == 1000
    assert schedule.validation_horizon(state) == 1500
    assert schedule.horizons() == (1000,)
    assert schedule.validation_horizons() == (1500,)


def test_validation_horizon_defaults_to_the_training_one():
    schedule = FixedHorizon(100)
    assert schedule.validation_horizon(ScheduleState()) == 100
    assert schedule.validation_horizons() == (100,)


@pytest.mark.parametrize(
    "schedule", [FixedHorizon(100), Curriculum((100, 200, 300))]
)
def test_no_windows_are_drawn_by_default(schedule):
    state = ScheduleState()
    assert schedule.window_lengths(state, seeds.make_seed(0)) is None
    assert schedule.longest_window is None
    assert schedule.most_windows is None


def test_a_strictly_lower_cost_is_saved():
    schedule, state = FixedHorizon(100), ScheduleState()
    costs = [5.0, 5.0, 6.0, 4.5, 4.5, 4.0]
    verdicts, bests = [], []
    for cost in costs:
        state, verdict = schedule.observe(state, cost)
        verdicts.append(verdict)
        bests.append(state.best)
    save, go_on = Verdict.SAVE, Verdict.CONTINUE
    assert verdicts == [save, go_on, go_on, save, go_on, save]
    assert bests == [5.0, 5.0, 5.0, 4.5, 4.5, 4.0]
    assert state == ScheduleState(0, 4.0, 6, True)


@pytest.mark.parametrize("cost", [math.nan, math.inf])
def test_a_cost_that_is_not_finite_is_never_the_best(cost):
    schedule = FixedHorizon(100)
    state, verdict = schedule.observe(ScheduleState(), cost)
    assert verdict is Verdict.CONTINUE
    assert state == ScheduleState(0, math.inf, 1, False)
    state, verdict = schedule.observe(state, 1.0)
    assert verdict is Verdict.SAVE
    state, verdict = schedule.observe(state, cost)
    assert verdict is Verdict.CONTINUE
    assert state.best == 1.0


def test_it_never_stops_by_itself():
    schedule, state = FixedHorizon(100), ScheduleState()
    for cost in range(1000):
        state, verdict = schedule.observe(state, float(cost))
        assert verdict in (Verdict.SAVE, Verdict.CONTINUE)
    assert state.validations == 1000


def test_a_state_survives_json():
    state = ScheduleState(2, math.inf, 3, True)
    assert ScheduleState(*json.loads(json.dumps(state))) == state


def test_a_second_stage_is_refused():
    with pytest.raises(RuntimeError) as caught:
        FixedHorizon(100).start_stage(ScheduleState(stage=1), 2.5)
    assert str(caught.value) == (
        "A fixed horizon has one stage. Received: stage=1, baseline=2.5."
    )


@pytest.mark.parametrize("value", [0, -100, 100.0, True])
def test_a_horizon_is_a_positive_int(value):
    with pytest.raises(ValueError, match=f"Received: horizon={value}"):
        FixedHorizon(value)
    with pytest.raises(
        ValueError, match=f"Received: validation_horizon={value}"
    ):
        FixedHorizon(100, value)
