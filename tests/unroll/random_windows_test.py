"""Drawn windows: how long, how many, and the same for the same seed."""

import json
import math

import gin
import numpy as np
import pytest

from l2o_tf.core import seeds
from l2o_tf.unroll.random_windows import LongTail, RandomWindows
from l2o_tf.unroll.schedules import ScheduleState, Verdict

SEED = seeds.make_seed(5)
MANY = 20_000
NEVER = 10**6  # a maximum that no draw reaches


def drawn(tail, count=MANY, seed=SEED):
    return np.array(tail.draw(seed, count), np.float64)


def windows(longest=60, most=20):
    return RandomWindows(LongTail(3.0, 2, most), LongTail(10.0, 5, longest), 40)


@pytest.mark.parametrize(("scale", "minimum"), [(50.0, 50), (5.0, 1)])
def test_a_long_tail_has_the_exponentials_mean_above_the_minimum(
    scale, minimum
):
    numbers = drawn(LongTail(scale, minimum, NEVER))
    # Rounding E to whole numbers changes the mean by scale / (24 scale^2) and
    # adds 1/12 to the variance.
    error = math.sqrt((scale**2 + 1 / 12) / MANY)
    bias = 1 / (24 * scale)
    assert abs(numbers.mean() - minimum - scale) < 4.5 * error + bias
    # The standard error of an exponential's variance: sqrt(8 / n) of it.
    variance = numbers.var() / (scale**2 + 1 / 12)
    assert abs(variance - 1) < 4.5 * math.sqrt(8 / MANY) + 0.01


def test_a_long_tail_has_the_exponentials_quantiles():
    scale, minimum = 40.0, 7
    numbers = drawn(LongTail(scale, minimum, NEVER))
    for limit in (10, 40, 120):
        # round(E) <= limit where E < limit + 1/2
        probability = 1 - math.exp(-(limit + 0.5) / scale)
        error = math.sqrt(probability * (1 - probability) / MANY)
        share = np.mean(numbers - minimum <= limit)
        assert abs(share - probability) < 4.5 * error, limit


def test_a_long_tail_lies_within_its_bounds():
    numbers = drawn(LongTail(10.0, 5, 30))
    assert numbers.min() == 5
    assert numbers.max() == 30
    # What is above comes down to the maximum: P(round(E) >= 25).
    probability = math.exp(-24.5 / 10.0)
    error = math.sqrt(probability * (1 - probability) / MANY)
    assert abs(np.mean(numbers == 30) - probability) < 4.5 * error


def test_a_tail_without_room_is_a_constant():
    assert LongTail(100.0, 8, 8).draw(SEED, 5) == (8,) * 5


def test_the_same_seed_draws_the_same_numbers_and_another_others():
    tail = LongTail(50.0, 50, NEVER)
    first, again, other = (tail.draw(seeds.make_seed(s), 40) for s in (1, 1, 2))
    assert first == again
    assert sum(a == b for a, b in zip(first, other, strict=True)) < 8
    assert all(type(n) is int for n in first)


def test_an_episode_is_its_seeds():
    schedule, state = windows(), ScheduleState()
    first, again = (schedule.window_lengths(state, SEED) for _ in range(2))
    assert first == again
    many = {
        schedule.window_lengths(state, seeds.fold_in(SEED, i))
        for i in range(50)
    }
    assert len(many) > 45


def test_an_episode_is_the_same_at_every_stage_of_the_training():
    schedule = windows()
    later = ScheduleState(0, 1.5, 7, True)
    assert schedule.window_lengths(later, SEED) == schedule.window_lengths(
        ScheduleState(), SEED
    )


def test_windows_are_within_their_bounds():
    schedule, state = windows(), ScheduleState()
    assert (schedule.longest_window, schedule.most_windows) == (60, 20)
    counts, lengths = [], []
    for i in range(300):
        episode = schedule.window_lengths(state, seeds.fold_in(SEED, i))
        counts.append(len(episode))
        lengths.extend(episode)
    assert min(counts) == 2
    assert max(counts) <= 20
    assert min(lengths) == 5
    assert max(lengths) <= 60
    # Means 2 + 3 and 5 + 10, standard deviations 3 and 10.
    assert abs(np.mean(counts) - 5) < 4.5 * 3 / math.sqrt(300) + 0.05
    error = 10 / math.sqrt(len(lengths))
    assert abs(np.mean(lengths) - 15) < 4.5 * error + 0.05


def test_windows_of_one_episode_differ():
    schedule = RandomWindows(LongTail(1.0, 6, 6), LongTail(50.0, 50, 650), 10)
    lengths = schedule.window_lengths(ScheduleState(), SEED)
    assert len(lengths) == 6
    assert len(set(lengths)) > 3


def test_the_number_of_windows_does_not_tell_the_length_of_the_first():
    # The same law for both: the same draw would make them equal.
    tail = LongTail(20.0, 1, 400)
    schedule, state = RandomWindows(tail, tail, 10), ScheduleState()
    episodes = [
        schedule.window_lengths(state, seeds.fold_in(SEED, i))
        for i in range(40)
    ]
    assert sum(len(e) == e[0] for e in episodes) < 8


def test_the_horizon_is_that_of_the_longest_episode():
    schedule, state = windows(), ScheduleState()
    assert schedule.horizon(state) == 20 * 60
    assert schedule.horizons() == (1200,)
    assert schedule.validation_horizon(state) == 40
    assert schedule.validation_horizons() == (40,)


def test_verdicts_are_those_of_a_fixed_horizon():
    schedule = windows()
    state, verdict = schedule.observe(ScheduleState(), 2.0)
    assert (verdict, state.best) == (Verdict.SAVE, 2.0)
    state, verdict = schedule.observe(state, 2.0)
    assert verdict is Verdict.CONTINUE
    assert ScheduleState(*json.loads(json.dumps(state))) == state


def test_gin_builds_windows():
    gin.parse_config(
        """
        l2o_tf.unroll.RandomWindows.num_windows = @few/LongTail()
        l2o_tf.unroll.RandomWindows.unroll_length = @long/LongTail()
        l2o_tf.unroll.RandomWindows.validation_horizon = 9
        few/LongTail.scale = 5.0
        few/LongTail.minimum = 1
        few/LongTail.maximum = 61
        long/LongTail.scale = 50.0
        long/LongTail.minimum = 50
        long/LongTail.maximum = 650
        """
    )
    schedule = gin.get_configurable("l2o_tf.unroll.RandomWindows")()
    assert (schedule.longest_window, schedule.most_windows) == (650, 61)
    assert schedule.num_windows.scale == 5.0


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("scale", 0.0),
        ("scale", -1.0),
        ("scale", math.inf),
        ("scale", math.nan),
        ("scale", "5"),
        ("minimum", 0),
        ("minimum", 1.5),
        ("maximum", 0),
        ("maximum", True),
    ],
)
def test_a_long_tail_refuses_what_is_out_of_range(argument, value):
    arguments = {"scale": 5.0, "minimum": 1, "maximum": 9, argument: value}
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        LongTail(**arguments)


def test_a_maximum_below_the_minimum_is_refused():
    with pytest.raises(ValueError, match="Received: minimum=9, maximum=8."):
        LongTail(5.0, 9, 8)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_windows", 5),
        ("num_windows", LongTail),
        ("unroll_length", None),
        ("unroll_length", 50.0),
        ("validation_horizon", 0),
        ("validation_horizon", "40"),
    ],
)
def test_random_windows_refuse_what_is_out_of_range(argument, value):
    arguments = {
        "num_windows": LongTail(3.0, 2, 20),
        "unroll_length": LongTail(10.0, 5, 60),
        "validation_horizon": 40,
        argument: value,
    }
    with pytest.raises(ValueError, match="Received: ") as caught:
        RandomWindows(**arguments)
    assert f"Received: {argument}={value!r}." in str(caught.value)
