"""What several seeds say together: mean, spread, ends, and who diverged.

Two optimizers are compared seed by seed: runs with the same seed have the same
start and the same minibatches, so that the difference of a pair is free of
both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from l2o_tf.core import checks
from l2o_tf.evaluation.curves import Curve

CONFIDENCE = 0.95
# Runs that differ in one of these are on different problems.
_PROBLEM = ("optimizee", "split", "measured", "steps")


class UnpairedError(ValueError):
    """Runs that cannot be compared seed by seed."""


class Spread(NamedTuple):
    """The curves of one optimizer on one optimizee, over seeds.

    Everything but the counts is float64 `[T]`, over the finite runs; NaN if
    there is none.

    Attributes:
        steps: int `[T]`, the update number at the end of each smoothing
            window.
        mean: the mean run.
        low: the lowest run.
        high: the highest run.
        runs: int, how many there are.
        diverged: int, runs with a loss that is not finite.
        median: the median over the runs.
        lower_quartile: a quarter of the runs lies below, interpolated.
        upper_quartile: a quarter of the runs lies above, interpolated.
        std: standard deviation of a run (divisor: runs - 1); NaN for one run.
    """

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int
    diverged: int
    median: np.ndarray
    lower_quartile: np.ndarray
    upper_quartile: np.ndarray
    std: np.ndarray


class Endings(NamedTuple):
    """The end values of one optimizer on one optimizee, over seeds.

    The end value of a run is `Curve.tail_mean`. All numbers are over the
    finite runs; NaN if there is none.

    Attributes:
        seeds: tuple of int, in order, diverged runs included.
        runs: int, how many there are.
        diverged: int, runs with a loss that is not finite.
        mean: float.
        std: float, with divisor finite runs - 1; NaN for one run.
        median: float.
        lower_quartile: float, interpolated.
        upper_quartile: float, interpolated.
        low: float, the lowest run.
        high: float, the highest run.
        ln_of_mean: float, the paper's number: the runs are averaged, then
            comes the logarithm. The same with `log` and without.
        typical: float, ln of the median over the runs of
            `Curve.tail_median`, which spikes do not move. The same with `log`
            and without.
    """

    seeds: tuple[int, ...]
    runs: int
    diverged: int
    mean: float
    std: float
    median: float
    lower_quartile: float
    upper_quartile: float
    low: float
    high: float
    ln_of_mean: float
    typical: float


class Paired(NamedTuple):
    """Two optimizers on the same starts and minibatches, a minus b.

    Attributes:
        seeds: tuple of int, of the pairs in which both runs are finite.
        differences: float64 `[len(seeds)]`, ln of the end value of a, minus
            that of b.
        mean: float, of the differences; NaN if there is none.
        median: float, of the differences; NaN if there is none.
        low: float, the lower end of the mean's bootstrap interval, of
            `CONFIDENCE`; NaN for fewer than two differences.
        high: float, its upper end.
        a_lower: int, pairs with a difference below 0.
        only_a_diverged: int, pairs in which a diverged and b did not; they
            have no difference.
        only_b_diverged: int, the reverse.
        both_diverged: int.
    """

    seeds: tuple[int, ...]
    differences: np.ndarray
    mean: float
    median: float
    low: float
    high: float
    a_lower: int
    only_a_diverged: int
    only_b_diverged: int
    both_diverged: int


def smooth(losses: np.ndarray, window: int) -> np.ndarray:
    """Return the running mean of raw losses over `window` steps.

    Entry j is the mean of losses[j : j + window]; `window` - 1 entries fewer
    come out than went in. It stands at the window's end on the step axis.

    Raises:
        ValueError: if `window` is not from 1 to the number of losses.
    """
    checks.positive_int("window", window)
    if window > len(losses):
        raise ValueError(
            "The smoothing window is longer than the curve. Received: "
            f"window={window}, steps={len(losses)}."
        )
    # Not differences of a running sum: a spike would cancel what follows it.
    windows = np.lib.stride_tricks.sliding_window_view(
        losses.astype(np.float64), window
    )
    return windows.mean(axis=-1)


def ln(values: np.ndarray | float) -> np.ndarray:
    """Return natural logarithms: -inf of 0, NaN of what is below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.asarray(values, np.float64))


def _moments(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Summarise `[runs, T]` over the runs, at least one."""
    # The logarithm of a loss of 0 is -inf: its moments are not numbers.
    with np.errstate(invalid="ignore"):
        lower, median, upper = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
        return {
            "mean": rows.mean(axis=0),
            "low": rows.min(axis=0),
            "high": rows.max(axis=0),
            "median": median,
            "lower_quartile": lower,
            "upper_quartile": upper,
            "std": (
                rows.std(axis=0, ddof=1)
                if len(rows) > 1
                else np.full(rows.shape[1:], np.nan)
            ),
        }


def _whose(curves: Sequence[Curve]) -> str:
    """Say of what curves are, for a message."""
    found = dict.fromkeys(f"{c.optimizer} on {c.optimizee}" for c in curves)
    return f"curves of {', '.join(found) or 'nothing'}"


def spread(
    curves: Sequence[Curve], window: int = 1, log: bool = False
) -> Spread:
    """Summarise runs of equal length, update by update.

    Runs with a loss that is not finite are counted in `diverged` and are in
    nothing else; if all diverged, the mean is NaN.

    Args:
        curves: of one optimizer on one optimizee.
        window: int, updates of the running mean of raw losses, taken first.
        log: bool, statistics of the smoothed losses' natural logarithms in
            place of the smoothed losses'.

    Raises:
        ValueError: if there is no curve, or their lengths differ.
    """
    lengths = sorted({len(curve.losses) for curve in curves})
    if len(lengths) != 1:
        raise ValueError(
            "Curves are summarised over seeds of one length. "
            f"Received: steps={lengths}, {_whose(curves)}."
        )
    finite = [c for c in curves if not c.diverged]
    steps = np.arange(window, lengths[0] + 1)
    if finite:
        rows = np.stack([smooth(c.losses, window) for c in finite])
    else:
        rows = np.full((1, len(steps)), np.nan)
    return Spread(
        steps=steps,
        runs=len(curves),
        diverged=len(curves) - len(finite),
        **_moments(ln(rows) if log else rows),
    )


def _check_one_group(curves: Sequence[Curve]) -> None:
    """Refuse runs that differ in more than the seed, or not in the seed."""
    for name in ("optimizer", *_PROBLEM, "config_hash"):
        found = list(dict.fromkeys(getattr(curve, name) for curve in curves))
        if len(found) != 1:
            raise ValueError(
                "Ends are summarised over seeds of one optimizer on one "
                "optimizee, of one split, length and configuration. "
                f"Received: {name}={found}, {_whose(curves)}."
            )
    seeds = sorted(curve.seed for curve in curves)
    if len(set(seeds)) != len(seeds):
        raise ValueError(
            "Every seed counts once, and here one comes twice. "
            f"Received: seeds={seeds}, {_whose(curves)}."
        )


def endings(curves: Sequence[Curve], log: bool = False) -> Endings:
    """Summarise where runs end.

    Args:
        curves: of one optimizer on one optimizee, seeds 0, 1, ...
        log: bool, statistics of the end values' natural logarithms in place
            of the end values'.

    Raises:
        ValueError: if there is no curve, a seed comes twice, or they differ
            in optimizer, optimizee, split, length or configuration.
    """
    _check_one_group(curves)
    finite = [c for c in curves if not c.diverged]
    ends = np.array([c.tail_mean() for c in finite] or [np.nan])
    medians = np.array([c.tail_median() for c in finite] or [np.nan])
    moments = _moments(ln(ends) if log else ends)
    return Endings(
        seeds=tuple(sorted(curve.seed for curve in curves)),
        runs=len(curves),
        diverged=len(curves) - len(finite),
        ln_of_mean=float(ln(ends.mean())),
        typical=float(ln(np.median(medians))),
        **{name: float(value) for name, value in moments.items()},
    )


def _pairs(
    curves_a: Sequence[Curve], curves_b: Sequence[Curve]
) -> list[tuple[Curve, Curve]]:
    """Return the runs of the seeds that both have, in order of the seeds."""
    for curves in (curves_a, curves_b):
        _check_one_group(curves)
    a, b = curves_a[0], curves_b[0]
    for name in _PROBLEM:
        if getattr(a, name) != getattr(b, name):
            raise UnpairedError(
                "Only runs on one optimizee, of one split and length, are "
                f"compared. Received: {name}={getattr(a, name)!r} and "
                f"{getattr(b, name)!r}."
            )
    by_seed = {curve.seed: curve for curve in curves_b}
    pairs = [(c, by_seed[c.seed]) for c in curves_a if c.seed in by_seed]
    if len(pairs) < 2:
        raise UnpairedError(
            "A comparison needs two seeds that both have. Received: "
            f"seeds={sorted(c.seed for c in curves_a)} and {sorted(by_seed)}."
        )
    return sorted(pairs, key=lambda pair: pair[0].seed)


def _difference(a: Curve, b: Curve) -> float:
    """Return ln of the end value of a, minus that of b; both are finite."""
    ends = a.tail_mean(), b.tail_mean()
    if min(ends) <= 0:
        raise UnpairedError(
            "Logarithms are compared, and an end value has none. Received: "
            f"end={min(ends)}."
        )
    return float(np.log(ends[0]) - np.log(ends[1]))


def _summarised(
    seeds: Sequence[int],
    differences: Sequence[float],
    lost: Sequence[tuple[bool, bool]],
    resamples: int,
    seed: int,
) -> Paired:
    """Return the numbers of pairs.

    Args:
        seeds: of the pairs that have a difference.
        differences: theirs.
        lost: of every pair, whether a diverged and whether b did.
        resamples: int, of the bootstrap.
        seed: int, of the bootstrap.
    """
    d = np.array(differences, np.float64)
    low = high = np.nan
    if len(d) > 1:
        low, high = stats.bootstrap(
            (d,),
            np.mean,
            n_resamples=resamples,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Paired(
        seeds=tuple(seeds),
        differences=d,
        mean=float(np.mean(d)) if len(d) else np.nan,
        median=float(np.median(d)) if len(d) else np.nan,
        low=float(low),
        high=float(high),
        a_lower=int(np.sum(d < 0)),
        only_a_diverged=sum(a and not b for a, b in lost),
        only_b_diverged=sum(b and not a for a, b in lost),
        both_diverged=sum(a and b for a, b in lost),
    )


def paired(
    curves_a: Sequence[Curve],
    curves_b: Sequence[Curve],
    resamples: int = 10_000,
    seed: int = 0,
) -> Paired:
    """Compare the ends of two optimizers, seed by seed.

    For each seed that both have, d = ln(end of a) - ln(end of b). The mean of
    the d has a bootstrap interval: the percentiles of the means of resampled
    d. Pairs with a diverged run have no d; they are counted apart.

    Args:
        curves_a: of one optimizer on one optimizee.
        curves_b: of another one on the same.
        resamples: int, of the bootstrap.
        seed: int, of the bootstrap: the interval is the same every time.

    Raises:
        UnpairedError: if optimizee, split or length differ, fewer than two
            seeds are in both, or an end value has no logarithm.
        ValueError: if one side is not seeds of one optimizer.
    """
    checks.positive_int("resamples", resamples)
    checks.integer("seed", seed)
    pairs = _pairs(curves_a, curves_b)
    finite = [p for p in pairs if not (p[0].diverged or p[1].diverged)]
    return _summarised(
        [a.seed for a, _ in finite],
        [_difference(a, b) for a, b in finite],
        [(a.diverged, b.diverged) for a, b in pairs],
        resamples,
        seed,
    )


def paired_changes(
    a: tuple[Sequence[Curve], Sequence[Curve]],
    b: tuple[Sequence[Curve], Sequence[Curve]],
) -> Paired:
    """Compare how far the ends of two optimizers moved, seed by seed.

    For each seed that all four have,
    d = [ln(a after) - ln(a before)] - [ln(b after) - ln(b before)]. A side
    with a diverged run, before or after, counts as diverged.

    Args:
        a: curves before and curves after.
        b: the same of the other.

    Raises:
        UnpairedError: as `paired`.
        ValueError: as `paired`.
    """
    _pairs(a[0], b[0])
    moves = [
        {then.seed: (then, now) for then, now in _pairs(*side)}
        for side in (a, b)
    ]
    seeds = sorted(moves[0].keys() & moves[1].keys())
    if len(seeds) < 2:
        raise UnpairedError(
            "A comparison needs two seeds that all have. Received: "
            f"seeds={sorted(moves[0])} and {sorted(moves[1])}."
        )
    lost = {
        seed: (
            any(curve.diverged for curve in moves[0][seed]),
            any(curve.diverged for curve in moves[1][seed]),
        )
        for seed in seeds
    }
    finite = [seed for seed in seeds if not any(lost[seed])]
    # The difference of a pair is before - after.
    return _summarised(
        finite,
        [_difference(*moves[1][s]) - _difference(*moves[0][s]) for s in finite],
        list(lost.values()),
        10_000,
        0,
    )
