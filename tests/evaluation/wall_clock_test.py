"""The time of an update, by a clock that the test turns."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic

from l2o_tf.evaluation import wall_clock
from l2o_tf.evaluation.wall_clock import (
    FILE,
    StepTime,
    WallClockRow,
    in_seconds,
    measure_all,
    measure_step,
    read_rows,
    write_wall_clock,
)
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD

QUADRATIC = DiagonalQuadratic([0.5, 1.0], [1.0, -2.0], "float32")
ADAM = WallClockRow("adam", "mlp", "xla", "CPU", 100, 0.1 + 0.2, 0.25, 0.5)
SGD_ROW = WallClockRow("sgd, plain", "mlp", "graph", "CPU", 10, 1.5, 1.0, 2.0)


class Clock:
    """Gives durations one after the other, two readings for each."""

    def __init__(self, durations):
        self.readings = []
        for i, duration in enumerate(durations):
            self.readings += [100.0 * i, 100.0 * i + duration]
        self.read = 0

    def __call__(self):
        self.read += 1
        return self.readings[self.read - 1]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_numbers_are_the_quartiles_per_update_in_milliseconds(jit_compile):
    clock = Clock([0.01, 0.01, 0.01, 0.9, 0.1, 0.5, 0.3, 0.7])
    time = measure_step(SGD(0.1), Simple(), 10, 5, jit_compile, clock)
    assert time == pytest.approx(StepTime(50.0, 30.0, 70.0, 10, 5))
    assert clock.read == 16


def test_pairs_take_turns_so_that_drift_meets_all_alike():
    # The machine becomes slower by the same for everybody: 1, 2, 3 | 4, 5, 6.
    clock = Clock([*9 * [0.0], 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    pairs = [(SGD(0.1), Simple()), (Adam(), QUADRATIC), (SGD(0.1), QUADRATIC)]
    times = measure_all(pairs, 1000, 2, False, clock)
    assert [t.median_ms for t in times] == pytest.approx([2.5, 3.5, 4.5])
    assert [t.low_ms for t in times] == pytest.approx([1.75, 2.75, 3.75])
    assert [t.high_ms for t in times] == pytest.approx([3.25, 4.25, 5.25])
    assert {t[3:] for t in times} == {(1000, 2)}


class Counting(LearnableSGD):
    """Gradient descent that notes every update that is really made."""

    made = 0

    def call(self, inputs, states):
        def note():
            Counting.made += 1
            return np.float32(1.0)

        one = tf.ensure_shape(tf.py_function(note, [], tf.float32), [])
        update, states = super().call(inputs, states)
        return one * update, states


def test_every_call_makes_its_updates_and_the_first_is_not_timed():
    # One update to be compiled, three to see how many fit, then two calls.
    Counting.made = 0
    readings = []

    def clock():
        readings.append(Counting.made)
        return 0.1 * len(readings)

    measure_step(Counting(0.1), QUADRATIC, 7, 2, False, clock)
    assert readings == [1, 2, 2, 3, 3, 4, 4, 11, 11, 18]


@pytest.mark.parametrize(
    ("one", "made"), [(0.02, 100), (0.0201, 99), (0.9, 2), (2.0, 1), (30.0, 1)]
)
def test_a_timed_call_has_as_many_updates_as_fit_into_two_seconds(one, made):
    Counting.made = 0
    # The least of three tells: the others met a machine that was busy.
    clock = Clock([1.7 * one, one, 40.0 * one, 10.0, 20.0, 40.0])
    time = measure_step(Counting(0.1), QUADRATIC, 100, 3, False, clock)
    assert Counting.made == 4 + 3 * made
    assert time == pytest.approx(
        StepTime(2e4 / made, 1.5e4 / made, 3e4 / made, made, 3)
    )


def test_each_pair_has_its_own_number_of_updates():
    clock = Clock([1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 5.0, 6.0])
    pairs = [(SGD(0.1), Simple()), (Adam(), QUADRATIC)]
    slow, fast = measure_all(pairs, 10, 1, False, clock)
    assert (slow.steps, slow.median_ms) == pytest.approx((2, 2500.0))
    assert (fast.steps, fast.median_ms) == pytest.approx((10, 600.0))


def test_a_timed_call_ends_at_the_parameters_after_its_updates(monkeypatch):
    seen = []
    compiled = wall_clock.compiled

    def noting(function, jit_compile):
        inner = compiled(function, jit_compile)

        def call(*args):
            seen.append(inner(*args))
            return seen[-1]

        return call

    monkeypatch.setattr(wall_clock, "compiled", noting)
    measure_step(LearnableSGD(0.1), QUADRATIC, 5, 3, False)
    start, *ends = seen
    ends = ends[4:]  # four calls of one update each come first
    assert start.step.numpy() == 0
    expected = np.sum(QUADRATIC.at(0.1, 5))
    # Every call begins at the same start.
    np.testing.assert_allclose(ends, 3 * [expected], rtol=1e-6)


def test_many_pairs_do_not_warn_of_tracing(caplog):
    pairs = 12 * [(SGD(0.1), Simple())]
    assert len(measure_all(pairs, 2, 1, False)) == 12
    assert caplog.text == ""


def test_nothing_to_measure_gives_nothing():
    assert measure_all([]) == []


@pytest.mark.parametrize("name", ["steps", "repeats"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_counts_are_positive_ints(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        measure_step(SGD(0.1), Simple(), **{name: value})


def test_what_is_written_is_read_in_seconds(tmp_path):
    path = write_wall_clock(tmp_path, [ADAM, SGD_ROW])
    assert path == tmp_path / "wall_clock.csv"
    assert path.read_text() == (
        "optimizer,optimizee,runtime,device,steps,median_ms,low_ms,high_ms\n"
        "adam,mlp,xla,CPU,100,0.30000000000000004,0.25,0.5\n"
        '"sgd, plain",mlp,graph,CPU,10,1.5,1.0,2.0\n'
    )
    assert in_seconds(read_rows(tmp_path)) == {
        ("adam", "mlp"): 1e-3 * (0.1 + 0.2),
        ("sgd, plain", "mlp"): 1.5e-3,
    }


def test_the_last_row_of_a_pair_counts():
    rows = [ADAM, ADAM._replace(median_ms=4.0), SGD_ROW]
    assert in_seconds(rows)[("adam", "mlp")] == 0.004


def test_writing_replaces_the_whole_file(tmp_path):
    write_wall_clock(tmp_path, [ADAM, SGD_ROW])
    write_wall_clock(tmp_path, [SGD_ROW])
    assert read_rows(tmp_path) == [SGD_ROW]
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_no_file_is_no_times(tmp_path):
    assert read_rows(tmp_path) == []


def test_a_file_without_rows_is_no_times(tmp_path):
    write_wall_clock(tmp_path, [])
    assert read_rows(tmp_path) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"median_ms": 0.0},
        {"low_ms": -1.0},
        {"high_ms": math.inf},
        {"median_ms": math.nan},
        {"steps": 0},
    ],
)
def test_times_that_are_none_are_not_written(changes, tmp_path):
    with pytest.raises(ValueError, match=r"Received: WallClockRow\("):
        write_wall_clock(tmp_path, [ADAM._replace(**changes)])
    assert list(tmp_path.iterdir()) == []


def test_a_pair_has_one_row(tmp_path):
    rows = [ADAM, SGD_ROW, ADAM._replace(runtime="graph")]
    with pytest.raises(
        ValueError, match=r"Received: a second one of \('adam', 'mlp'\)"
    ):
        write_wall_clock(tmp_path, rows)


HEADER = ",".join(WallClockRow._fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Received: header=''"),
        ("optimizer,ms\nadam,3\n", "Received: header='optimizer,ms'"),
        (f"{HEADER}\nadam,mlp,xla\n", "Row 1 of .*Received: row=.'adam'"),
        (
            f"{HEADER}\na,m,xla,CPU,9,1,1,1\na,n,xla,CPU,9,1,x,1\n",
            "Row 2 of .*Received: row=.'a', 'n'.*'x'",
        ),
        (f"{HEADER}\na,m,xla,CPU,9,1,1,1,1\n", "Row 1 of "),
        (f"{HEADER}\na,m,xla,CPU,9.5,1,1,1\n", "Row 1 of "),
        (f"{HEADER}\na,m,xla,CPU,9,nan,1,1\n", "median_ms=nan"),
        (2 * f"{HEADER}\na,m,xla,CPU,9,1,1,1\n", "Row 2 of "),
        (
            HEADER + 2 * "\na,m,xla,CPU,9,1,1,1",
            r"a second one of \('a', 'm'\)",
        ),
        (f'{HEADER}\n"a,m\n', r"Received: path='.*unexpected end of data"),
    ],
)
def test_a_malformed_file_is_refused_in_words(text, message, tmp_path):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_rows(tmp_path)
    assert FILE in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a table of times. Received"):
        read_rows(tmp_path)
