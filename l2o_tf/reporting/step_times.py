"""What an update takes, in a text: optimizers by optimizees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from l2o_tf.evaluation.wall_clock import WallClockRow
from l2o_tf.reporting.tables import Cell, Table, ordered


def step_time_table(
    rows: Sequence[WallClockRow],
    optimizees: Mapping[str, str],
    optimizers: Mapping[str, str],
) -> Table:
    """Return the milliseconds of an update, medians, three digits.

    Args:
        rows: as `read_rows` reads them; the last of a pair counts.
        optimizees: words for names; theirs is the order of the columns.
        optimizers: words for names; theirs is the order of the rows.
    """
    times = {(row.optimizer, row.optimizee): row.median_ms for row in rows}
    columns = ordered(optimizees, (row.optimizee for row in rows))
    found: list[tuple[Cell, ...]] = [
        (
            optimizers.get(optimizer, optimizer),
            *(
                f"{times[optimizer, optimizee]:#.3g}".rstrip(".")
                if (optimizer, optimizee) in times
                else ""
                for optimizee in columns
            ),
        )
        for optimizer in ordered(optimizers, (row.optimizer for row in rows))
    ]
    words = (optimizees.get(name, name) for name in columns)
    return Table("Milliseconds per update", ("optimizer", *words), found)


def step_time_section(
    heading: str,
    rows: Sequence[WallClockRow],
    optimizees: Mapping[str, str],
    optimizers: Mapping[str, str],
) -> str:
    """Return `step_time_table` under a heading, explained; "" without a row.

    Args:
        heading: in Markdown, as "## What an update takes".
        rows: as `step_time_table`.
        optimizees: as `step_time_table`.
        optimizers: as `step_time_table`.
    """
    places = {
        place: [
            optimizees.get(name, name)
            for name in ordered(
                optimizees,
                (r.optimizee for r in rows if (r.device, r.runtime) == place),
            )
        ]
        for place in dict.fromkeys((r.device, r.runtime) for r in rows)
    }
    measured = "; ".join(
        f"{device}, {runtime}: {', '.join(names)}"
        for (device, runtime), names in places.items()
    )
    return step_time_table(rows, optimizees, optimizers).section(
        heading,
        "Milliseconds per update, the medians of wall_clock.csv: a minibatch, "
        "the gradient on it and the optimizer's step, the optimizers of an "
        f"optimizee in turns. {measured}.",
    )
