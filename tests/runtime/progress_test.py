"""Lines for log files, a bar for terminals."""

import io

import pytest

from l2o_tf.runtime.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def bar(stream, clock, total=300, **options):
    return ProgressBar(
        total,
        initial=100,
        description="dm",
        log_every_s=10.0,
        stream=stream,
        clock=clock,
        **options,
    )


def test_lines_come_at_intervals_with_rate_and_time_left():
    stream, clock = io.StringIO(), Clock()
    with bar(stream, clock) as progress:
        for _ in range(25):
            clock.now += 1.0
            progress.update(2, loss=0.123456, stage=1)
    assert stream.getvalue().splitlines() == [
        "dm: 120/300 episodes, 2 episodes/s, 0:01:30 left, loss=0.1235, "
        "stage=1",
        "dm: 140/300 episodes, 2 episodes/s, 0:01:20 left, loss=0.1235, "
        "stage=1",
        "dm: 150/300 episodes, 50 in 0:00:25, loss=0.1235, stage=1",
    ]


def test_the_rate_is_that_since_the_previous_line():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock)
    for n in (10, 50):  # the first ten seconds compile
        clock.now += 10.0
        progress.update(n)
    first, second = stream.getvalue().splitlines()
    assert ", 1 episodes/s, 0:03:10 left" in first
    assert ", 5 episodes/s, 0:00:28 left" in second


def test_without_a_total_no_time_left_is_invented():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock, total=None)
    clock.now += 10.0
    progress.update(5)
    assert stream.getvalue() == "dm: 105 episodes, 0.5 episodes/s\n"


def test_no_progress_has_no_time_left():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock)
    clock.now += 10.0
    progress.update(0)
    assert stream.getvalue() == "dm: 100/300 episodes, 0 episodes/s\n"


def test_an_interval_of_zero_writes_every_update_also_within_one_tick():
    stream = io.StringIO()
    with ProgressBar(
        3, log_every_s=0.0, unit="step", stream=stream, clock=Clock()
    ) as progress:
        progress.update(1)
    assert stream.getvalue().splitlines() == [
        "1/3 steps, nan steps/s",
        "1/3 steps, 1 in 0:00:00",
    ]


def test_closing_twice_writes_one_line():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock)
    progress.close()
    progress.close()
    assert stream.getvalue() == "dm: 100/300 episodes, 0 in 0:00:00\n"


def test_a_terminal_shows_a_bar_with_the_named_values():
    stream = Terminal()
    with bar(stream, Clock()) as progress:
        progress.update(200, loss=0.123456)
        progress.write("stage 2")
    shown = stream.getvalue()
    assert "\r" in shown
    assert "dm: " in shown
    assert "300/300" in shown
    assert "loss=0.1235" in shown
    assert "stage 2\n" in shown


def test_quiet_writes_lines_on_a_terminal_too():
    stream = Terminal()
    with bar(stream, Clock(), quiet=True) as progress:
        progress.update(200)
        progress.write("stage 2")
    assert stream.getvalue() == (
        "stage 2\ndm: 300/300 episodes, 200 in 0:00:00\n"
    )


def test_standard_error_is_the_default_stream(capsys):
    with ProgressBar(5):
        pass
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "0/5 episodes, 0 in 0:00:00\n"


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"total": 0}, "Received: total=0"),
        ({"total": 5, "initial": -1}, "Received: initial=-1"),
        ({"total": 5, "log_every_s": -1.0}, "Received: log_every_s=-1.0"),
    ],
)
def test_numbers_outside_their_range_are_refused(options, received):
    with pytest.raises(ValueError, match=received):
        ProgressBar(**options)


@pytest.mark.parametrize("n", [-1, 0.5])
def test_progress_never_goes_back(n):
    stream = io.StringIO()
    with (
        ProgressBar(5, stream=stream) as progress,
        pytest.raises(ValueError, match=f"Received: n={n}"),
    ):
        progress.update(n)


def test_uneven_units_tell_no_time_left_of_their_own():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock, even=False)
    clock.now += 100.0
    progress.update(10, left="0:01:00")
    (line,) = stream.getvalue().splitlines()
    assert line.count("left") == 1
    assert line.endswith("left=0:01:00")


def test_what_others_did_is_caught_up_with_and_never_taken_back():
    stream, clock = io.StringIO(), Clock()
    progress = bar(stream, clock)
    progress.update(10, loss=1.0)
    progress.catch_up(170)
    progress.catch_up(295)
    progress.close()
    assert "130/300" in stream.getvalue()
    assert "loss=1" in stream.getvalue()
