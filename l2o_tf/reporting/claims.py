"""The claims of the paper's figures, each decided by runs of both sides.

A claim is a list of comparisons "a ends below b", each on panels of its figure.
Runs are compared seed by seed (`statistics.paired`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting import paper
from l2o_tf.reporting.exploration import (
    episodes_of,
    horizon_of,
    is_exploration,
    run_name,
)
from l2o_tf.reporting.statistics import (
    Paired,
    UnpairedError,
    endings,
    paired,
    paired_changes,
)
from l2o_tf.reporting.tables import (
    SPLIT,
    Cell,
    Table,
    divergence_text,
    groups,
    interval,
    shown,
)


class Below(NamedTuple):
    """What the paper says of two optimizers: a ends below b.

    Attributes:
        a: str, name of results.
        b: str, name of results.
        panels: the optimizees it is said of; None for all of the figure.
    """

    a: str
    b: str
    panels: tuple[str, ...] | None = None


_DIVERGES = ("mlp_orig", "mnist_conv")
BELOW: Mapping[str, tuple[Below, ...]] = MappingProxyType(
    {
        "2": (
            Below("dm_cl_il", "dm"),
            Below("dm_cl_il", "rnnprop"),
            Below("dm_cl_il", "scale"),
            Below("dm_cl_il", "scale_meta"),
        ),
        "3": (
            Below("rnnprop_cl_il", "rnnprop"),
            Below("scale_cl_il", "scale"),
        ),
        "5": (
            Below("dm_il", "dm"),
            Below("dm_cl", "dm"),
            Below("dm_il", "dm_aug"),
            Below("dm_cl", "dm_aug"),
        ),
        "6": (
            Below("scale_self_improving", "scale"),
            Below("scale_il", "scale"),
            Below("scale_il", "scale_self_improving"),
        ),
        "7": (
            Below("dm_cl_il", "adam", _DIVERGES),
            Below("dm_cl_il", "rmsprop", _DIVERGES),
            Below("dm_cl_il", "sgd", _DIVERGES),
            Below("dm_cl_il", "dm", ("nas", "lenet")),
        ),
    }
)
"""A figure's number to what it says of which ends below which."""

ENDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"7": ("dm", "dm_cl_il")}
)
"""A figure's number to the optimizers of which it says that they fail or not:
their ends stand beside the comparisons."""

VERDICTS = ("holds", "fails", "open", "not measured")


class Judgement(NamedTuple):
    """Whether one optimizer ends below another on one optimizee.

    Attributes:
        verdict: one of `VERDICTS`.
        numbers: str, what decides it, or why nothing does.
    """

    verdict: str
    numbers: str


def protocol(curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves of the published length, split and full data."""
    return [
        c
        for c in curves
        if c.steps == paper.STEPS and c.splits == SPLIT and not c.notice
    ]


def decide(result: Paired) -> str:
    """Return whether a ends below b, from their pairs.

    Returns:
        "holds" if a never diverges alone, and the whole interval of the mean
        difference is below 0 or, where no pair has a difference, b diverges
        alone at least once; "fails" for the reverse; else "open".
    """
    none = not result.seeds
    below = result.high < 0 or (none and result.only_b_diverged > 0)
    above = result.low > 0 or (none and result.only_a_diverged > 0)
    if below and not result.only_a_diverged:
        return "holds"
    if above and not result.only_b_diverged:
        return "fails"
    return "open"


_UNPAIRED = "no two common seeds with logarithms"


def _numbers(result: Paired, a: str, b: str) -> str:
    """Return mean difference, interval, who is lower, and who diverged."""
    diverged = divergence_text(result, a, b)
    parts = []
    if result.seeds:
        around = interval(result.low, result.high) or "one pair, no interval"
        parts.append(f"{shown(result.mean)} ({around})")
        parts.append(f"{result.a_lower} of {len(result.seeds)} seeds")
    parts += [diverged] if diverged else []
    return ", ".join(parts)


def _text(judgement: Judgement) -> str:
    return ": ".join(filter(None, judgement))


def judge(a: Sequence[Curve], b: Sequence[Curve]) -> Judgement:
    """Decide whether `a` ends below `b`, on one optimizee.

    Raises:
        ValueError: if one side is not seeds of one optimizer.
    """
    if not a or not b:
        return Judgement("not measured", "")
    try:
        result = paired(a, b)
    except UnpairedError:
        return Judgement("not measured", _UNPAIRED)
    numbers = _numbers(result, a[0].optimizer, b[0].optimizer)
    return Judgement(decide(result), numbers)


def judgements(
    figure: paper.PaperFigure, curves: Sequence[Curve]
) -> dict[tuple[str, str, str], Judgement]:
    """Decide every comparison of a figure's claim.

    Returns:
        (optimizee, a, b) to the judgement of "a ends below b", where the paper
        says so; empty for a figure without a claim that runs of optimizers
        decide.
    """
    grouped = groups(protocol(curves))
    return {
        (optimizee, a, b): judge(
            grouped.get((optimizee, SPLIT, a), []),
            grouped.get((optimizee, SPLIT, b), []),
        )
        for optimizee in figure.optimizees
        for a, b, panels in BELOW.get(figure.number, ())
        if panels is None or optimizee in panels
    }


def _end(curves: Sequence[Curve]) -> str:
    """Return where an optimizer ends, and how many runs diverged."""
    if not curves:
        return "not measured"
    ends = endings(curves)
    lost = f"{ends.diverged} of {ends.runs} diverged" if ends.diverged else ""
    return ", ".join(filter(None, (shown(ends.ln_of_mean), lost)))


def claim_table(figure: paper.PaperFigure, curves: Sequence[Curve]) -> Table:
    """Return a figure's comparisons: a row per panel, a column per pair.

    Where the paper says nothing of a pair the cell is "no claim".
    """
    silent = Judgement("no claim", "")
    decided = judgements(figure, curves)
    grouped = groups(protocol(curves))
    pairs = BELOW.get(figure.number, ())
    single = ENDS.get(figure.number, ())
    columns = (
        "",
        *(f"`{a}` below `{b}`" for a, b, _ in pairs),
        *(f"`{name}` ends at" for name in single),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            paper.OPTIMIZEES[panel],
            *(_text(decided.get((panel, a, b), silent)) for a, b, _ in pairs),
            *(_end(grouped.get((panel, SPLIT, name), [])) for name in single),
        )
        for panel in figure.optimizees
    ]
    return Table(f"Figure {figure.number}", columns, rows)


_NOT_MEASURED = Judgement("not measured", "")
_Windows = Mapping[int, Sequence[Curve]]


def _hurts(windows: _Windows) -> Judgement:
    """Decide whether the first window's weights end below the last's."""
    if len(windows) < 2:
        return _NOT_MEASURED
    return judge(windows[min(windows)], windows[max(windows)])


def _hurts_less(longest: _Windows, shortest: _Windows) -> Judgement:
    """Decide whether ends rise less from the first window to the last."""
    if len(longest) < 2 or len(shortest) < 2:
        return _NOT_MEASURED
    try:
        result = paired_changes(
            (longest[min(longest)], longest[max(longest)]),
            (shortest[min(shortest)], shortest[max(shortest)]),
        )
    except UnpairedError:
        return _NOT_MEASURED._replace(numbers=_UNPAIRED)
    # A side counts as diverged before or after: alone, that decides nothing.
    verdict = decide(result) if result.seeds else "open"
    return Judgement(verdict, _numbers(result, "longest", "shortest"))


def _explored(
    figure: paper.PaperFigure, curves: Sequence[Curve]
) -> dict[str, dict[str, dict[int, list[Curve]]]]:
    """Return optimizee to run to window to curves."""
    runs: dict[str, dict[str, dict[int, list[Curve]]]] = {}
    explored = [c for c in protocol(curves) if is_exploration(c.optimizer)]
    for (optimizee, _, name), group in groups(explored).items():
        if optimizee in figure.optimizees:
            of_run = runs.setdefault(optimizee, {})
            of_run.setdefault(run_name(name), {})[episodes_of(name)] = group
    return runs


def exploration(
    figure: paper.PaperFigure, curves: Sequence[Curve]
) -> tuple[list[Judgement], Table]:
    """Decide whether more episodes hurt, and less at a longer horizon.

    Args:
        figure: 4 or A1.
        curves: those named `<run>@<episodes>` count, of the best weights of a
            window of training; the run's name ends in its horizon, as
            "dm_100".

    Returns:
        For each optimizee two judgements: of the shortest horizon, whether
        the first window's weights end below the last's; and whether from the
        first to the last the ends rise less at the longest horizon than at
        the shortest. And a table of that, with all windows' ends and, not
        counted, the comparison for the other runs.
    """
    found: list[Judgement] = []
    rows: list[tuple[Cell, ...]] = []
    for optimizee, here in _explored(figure, curves).items():
        horizons = {run: horizon_of(run) or 0 for run in here}
        known = sorted(
            filter(horizons.__getitem__, here), key=horizons.__getitem__
        )
        for run, windows in here.items():
            hurts, less = _hurts(windows), Judgement("", "")
            if known and run == known[-1]:
                less = _NOT_MEASURED
                if horizons[run] > horizons[known[0]]:
                    less = _hurts_less(windows, here[known[0]])
                found.append(less)
            if known and run == known[0]:
                found.append(hurts)
            elif hurts.verdict != "not measured":
                hurts = hurts._replace(verdict="not counted")
            ends = (f"{e}: {_end(windows[e])}" for e in sorted(windows))
            rows.append(
                (
                    paper.OPTIMIZEES[optimizee],
                    f"`{run}`",
                    "; ".join(ends),
                    _text(hurts),
                    _text(less),
                )
            )
    columns = (
        "",
        "run",
        "episodes: ends at",
        "first below last",
        "rises less than at the shortest horizon",
    )
    return found, Table(f"Figure {figure.number}", columns, rows)


def count_text(found: Sequence[Judgement]) -> str:
    """Return how many comparisons hold, fail, are open or not measured."""
    counts = Counter(judgement.verdict for judgement in found)
    words = (f"{word}: {counts[word]}" for word in VERDICTS)
    return f"Of {len(found)} comparisons, {', '.join(words)}."
