"""The claims of the paper's figures, each decided by runs of both sides.

A claim is a list of comparisons "a ends below b", on each panel of its figure.
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
    is_exploration,
    run_name,
)
from l2o_tf.reporting.statistics import (
    Paired,
    UnpairedError,
    endings,
    paired,
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

BELOW: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "2": (
            ("dm_cl_il", "dm"),
            ("dm_cl_il", "rnnprop"),
            ("dm_cl_il", "scale"),
            ("dm_cl_il", "scale_meta"),
        ),
        "3": (("rnnprop_cl_il", "rnnprop"), ("scale_cl_il", "scale")),
        "5": (
            ("dm_il", "dm"),
            ("dm_cl", "dm"),
            ("dm_il", "dm_aug"),
            ("dm_cl", "dm_aug"),
        ),
        "6": (
            ("scale_self_improving", "scale"),
            ("scale_il", "scale"),
            ("scale_il", "scale_self_improving"),
        ),
        "7": (
            ("dm_cl_il", "adam"),
            ("dm_cl_il", "rmsprop"),
            ("dm_cl_il", "sgd"),
            ("dm_cl_il", "dm"),
        ),
    }
)
"""A figure's number to the pairs (a, b) of which it says: a ends below b."""

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
    """Return the curves of the published length, on the published split."""
    return [c for c in curves if c.steps == paper.STEPS and c.split == SPLIT]


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
        return Judgement("not measured", "no two common seeds with logarithms")
    diverged = divergence_text(result, a[0].optimizer, b[0].optimizer)
    parts = []
    if result.seeds:
        around = interval(result.low, result.high) or "one pair, no interval"
        parts.append(f"{shown(result.mean)} ({around})")
        parts.append(f"{result.a_lower} of {len(result.seeds)} seeds")
    parts += [diverged] if diverged else []
    return Judgement(decide(result), ", ".join(parts))


def judgements(
    figure: paper.PaperFigure, curves: Sequence[Curve]
) -> dict[tuple[str, str, str], Judgement]:
    """Decide every comparison of a figure's claim.

    Returns:
        (optimizee, a, b) to the judgement of "a ends below b"; empty for a
        figure without a claim that runs of optimizers decide.
    """
    grouped = groups(protocol(curves))
    return {
        (optimizee, a, b): judge(
            grouped.get((optimizee, SPLIT, a), []),
            grouped.get((optimizee, SPLIT, b), []),
        )
        for optimizee in figure.optimizees
        for a, b in BELOW.get(figure.number, ())
    }


def _end(curves: Sequence[Curve]) -> str:
    """Return where an optimizer ends, and how many runs diverged."""
    if not curves:
        return "not measured"
    ends = endings(curves)
    lost = f"{ends.diverged} of {ends.runs} diverged" if ends.diverged else ""
    return ", ".join(filter(None, (shown(ends.ln_of_mean), lost)))


def claim_table(figure: paper.PaperFigure, curves: Sequence[Curve]) -> Table:
    """Return a figure's comparisons: a row per panel, a column per pair."""
    decided = judgements(figure, curves)
    grouped = groups(protocol(curves))
    pairs = BELOW.get(figure.number, ())
    single = ENDS.get(figure.number, ())
    columns = (
        "",
        *(f"`{a}` below `{b}`" for a, b in pairs),
        *(f"`{name}` ends at" for name in single),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            paper.OPTIMIZEES[panel],
            *(": ".join(filter(None, decided[panel, a, b])) for a, b in pairs),
            *(_end(grouped.get((panel, SPLIT, name), [])) for name in single),
        )
        for panel in figure.optimizees
    ]
    return Table(f"Figure {figure.number}", columns, rows)


def exploration(
    figure: paper.PaperFigure, curves: Sequence[Curve]
) -> tuple[list[Judgement], Table]:
    """Decide, run of training by run, whether more episodes hurt.

    Args:
        figure: 4 or A1.
        curves: those named `<run>@<episodes>` count, of the best weights of a
            window of training.

    Returns:
        For each optimizee and run, whether the first window's weights end
        below the last window's; and a table of that, with all windows' ends.
    """
    grouped = groups(
        [c for c in protocol(curves) if is_exploration(c.optimizer)]
    )
    windows: dict[tuple[str, str], dict[int, list[Curve]]] = {}
    for (optimizee, _, name), group in grouped.items():
        if optimizee in figure.optimizees:
            of_run = windows.setdefault((optimizee, run_name(name)), {})
            of_run[episodes_of(name)] = group
    found: list[Judgement] = []
    rows: list[tuple[Cell, ...]] = []
    for (optimizee, run), of_run in windows.items():
        episodes = sorted(of_run)
        last = of_run[episodes[-1]] if len(episodes) > 1 else []
        found.append(judge(of_run[episodes[0]], last))
        rows.append(
            (
                paper.OPTIMIZEES[optimizee],
                f"`{run}`",
                "; ".join(f"{e}: {_end(of_run[e])}" for e in episodes),
                ": ".join(filter(None, found[-1])),
            )
        )
    columns = ("", "run", "episodes: ends at", "first below last")
    return found, Table(f"Figure {figure.number}", columns, rows)


def count_text(found: Sequence[Judgement]) -> str:
    """Return how many comparisons hold, fail, are open or not measured."""
    counts = Counter(judgement.verdict for judgement in found)
    words = (f"{word}: {counts[word]}" for word in VERDICTS)
    return f"Of {len(found)} comparisons, {', '.join(words)}."
