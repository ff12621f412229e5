"""What an update takes, in a text: optimizers by optimizees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from l2o_tf.evaluation.wall_clock import WallClockRow
from l2o_tf.reporting.tables import Cell, Table, ordered


def _digits(milliseconds: float) -> str:
    # What has three digits before the point needs no point; 99.95 rounds to it.
    if milliseconds >= 99.95:
        return f"{milliseconds:,.0f}"
    return f"{milliseconds:#.3g}"


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
                _digits(times[optimizer, optimizee])
                if (optimizer, optimizee) in times
                else ""
                for optimizee in columns
            ),
        )
        for optimizer in ordered(optimizers, (row.optimizer for row in rows))
    ]
    words = (optimizees.get(name, name) for name in columns)
    return Table("Milliseconds per update", ("optimizer", *words), found)


def _place(row: WallClockRow) -> tuple[str, str]:
    return row.device, row.runtime


def _measured_at(
    place: tuple[str, str],
    rows: Sequence[WallClockRow],
    optimizees: Mapping[str, str],
    optimizers: Mapping[str, str],
) -> str:
    """Return the optimizees that were measured somewhere.

    Those that were elsewhere too have the optimizers that were there.
    """
    words = []
    for name in ordered(optimizees, (row.optimizee for row in rows)):
        column = [row for row in rows if row.optimizee == name]
        here = [row.optimizer for row in column if _place(row) == place]
        word = optimizees.get(name, name)
        if len(here) == len(column):
            words.append(word)
        elif here:
            found = (optimizers.get(n, n) for n in ordered(optimizers, here))
            words.append(f"{word} ({'; '.join(found)})")
    return ", ".join(words)


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
    last = list({(row.optimizer, row.optimizee): row for row in rows}.values())
    measured = "; ".join(
        f"{device}, {runtime}: "
        f"{_measured_at((device, runtime), last, optimizees, optimizers)}"
        for device, runtime in dict.fromkeys(map(_place, last))
    )
    return step_time_table(last, optimizees, optimizers).section(
        heading,
        "Milliseconds per update, the medians of wall_clock.csv: a minibatch, "
        "the gradient on it and the optimizer's step, the optimizers that "
        f"were measured by one command in turns. {measured}.",
    )
