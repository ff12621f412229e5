"""The grids of tuned optimizers in a text: all candidates and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from l2o_tf.evaluation.curves import TAIL, Curve
from l2o_tf.reporting.tables import (
    Cell,
    Table,
    groups,
    ranges,
    score_cell,
    shown,
)

_EXPLAINED = (
    "The score is the natural logarithm of the mean over the tuning seeds of a "
    f'run\'s last {TAIL} losses ("final") or of all ("mean"). The chosen '
    "candidate is bold; where it is at the edge of its grid, a longer grid "
    "might have a better one."
)


def grid_table(
    curves: Sequence[Curve],
    optimizees: Mapping[str, str],
    optimizers: Mapping[str, str],
) -> Table:
    """Return every candidate's score, the chosen one bold.

    Args:
        curves: those of tuned optimizers count.
        optimizees: words for names.
        optimizers: words for names.
    """
    rows: list[tuple[Cell, ...]] = []
    for (optimizee, _, optimizer), group in groups(curves).items():
        tuning = group[0].tuning
        if tuning is None:
            continue
        scores = [
            f"{c['name']}: {shown(score_cell(c['score']))}"
            for c in tuning["candidates"]
        ]
        scores[tuning["chosen"]] = f"**{scores[tuning['chosen']]}**"
        also = sorted({c.seed for c in group} & set(tuning["seeds"]))
        split = f", on {tuning['split']}" if "split" in tuning else ""
        rows.append(
            (
                optimizees.get(optimizee, optimizee),
                optimizers.get(optimizer, optimizer),
                ", ".join(scores),
                "yes" if tuning["at_edge"] else "no",
                f"{tuning['by']}{split}",
                f"{tuning['steps']:,}",
                ranges(tuning["seeds"])
                + (f" (also evaluated: {ranges(also)})" if also else ""),
            )
        )
    columns = (
        "",
        "optimizer",
        "candidate: ln score",
        "at the edge",
        "by",
        "updates",
        "seeds",
    )
    return Table("Tuned optimizers", columns, rows)


def grid_section(
    heading: str,
    curves: Sequence[Curve],
    optimizees: Mapping[str, str],
    optimizers: Mapping[str, str],
) -> str:
    """Return `grid_table` under a heading, explained; "" without a tuned one.

    Args:
        heading: in Markdown, as "## Tuned optimizers".
        curves: as `grid_table`.
        optimizees: as `grid_table`.
        optimizers: as `grid_table`.
    """
    table = grid_table(curves, optimizees, optimizers)
    return table.section(heading, _EXPLAINED)
