"""Lengths of windows against the formulas of their schedules."""

import numpy as np
import pytest

from l2o_tf.core import seeds
from l2o_tf.unroll.growing_windows import GrowingWindows, LogUniformWindows
from l2o_tf.unroll.schedules import ScheduleState

SEED = seeds.make_seed(4)
STATE = ScheduleState()


@pytest.mark.parametrize(
    ("updates", "mean"),
    [(0, 50), (2_500, 5_025), (5_000, 10_000), (9_000, 10_000)],
)
def test_the_mean_grows_linearly_and_stays(updates, mean):
    schedule = GrowingWindows(10, 100)
    assert schedule.length(0.5, updates) == mean
    assert schedule.length(0.0, updates) == int(0.8 * mean)
    assert schedule.length(1.0, updates) == int(1.2 * mean)


def test_every_window_of_an_episode_is_one_update_further():
    schedule = GrowingWindows(4, 100, 10, 50, updates=40, jitter=0.0)
    assert schedule.window_lengths(STATE, SEED, 0) == (10, 11, 12, 13)
    assert schedule.window_lengths(STATE, SEED, 38) == (48, 49, 50, 50)
    assert (schedule.most_windows, schedule.longest_window) == (4, 50)


def test_the_jitter_is_uniform_drawn_for_each_window_from_the_seed():
    schedule = GrowingWindows(500, 100, 1_000, 1_000)
    lengths = np.array(schedule.window_lengths(STATE, SEED, 7))
    assert schedule.window_lengths(STATE, SEED, 7) == tuple(lengths)
    assert schedule.longest_window == 1_200
    assert 800 <= lengths.min() < 805
    assert 1_195 < lengths.max() <= 1_200
    # Of 500 uniform numbers: 4 standard errors of mean and deviation.
    width = 400 / np.sqrt(12)
    assert abs(lengths.mean() - 1_000) < 4 * width / np.sqrt(500)
    assert abs(lengths.std() - width) < 4 * width / np.sqrt(2 * 500)


def test_a_window_has_a_step_at_least():
    assert GrowingWindows(1, 1, 1, 1, 1, 0.9).length(0.0, 0) == 1


def test_no_window_is_longer_than_it_may_be():
    schedule = GrowingWindows(1, 1, longest=10_000)
    assert schedule.length(1.0, 5_000) == schedule.longest_window == 10_000
    assert schedule.length(0.0, 5_000) == 8_000


def test_logarithms_of_lengths_are_uniform():
    schedule = LogUniformWindows(400, 100, 10, 1_000)
    assert [schedule.length(u, 0) for u in (0.0, 0.5, 1.0)] == [10, 100, 1_000]
    logs = np.log(schedule.window_lengths(STATE, SEED, 0))
    middle, width = np.log(100), np.log(100) / np.sqrt(12)
    assert abs(logs.mean() - middle) < 4 * width / np.sqrt(400) + 0.03


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GrowingWindows(0, 10), "Received: num_windows=0"),
        (lambda: GrowingWindows(1, 0), "Received: horizon|validation_horizon"),
        (lambda: GrowingWindows(1, 1, first=0), "Received: first=0"),
        (lambda: GrowingWindows(1, 1, last=0), "Received: last=0"),
        (lambda: GrowingWindows(1, 1, updates=0), "Received: updates=0"),
        (lambda: GrowingWindows(1, 1, longest=0), "Received: longest=0"),
        (lambda: GrowingWindows(1, 1, jitter=1.0), "Received: jitter=1.0"),
        (lambda: GrowingWindows(1, 1, jitter=-0.1), "Received: jitter=-0.1"),
        (
            lambda: LogUniformWindows(1, 1, 9, 8),
            "Received: shortest=9, longest=8",
        ),
        (lambda: LogUniformWindows(1, 1, 0, 8), "Received: shortest=0"),
    ],
)
def test_arguments_out_of_range_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
