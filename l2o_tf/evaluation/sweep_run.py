"""Carry a sweep on, beside whoever else does, and measure its steps."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from l2o_tf.evaluation import identity
from l2o_tf.evaluation.recorder import chosen_runtime
from l2o_tf.evaluation.results import Results, Wanted
from l2o_tf.evaluation.sweep import Job, Sweep
from l2o_tf.evaluation.wall_clock import (
    WallClockRow,
    measure_all,
    read_rows,
    write_wall_clock,
)
from l2o_tf.runtime.progress import ProgressBar, duration

_POLL_S = 1.0
_TIMED = ("optimizer", "optimizee", "seconds", "steps")


class _TimeLeft:
    """Guess what remains from what curves of the same kind took."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, ...], list[float]] = {}

    def add(
        self, optimizer: str, optimizee: str, seconds: float, steps: int
    ) -> None:
        for key in self._keys(optimizer, optimizee):
            self._rates.setdefault(key, []).append(seconds / steps)

    @staticmethod
    def _keys(optimizer: str, optimizee: str) -> tuple[tuple[str, ...], ...]:
        return (optimizer, optimizee), (optimizee,), ()

    def seconds(self, remaining: Sequence[Wanted]) -> float | None:
        """Return seconds, or None while nothing is finished."""
        if not self._rates:
            return None
        total = 0.0
        for wanted in remaining:
            for key in self._keys(wanted.optimizer, wanted.optimizee):
                if key in self._rates:
                    total += wanted.steps * float(np.mean(self._rates[key]))
                    break
        return total


def run_sweep(
    sweep: Sweep,
    results: Results,
    bar: ProgressBar,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Compute what is missing, together with whoever else does.

    Args:
        sweep: what to compute.
        results: where.
        bar: counts updates.
        stop: asked after every compiled call.

    Returns:
        Whether all is there; False if stopped.

    Raises:
        ValueError: if a result there is of another configuration, or a grid
            has no candidate that converges.
    """
    left = _TimeLeft()
    results.index(results.path / "tuning")
    for row in results.index():
        left.add(*(row[name] for name in _TIMED))
    while not stop():
        plan = sweep.plan(results)
        remaining = plan.remaining
        bar.catch_up(sum(w.steps for w in remaining))
        if not remaining:
            results.check_finally()
            sweep.plan(results)
            bar.update(0)
            return True
        for job in plan.missing:
            with results.claim(job.wanted) as held:
                if not held:
                    continue
                # Another process may have finished it since.
                if not results.has(job.wanted):
                    _compute(sweep, job, results, bar, stop, left, remaining)
                break
        else:
            # All that is missing is being computed elsewhere.
            time.sleep(_POLL_S)
    return False


def _compute(
    sweep: Sweep,
    job: Job,
    results: Results,
    bar: ProgressBar,
    stop: Callable[[], bool],
    left: _TimeLeft,
    remaining: Sequence[Wanted],
) -> None:
    wanted = job.wanted
    seconds, begun = left.seconds(remaining), time.monotonic()

    def progress(updates: int, loss: float) -> bool:
        bar.update(
            updates,
            job=f"{wanted.optimizer}/{wanted.optimizee}/{wanted.seed}",
            loss=loss,
            left="?"
            if seconds is None
            else duration(max(0.0, seconds - (time.monotonic() - begun))),
        )
        return not stop()

    curve = sweep.compute(job, progress)
    if curve is not None:
        results.save(wanted, curve)
        left.add(wanted.optimizer, wanted.optimizee, curve.seconds, curve.steps)


def time_sweep(
    sweep: Sweep,
    results: Results,
    steps: int = 100,
    repeats: int = 7,
    say: Callable[[str], None] = print,
) -> pathlib.Path:
    """Measure a step of every optimizer on its optimizee, and write the table.

    The optimizers of one optimizee take turns; the table is written after each
    optimizee. Whoever computes curves in the same folder is waited for, and
    waits.

    Args:
        sweep: whose pairs; others in an existing table stay.
        results: where the table goes.
        steps: int, the most updates per timed call.
        repeats: int, timed calls.
        say: takes a line that names who is not measured.
    """
    with results.alone():
        plan = sweep.plan(results)
        waiting = {f"{w.optimizer} on {w.optimizee}" for w in plan.later}
        for pair in sorted(waiting):
            say(f"Not measured, because it is not tuned yet: {pair}.")
        rows = {(r.optimizer, r.optimizee): r for r in read_rows(results.path)}
        groups: dict[tuple[str, bool | None], list[Job]] = {}
        for job in plan.pairs:
            key = job.wanted.optimizee, job.jit_compile
            groups.setdefault(key, []).append(job)
        for group in groups.values():
            for row in _timed(group, steps, repeats):
                rows[row.optimizer, row.optimizee] = row
            _keep(results, rows)
        return _keep(results, rows)


def _keep(
    results: Results, rows: Mapping[tuple[str, str], WallClockRow]
) -> pathlib.Path:
    with results.writing():
        return write_wall_clock(results.path, list(rows.values()))


def _timed(
    jobs: Sequence[Job], steps: int, repeats: int
) -> Iterator[WallClockRow]:
    """Measure optimizers on one optimizee, in one runtime."""
    asked = jobs[0].jit_compile
    pairs = [(job.cell, job.problem) for job in jobs]
    times = measure_all(pairs, steps, repeats, asked)
    for job, measured in zip(jobs, times, strict=True):
        yield WallClockRow(
            job.wanted.optimizer,
            job.wanted.optimizee,
            "xla" if chosen_runtime(job.problem, asked) else "graph",
            identity.device_name(),
            measured.steps,
            measured.median_ms,
            measured.low_ms,
            measured.high_ms,
        )
