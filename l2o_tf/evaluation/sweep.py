"""Optimizers x optimizees x seeds: planned, and computed curve by curve.

What is finished is a file (`results.Results`), so a sweep has no state of its
own: it looks what is missing, claims one job of it, computes it, and looks
again. Killed at any moment, it loses the job it was computing.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import gin
import numpy as np

from l2o_tf.evaluation import identity
from l2o_tf.evaluation.comparison import Comparison, Contender
from l2o_tf.evaluation.curves import Curve, split_words
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.evaluation.results import Results, Wanted
from l2o_tf.evaluation.tuning import Tuned, TuningResult, choose
from l2o_tf.optimizees.base import Optimizee, join_notices
from l2o_tf.optimizees.collection import named_optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.optimizers.description import cell_config


class Job(NamedTuple):
    """One curve to be computed.

    Attributes:
        wanted: what it is, and where it goes.
        cell: the optimizer.
        problem: the optimizee.
        jit_compile: bool or None, as `CurveRecorder` takes it.
        tuning: how the cell was chosen, or None.
        measured: the optimizee on the split that losses are of; None for
            `problem` itself.
    """

    wanted: Wanted
    cell: OptimizerCell
    problem: Optimizee
    jit_compile: bool | None
    tuning: TuningResult | None = None
    measured: Optimizee | None = None


class Plan(NamedTuple):
    """What there is to do.

    Attributes:
        pairs: for each optimizer on each optimizee the job of its first seed,
            wherever it is measured; a tuned optimizer that is not chosen yet is
            left out.
        missing: the jobs that can be computed now, in order.
        later: what can be computed when a tuned optimizer is chosen.
    """

    pairs: list[Job]
    missing: list[Job]
    later: list[Wanted]

    @property
    def remaining(self) -> list[Wanted]:
        """All that is missing."""
        return [job.wanted for job in self.missing] + self.later


_Asked = tuple[str, str, str, str]


def _asked(comparison: Comparison) -> Iterator[tuple[_Asked, str]]:
    """Yield optimizer, optimizee, split and seed of every curve.

    With each the rest of what a candidate's curve is of, "" of other curves.
    """
    split = split_words(comparison.split, comparison.measured)
    for contender in comparison.optimizers:
        for optimizee, seed in itertools.product(
            comparison.optimizees, comparison.seeds
        ):
            yield (contender.name, optimizee, split, f"{seed}"), ""
        if isinstance(contender, Tuned):
            place = _tuning_split(comparison, contender)
            for name, cell in contender.candidates:
                config = cell_config(cell)
                made = contender.by, contender.steps, config
                rest = json.dumps(made, sort_keys=True)
                for optimizee, seed in itertools.product(
                    comparison.optimizees, contender.seeds
                ):
                    yield (name, optimizee, place, f"tuning {seed}"), rest


def _tuning_split(comparison: Comparison, contender: Tuned) -> str:
    return contender.split or comparison.split


def _check_once(comparisons: Sequence[Comparison]) -> None:
    """Refuse two comparisons that would write one file.

    They may share the candidates of a tuned optimizer.
    """
    asked: dict[_Asked, str] = {}
    twice = []
    for comparison in comparisons:
        own: dict[_Asked, str] = {}
        for curve, rest in _asked(comparison):
            shared = rest and asked.get(curve, rest) == rest
            if curve in own or (curve in asked and not shared):
                twice.append(str(curve))
            own[curve] = rest
        asked |= own
    if twice:
        raise ValueError(
            "One curve is asked for by two comparisons. Received: "
            f"{', '.join(sorted(twice))}."
        )


@gin.register(module="l2o_tf.evaluation")
class Sweep:
    """Run comparisons in a folder of results.

    Args:
        comparisons: which may share optimizers and optimizees, and how they
            are tuned, but not ask for one curve twice.

    Raises:
        ValueError: if there is no comparison, a curve is asked for twice, or
            an optimizee's name is unknown.
    """

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        self.comparisons = tuple(comparisons)
        if not self.comparisons:
            raise ValueError("A sweep needs comparisons. Received: ().")
        self._problems: dict[tuple[str, str], Optimizee] = {}
        for comparison in self.comparisons:
            splits = [comparison.split]
            if comparison.measured is not None:
                splits.append(comparison.measured)
            for contender in comparison.optimizers:
                if isinstance(contender, Tuned):
                    splits.append(_tuning_split(comparison, contender))
            for key in itertools.product(comparison.optimizees, splits):
                if key not in self._problems:
                    self._problems[key] = named_optimizee(*key)
        _check_once(self.comparisons)
        self._recorder: tuple[object, CurveRecorder] | None = None
        self._configs: dict[int, dict[str, Any]] = {}
        self._digests: dict[tuple[int, ...], str] = {}
        self._choices: dict[tuple[Wanted, ...], TuningResult] = {}

    @property
    def notices(self) -> list[str]:
        """What readers must know of the data."""
        found = (p.notice for p in self._problems.values())
        return list(dict.fromkeys(n for n in found if n))

    def _digest(
        self,
        cell: OptimizerCell,
        name: str,
        of: Optimizee,
        measured: Optimizee | None,
    ) -> str:
        key = id(cell), id(of), id(measured)
        if id(cell) not in self._configs:
            self._configs[id(cell)] = cell_config(cell)
        if key not in self._digests:
            config = self._configs[id(cell)]
            self._digests[key] = identity.config_hash(
                config, name, of, measured
            )
        return self._digests[key]

    def _job(
        self,
        comparison: Comparison,
        name: str,
        cell: OptimizerCell,
        optimizee: str,
        seed: int,
        split: str,
        measured: Optimizee | None = None,
    ) -> Job:
        """Return the job of one curve, optimised on a split."""
        problem = self._problems[optimizee, split]
        wanted = Wanted(
            name,
            optimizee,
            problem.split,
            seed,
            comparison.steps,
            self._digest(cell, optimizee, problem, measured),
            measured=measured.split if measured else None,
        )
        return Job(
            wanted,
            cell,
            problem,
            comparison.jit_compile,
            measured=measured,
        )

    def _elsewhere(
        self, comparison: Comparison, optimizee: str
    ) -> Optimizee | None:
        """Return the problem on the split that losses are of, if another."""
        on_data = self._problems[optimizee, comparison.split].split
        if comparison.measured is None or not on_data:
            return None
        return self._problems[optimizee, comparison.measured]

    def _tuning_jobs(
        self, comparison: Comparison, contender: Tuned, optimizee: str
    ) -> list[Job]:
        """Return the runs of the candidates, one candidate after the other."""
        jobs = []
        split = _tuning_split(comparison, contender)
        for candidate in contender.candidates:
            for seed in contender.seeds:
                job = self._job(
                    comparison,
                    candidate.name,
                    candidate.cell,
                    optimizee,
                    seed,
                    split,
                )
                wanted = job.wanted._replace(steps=contender.steps, tuning=True)
                jobs.append(job._replace(wanted=wanted))
        return jobs

    def _choose(
        self, contender: Tuned, jobs: Sequence[Job], results: Results
    ) -> TuningResult | None:
        """Return what was chosen; None while a candidate is missing."""
        key = tuple(job.wanted for job in jobs)
        if key not in self._choices:
            if not all(results.has(wanted) for wanted in key):
                return None
            runs: dict[str, list[Curve]] = {}
            for wanted in key:
                curve = results.load(wanted)
                runs.setdefault(wanted.optimizer, []).append(curve)
            self._choices[key] = choose(contender, runs)
        return self._choices[key]

    def _jobs(
        self,
        comparison: Comparison,
        contender: Contender,
        optimizee: str,
        results: Results,
    ) -> list[Job]:
        """Return the jobs of the candidates, or when they are done the others.

        A tuned optimizer's cell is known only when its candidates are done.
        """
        chosen = None
        if isinstance(contender, Tuned):
            jobs = self._tuning_jobs(comparison, contender, optimizee)
            chosen = self._choose(contender, jobs, results)
            if chosen is None:
                return jobs
            cell = contender.candidates[chosen.chosen].cell
        else:
            cell = contender.cell
        return [
            self._job(
                comparison,
                contender.name,
                cell,
                optimizee,
                seed,
                comparison.split,
                self._elsewhere(comparison, optimizee),
            )._replace(tuning=chosen)
            for seed in comparison.seeds
        ]

    def plan(self, results: Results) -> Plan:
        """Look what is there and what is missing.

        Raises:
            ValueError: if a result there is of another configuration, or every
                candidate of a tuned optimizer diverged.
        """
        # Comparisons may share candidates, and updates that they measure apart.
        missing: dict[Wanted, Job] = {}
        pairs: dict[tuple[object, ...], Job] = {}
        later: list[Wanted] = []
        for comparison in self.comparisons:
            for optimizee in comparison.optimizees:
                for contender in comparison.optimizers:
                    jobs = self._jobs(comparison, contender, optimizee, results)
                    for job in jobs:
                        if not results.has(job.wanted):
                            missing.setdefault(job.wanted, job)
                        elif job.tuning is not None:
                            results.annotate(job.wanted, job.tuning)
                    if not jobs[0].wanted.tuning:
                        key = *jobs[0].wanted[:3], comparison.jit_compile
                        pairs.setdefault(key, jobs[0])
                        continue
                    measured = self._elsewhere(comparison, optimizee)
                    waiting = jobs[0].wanted._replace(
                        optimizer=contender.name,
                        split=self._problems[optimizee, comparison.split].split,
                        steps=comparison.steps,
                        tuning=False,
                        measured=measured.split if measured else None,
                    )
                    later.extend(
                        waiting._replace(seed=seed) for seed in comparison.seeds
                    )
        return Plan(list(pairs.values()), list(missing.values()), later)

    def compute(
        self, job: Job, progress: Callable[[int, float], bool]
    ) -> Curve | None:
        """Compute a curve.

        Args:
            job: which.
            progress: gets the updates since the last call and the latest loss;
                returns whether to go on.

        Returns:
            The curve, or None if `progress` ended it.
        """
        recorder = self._recorder_of(job)
        pieces: list[np.ndarray] = []
        seconds: list[float] = []
        start = time.perf_counter()
        for piece in recorder.record(job.wanted.seed, job.wanted.steps):
            now = time.perf_counter()
            pieces.append(piece)
            seconds.append(now - start)
            start = now
            if not progress(len(piece), float(piece[-1])):
                return None
        return self.curve(
            job, recorder, np.concatenate(pieces), np.array(seconds)
        )

    def curve(
        self,
        job: Job,
        recorder: CurveRecorder,
        losses: np.ndarray,
        chunk_seconds: np.ndarray,
    ) -> Curve:
        """Put what was recorded together with all that a reader must know."""
        return Curve(
            losses=losses,
            chunk_seconds=chunk_seconds,
            chunk_length=recorder.chunk_length,
            optimizer=job.wanted.optimizer,
            optimizee=job.wanted.optimizee,
            split=job.wanted.split,
            seed=job.wanted.seed,
            config=self._configs[id(job.cell)],
            config_hash=job.wanted.config_hash,
            packages=identity.packages(),
            runtime="xla" if recorder.jit_compile else "graph",
            device=identity.device_name(),
            tuning=job.tuning.to_json() if job.tuning else None,
            notice=join_notices(
                [recorder.optimizee.notice, recorder.measured.notice]
            ),
            measured=job.wanted.measured,
        )

    def _recorder_of(self, job: Job) -> CurveRecorder:
        """Keep one compiled recorder: jobs come pair by pair."""
        key = (
            id(job.cell),
            id(job.problem),
            job.jit_compile,
            id(job.measured),
        )
        if self._recorder is None or self._recorder[0] != key:
            recorder = CurveRecorder(
                job.cell,
                job.problem,
                jit_compile=job.jit_compile,
                measured=job.measured,
            )
            self._recorder = key, recorder
        return self._recorder[1]
