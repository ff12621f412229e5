"""Which setting of a hand-designed optimizer represents it.

Every candidate is run from the same starts on the same minibatches; the one
with the lowest loss is chosen, for each optimizee apart, and only then run
with the seeds of the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gin
import numpy as np

from l2o_tf.core import checks, seeds
from l2o_tf.datasets.base import check_split
from l2o_tf.evaluation.candidates import Candidates
from l2o_tf.evaluation.contenders import check_name
from l2o_tf.evaluation.curves import Curve
from l2o_tf.optimizers.description import cell_config

MEASURES = ("final", "mean")


@gin.register(module="l2o_tf.evaluation")
class Tuned:
    """An optimizer that is compared at its best setting.

    Args:
        name: str, of its results, as "adam".
        candidates: a `LearningRateGrid` or `RandomSearch`.
        by: "final", the mean of a run's last 100 losses (`Curve.tail_mean`),
            or "mean", that of all its losses. Defaults to "final".
        steps: int, updates of a tuning run. Defaults to 10,000.
        seeds: ints, one tuning run of each candidate for each. Defaults to
            1000 alone, which no comparison counts up to.
        split: str, the split, or the part of one, that tuning runs are made
            on: "train[5%]" (`parse_part`). Defaults to None, the comparison's.

    Attributes:
        candidates: tuple of `Candidate`, in order.
        source: the collection that they come from.

    Raises:
        ValueError: if an argument is out of range, the name cannot be a
            file's, there is no seed or one twice, or no such split.
    """

    def __init__(
        self,
        name: str,
        candidates: Candidates,
        by: str = "final",
        steps: int = 10_000,
        seeds: Sequence[int] = (1000,),
        split: str | None = None,
    ) -> None:
        self.name = check_name(name)
        self.source = checks.instance("candidates", candidates, Candidates)
        self.candidates = tuple(self.source.candidates(name))
        self.by = checks.one_of("by", by, MEASURES)
        self.steps = checks.positive_int("steps", steps)
        self.seeds = _checked_seeds(seeds)
        self.split = split if split is None else check_split(split)


def _checked_seeds(values: Sequence[int]) -> tuple[int, ...]:
    is_sequence = isinstance(values, (tuple, list))
    if not is_sequence or not values or len(set(values)) != len(values):
        raise ValueError(
            "`seeds` must be a tuple of at least one int, each once. "
            f"Received: seeds={values!r}."
        )
    for value in values:
        seeds.make_seed(value)
    return tuple(values)


class ScoredCandidate(NamedTuple):
    """How one setting did.

    Attributes:
        name: str.
        config: its class and arguments (`cell_config`).
        loss: float, the mean over the tuning seeds of the raw measure; +inf
            if a run diverged.
    """

    name: str
    config: Mapping[str, Any]
    loss: float

    @property
    def score(self) -> float:
        """The natural logarithm of `loss`; NaN where it is negative."""
        if self.loss > 0.0:
            return math.log(self.loss)
        return -math.inf if self.loss == 0.0 else math.nan


class TuningResult(NamedTuple):
    """How a setting was chosen.

    Attributes:
        by: "final" or "mean".
        steps: int, updates of each tuning run.
        seeds: ints, of the tuning runs.
        candidates: every setting, in order.
        chosen: int, the index of the best of them.
        at_edge: bool, whether the best is the first or last of a grid with
            more than one value, so that a longer grid might have a better one.
        split: str, the split or part of one that the tuning runs were on; None
            for that of the comparison.
    """

    by: str
    steps: int
    seeds: tuple[int, ...]
    candidates: tuple[ScoredCandidate, ...]
    chosen: int
    at_edge: bool
    split: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a record for `Curve.tuning`: JSON, but that scores may be inf.

        Of a candidate "name", "config" and "score"; a split if it is one of
        the tuning's own.
        """
        own = {} if self.split is None else {"split": self.split}
        return {
            **own,
            "by": self.by,
            "steps": self.steps,
            "seeds": list(self.seeds),
            "candidates": [
                {
                    "name": candidate.name,
                    "config": dict(candidate.config),
                    "score": candidate.score,
                }
                for candidate in self.candidates
            ],
            "chosen": self.chosen,
            "at_edge": self.at_edge,
        }


def _check_runs(tuned: Tuned, name: str, curves: Sequence[Curve]) -> None:
    run = sorted(curve.seed for curve in curves)
    steps = sorted({curve.steps for curve in curves})
    if run != sorted(tuned.seeds) or steps != [tuned.steps]:
        raise ValueError(
            f"Each candidate of {tuned.name!r} is judged by one run of "
            f"{tuned.steps} steps for each of the seeds {tuned.seeds}. "
            f"Received: steps={steps}, seeds={run} of {name!r}."
        )


def _loss(by: str, curves: Sequence[Curve]) -> float:
    """Return the mean over runs of their raw loss; +inf if one diverged."""
    if any(curve.diverged for curve in curves):
        return math.inf
    measure = Curve.tail_mean if by == "final" else Curve.mean
    return float(np.mean([measure(curve) for curve in curves]))


def choose(
    tuned: Tuned, results: Mapping[str, Sequence[Curve]]
) -> TuningResult:
    """Choose the candidate with the lowest loss.

        score = ln( 1/S sum over seeds s of L_s )

    L_s is the run's raw loss, measured `by` "final" or "mean": the average is
    taken before the logarithm, as in the paper's curves. A run with a loss
    that is not finite makes the candidate's score +inf. Of equal candidates
    the earlier is chosen, in a grid the smaller learning rate.

    Args:
        tuned: the optimizer.
        results: name of a candidate to its tuning runs, one for each of
            `tuned.seeds`, of `tuned.steps` steps.

    Returns:
        A `TuningResult`; the chosen cell is
        `tuned.candidates[result.chosen].cell`.

    Raises:
        ValueError: if a candidate's runs are missing or others than asked
            for, or every candidate diverged.
    """
    missing = [c.name for c in tuned.candidates if c.name not in results]
    if missing:
        raise ValueError(
            f"Candidates of {tuned.name!r} have not been run. "
            f"Received: no results of {', '.join(missing)}."
        )
    scored = []
    for name, cell in tuned.candidates:
        _check_runs(tuned, name, results[name])
        loss = _loss(tuned.by, results[name])
        scored.append(ScoredCandidate(name, cell_config(cell), loss))
    chosen = min(range(len(scored)), key=lambda i: scored[i].loss)
    if math.isinf(scored[chosen].loss):
        raise ValueError(
            f"Every candidate of {tuned.name!r} diverged: none can be chosen. "
            f"Received: {', '.join(c.name for c in scored)}. Try smaller "
            "learning rates."
        )
    last = len(scored) - 1
    at_edge = tuned.source.ordered and last > 0 and chosen in (0, last)
    return TuningResult(
        tuned.by,
        tuned.steps,
        tuned.seeds,
        tuple(scored),
        chosen,
        at_edge,
        tuned.split,
    )
