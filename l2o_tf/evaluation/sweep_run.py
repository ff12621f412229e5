"""Carry a sweep on, beside whoever else does, and measure its steps."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

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
    for row in results.index():
        left.add(*(row[name] for name in _TIMED))
    while not stop():
        plan = sweep.plan(results)
        remaining = plan.remaining
        bar.catch_up(sum(w.steps for w in remaining))
        if not remaining:
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
            results.wait_for(plan.missing[0].wanted)
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
    sweep: Sweep, results: Results, steps: int = 100, repeats: int = 7
) -> pathlib.Path:
    """Measure a step of every optimizer on its optimizee, and write the table.

    The optimizers of one optimizee take turns. Whoever computes curves in the
    same folder is waited for, and waits.

    Args:
        sweep: whose pairs; those in an existing table stay, or are replaced.
        results: where the table goes.
        steps: int, updates per timed call.
        repeats: int, timed calls.
    """
    with results.alone():
        rows = {(r.optimizer, r.optimizee): r for r in read_rows(results.path)}
        jobs = sweep.plan(results).pairs
        for optimizee in dict.fromkeys(job.wanted.optimizee for job in jobs):
            group = [job for job in jobs if job.wanted.optimizee == optimizee]
            for row in _timed(group, steps, repeats):
                rows[row.optimizer, row.optimizee] = row
        return write_wall_clock(results.path, list(rows.values()))


def _timed(
    jobs: Sequence[Job], steps: int, repeats: int
) -> Iterator[WallClockRow]:
    """Measure the optimizers of one optimizee."""
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
