"""What one update costs, measured alone: the axis of curves over seconds."""

from __future__ import annotations

import csv
import functools
import io
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Scalar
from l2o_tf.evaluation.recorder import chosen_runtime
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.atomic import write_text
from l2o_tf.unroll.carry import Carry, start_episode
from l2o_tf.unroll.engine import unroll

FILE = "wall_clock.csv"
CALL_SECONDS = 2.0
_PROBES = 3
Clock = Callable[[], float]


class StepTime(NamedTuple):
    """How long an update takes.

    Attributes:
        median_ms: float, milliseconds per update, the median of the calls.
        low_ms: float, the first quartile.
        high_ms: float, the third quartile.
        steps: int, updates per timed call.
        repeats: int, timed calls.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    steps: int
    repeats: int


class WallClockRow(NamedTuple):
    """A row of the file; the times as in `StepTime`.

    Attributes:
        optimizer: str, its name in tables and legends.
        optimizee: str.
        runtime: "xla" or "graph".
        device: str, "CPU" or the GPU's name.
        steps: int, updates per timed call.
        median_ms: float.
        low_ms: float.
        high_ms: float.
    """

    optimizer: str
    optimizee: str
    runtime: str
    device: str
    steps: int
    median_ms: float
    low_ms: float
    high_ms: float


def _updates(
    cell: OptimizerCell,
    optimizee: Optimizee,
    capacity: int,
    carry: Carry,
    length: Scalar,
) -> Scalar:
    """Return a number that depends on every coordinate after the updates."""
    carry, _ = unroll(cell, optimizee, carry, length, capacity=capacity)
    return tf.reduce_sum(carry.params)


def _make_call(
    cell: OptimizerCell,
    optimizee: Optimizee,
    steps: int,
    jit_compile: bool | None,
) -> Callable[[int], None]:
    """Build a function that makes `steps` updates or fewer, and waits."""
    runtime = chosen_runtime(optimizee, jit_compile)
    # Partial functions: TensorFlow counts the traces of one function, and
    # would warn of many pairs.
    start = compiled(functools.partial(start_episode, cell, optimizee), runtime)
    updates = compiled(
        functools.partial(_updates, cell, optimizee, steps), runtime
    )
    carry = start(seeds.make_seed(0))

    def call(length: int) -> None:
        updates(carry, tf.constant(length)).numpy()

    return call


def _seconds(call: Callable[[int], None], length: int, clock: Clock) -> float:
    begun = clock()
    call(length)
    return clock() - begun


def _fitting(call: Callable[[int], None], most: int, clock: Clock) -> int:
    """Return how many updates, `most` at most, fit into a timed call."""
    call(1)  # compiles
    # The least of some: a single one may meet whatever else the machine does.
    seconds = min(_seconds(call, 1, clock) for _ in range(_PROBES))
    if seconds * most <= CALL_SECONDS:
        return most
    return max(1, int(CALL_SECONDS / seconds))


def measure_all(
    pairs: Sequence[tuple[OptimizerCell, Optimizee]],
    steps: int = 100,
    repeats: int = 7,
    jit_compile: bool | None = None,
    clock: Clock = time.perf_counter,
) -> list[StepTime]:
    """Measure what an update of each optimizer on its optimizee takes.

    An update is a minibatch, the gradient on it and the cell's `call`; no loss
    is measured apart or kept. A timed call makes `steps` of them from a start
    drawn before, or as many as take two seconds if that is less, and ends when
    a number of the result is on the host.

    Every pair makes one update first, to be compiled, and three, one by one, to
    see how many fit. Then the pairs take turns, one timed call each, `repeats`
    times over, so that whatever else the machine does meets all of them alike.
    All compiled functions are in memory together.

    Args:
        pairs: `(cell, optimizee)` each.
        steps: int, the most updates per timed call.
        repeats: int, timed calls of each pair.
        jit_compile: bool, XLA or the graph runtime; None for what
            `chosen_runtime` says of the optimizee.
        clock: gives seconds.

    Returns:
        A `StepTime` per pair, in their order.

    Raises:
        ValueError: if `steps` or `repeats` is not a positive int.

    References:
        Spec metz.md 9.
    """
    checks.positive_int("steps", steps)
    checks.positive_int("repeats", repeats)
    calls = [_make_call(*pair, steps, jit_compile) for pair in pairs]
    lengths = [_fitting(call, steps, clock) for call in calls]
    samples: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, length, seconds in zip(calls, lengths, samples, strict=True):
            seconds.append(_seconds(call, length, clock))
    return list(map(_summary, samples, lengths))


def _summary(seconds: Sequence[float], steps: int) -> StepTime:
    per_step = 1e3 * np.asarray(seconds) / steps
    low, median, high = np.percentile(per_step, [25.0, 50.0, 75.0]).tolist()
    return StepTime(median, low, high, steps, len(seconds))


def measure_step(
    cell: OptimizerCell,
    optimizee: Optimizee,
    steps: int = 100,
    repeats: int = 7,
    jit_compile: bool | None = None,
    clock: Clock = time.perf_counter,
) -> StepTime:
    """Measure one optimizer on one optimizee, see `measure_all`."""
    pairs = [(cell, optimizee)]
    return measure_all(pairs, steps, repeats, jit_compile, clock)[0]


def _checked(
    rows: Sequence[WallClockRow], path: pathlib.Path
) -> Sequence[WallClockRow]:
    """Return the rows if each pair has one, with times.

    Raises:
        ValueError: otherwise.
    """
    known = set()
    for row in rows:
        times = (row.low_ms, row.median_ms, row.high_ms)
        if not all(0 < t < math.inf for t in times) or row.steps < 1:
            raise ValueError(
                f"The times of {path} must be positive numbers of "
                f"milliseconds, of at least one update. Received: {row}. "
                "Measure them again."
            )
        pair = row.optimizer, row.optimizee
        if pair in known:
            raise ValueError(
                f"{path} must have one row per optimizer and optimizee. "
                f"Received: a second one of {pair}. Leave out one of them."
            )
        known.add(pair)
    return rows


def write_wall_clock(
    folder: str | os.PathLike[str], rows: Sequence[WallClockRow]
) -> pathlib.Path:
    """Write `wall_clock.csv`, atomically; return the path.

    Floats keep every bit.

    Raises:
        ValueError: if a time is not a positive number, or an optimizer has
            two rows of one optimizee.
        OSError: if the file cannot be written.
    """
    path = pathlib.Path(folder) / FILE
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(WallClockRow._fields)
    writer.writerows(_checked(rows, path))
    write_text(path, text.getvalue())
    return path


def _row(cells: Sequence[str], number: int, path: pathlib.Path) -> WallClockRow:
    try:
        optimizer, optimizee, runtime, device, steps, *times = cells
        median, low, high = map(float, times)
        return WallClockRow(
            optimizer,
            optimizee,
            runtime,
            device,
            int(steps),
            median,
            low,
            high,
        )
    except ValueError as error:
        raise ValueError(
            f"Row {number} of {path} must have the cells "
            f"{', '.join(WallClockRow._fields)}, times and steps as numbers. "
            f"Received: row={list(cells)}. Measure again, or delete the row."
        ) from error


def read_rows(folder: str | os.PathLike[str]) -> list[WallClockRow]:
    """Read `wall_clock.csv`; `[]` where there is no such file.

    Raises:
        ValueError: if the file is not what `write_wall_clock` writes.
    """
    path = pathlib.Path(folder) / FILE
    if not path.is_file():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"The file is not a table of times. Received: path={str(path)!r} "
            f"({error}). Measure again, or delete it."
        ) from error
    header = tuple(lines[0]) if lines else ()
    if header != WallClockRow._fields:
        raise ValueError(
            f"The columns of {path} must be "
            f"{', '.join(WallClockRow._fields)}. Received: "
            f"header={','.join(header)!r}. Measure again, or delete the file."
        )
    rows = [_row(cells, i, path) for i, cells in enumerate(lines[1:], start=1)]
    return list(_checked(rows, path))


def in_seconds(
    rows: Iterable[WallClockRow],
) -> dict[tuple[str, str], float]:
    """Return (optimizer, optimizee) to the median seconds per update.

    Of two rows of one pair, as of two folders, the last counts.
    """
    return {
        (row.optimizer, row.optimizee): 1e-3 * row.median_ms for row in rows
    }
