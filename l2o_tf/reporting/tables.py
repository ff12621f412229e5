"""Tables of curves: where they end, what was tuned, who is lower than whom."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting import paper
from l2o_tf.reporting.prose import blocks, paragraph
from l2o_tf.reporting.statistics import (
    Endings,
    Paired,
    UnpairedError,
    endings,
    paired,
)

Cell = str | int | float
SPLIT = "test"  # of the published runs


class Loss(float):
    """A loss, not its logarithm: shown with three digits, however small."""


class Table(NamedTuple):
    """Rows under named columns; `shown` says how a cell is shown.

    Attributes:
        title: str.
        columns: tuple of str.
        rows: list of tuples, an entry per column.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]

    def markdown(self) -> str:
        """Return the table, without its title, as Markdown."""
        rows = [self.columns, ("---",) * len(self.columns), *self._shown()]
        return "".join(
            f"| {' | '.join(c.replace('|', chr(92) + '|') for c in row)} |\n"
            for row in rows
        )

    def section(self, heading: str, explained: str) -> str:
        """Return a heading, prose and the table, as Markdown.

        Args:
            heading: in Markdown, as "## Tuned optimizers".
            explained: prose.

        Returns:
            The text; "" if the table has no row.
        """
        if not self.rows:
            return ""
        return blocks(f"{heading}\n", paragraph(explained), self.markdown())

    def plain(self) -> str:
        """Return the title and aligned columns, numbers to the right."""
        rows = [self.columns, *self._shown()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        right = [
            all(isinstance(row[i], (int, float)) for row in self.rows)
            for i in range(len(self.columns))
        ]
        lines = [
            "  ".join(
                cell.rjust(width) if is_number else cell.ljust(width)
                for cell, width, is_number in zip(
                    row, widths, right, strict=True
                )
            ).rstrip()
            for row in rows
        ]
        return "\n".join([self.title, *lines]) + "\n"

    def csv(self) -> str:
        """Return the columns and rows as CSV, floats with every digit."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([self.columns, *self.rows])
        return text.getvalue()

    def _shown(self) -> list[tuple[str, ...]]:
        return [tuple(map(shown, row)) for row in self.rows]


class EndRow(NamedTuple):
    """Where one optimizer ends on one optimizee, in natural logarithms.

    Attributes:
        optimizee: str.
        optimizer: str.
        ours: float, ln of the mean over the seeds; NaN if all diverged.
        low: float, ln of the lowest run's end value.
        high: float, ln of the highest finite run's end value.
        typical: float, ln of the median run's median.
        std: float, of the runs' ln end values; NaN for one run.
        median: float, of the runs' ln end values.
        lower_quartile: float, of the runs' ln end values.
        upper_quartile: float, of the runs' ln end values.
        mean_loss: float, of the runs' end values.
        std_loss: float, of the runs' end values; NaN for one run.
        seeds: tuple of int.
        diverged: int, how many of them.
        steps: int.
        split: str.
        published: float, or None.
        verdict: str, of `verdict`, or why there is none.
        learning_rate: float, or None if none was tuned.
        at_edge: bool, whether it lies at the edge of its grid.
    """

    optimizee: str
    optimizer: str
    ours: float
    low: float
    high: float
    typical: float
    std: float
    median: float
    lower_quartile: float
    upper_quartile: float
    mean_loss: Loss
    std_loss: Loss
    seeds: tuple[int, ...]
    diverged: int
    steps: int
    split: str
    published: float | None
    verdict: str
    learning_rate: float | None
    at_edge: bool


def shown(value: Cell) -> str:
    """Return a cell's text: two decimals for a float, "" for NaN.

    A `Loss` has three significant digits.
    """
    if isinstance(value, Loss) and not math.isnan(value):
        return f"{value:.3g}"
    if isinstance(value, float):
        # Rounded first, so that -0.001 does not become -0.00.
        return "" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"
    return str(value)


def interval(low: float, high: float) -> str:
    """Return "<low> to <high>", "" if there is none."""
    return "" if math.isnan(low) else f"{shown(low)} to {shown(high)}"


def ranges(numbers: Iterable[int]) -> str:
    """Return whole numbers as ranges: 0, 1, 2, 5 gives "0-2, 5"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def ordered(known: Iterable[str], found: Iterable[str]) -> list[str]:
    """Return what was found, each once: in the known order, then the rest."""
    found = list(dict.fromkeys(found))
    order = [name for name in known if name in found]
    return order + [name for name in found if name not in order]


def groups(
    curves: Sequence[Curve],
) -> dict[tuple[str, str, str], list[Curve]]:
    """Return `(optimizee, split, optimizer)` to its curves.

    Optimizees and splits stay together, in the order in which they first
    come; so do the optimizers inside.
    """
    panels = list(dict.fromkeys((c.optimizee, c.splits) for c in curves))
    optimizers = list(dict.fromkeys(c.optimizer for c in curves))
    grouped: dict[tuple[str, str, str], list[Curve]] = {
        (*panel, optimizer): [] for panel in panels for optimizer in optimizers
    }
    for curve in curves:
        grouped[curve.optimizee, curve.splits, curve.optimizer].append(curve)
    return {key: found for key, found in grouped.items() if found}


def _places(keys: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], str]:
    """Name problems by optimizee, and by split where there are several.

    Args:
        keys: of `groups`.

    Returns:
        `(optimizee, split)` to "<optimizee>" or "<optimizee> (<split>)".
    """
    panels = list(dict.fromkeys((o, split) for o, split, _ in keys))
    names = [optimizee for optimizee, _ in panels]
    return {
        (o, split): o if names.count(o) == 1 else f"{o} ({split})"
        for o, split in panels
    }


def verdict(low: float, high: float, published: float, error: float) -> str:
    """Say whether a published value fits the single runs.

    It fits if it lies within [low - error, high + error]; if not, the word
    says where ours are and the number how far that interval is from it.

    Args:
        low: float, ln of the lowest run's end value.
        high: float, ln of the highest run's end value.
        published: float, ln loss.
        error: float >= 0, how exactly it was read.

    Returns:
        "fits", "lower by x" or "higher by x".
    """
    if published < low - error:
        return f"higher by {low - error - published:.2f}"
    if published > high + error:
        return f"lower by {published - high - error:.2f}"
    return "fits"


def _verdict(curves: Sequence[Curve], ends: Endings) -> str:
    """Return how the runs' ln ends compare with what the paper has of them."""
    first = curves[0]
    published = paper.PUBLISHED.get((first.optimizer, first.optimizee))
    if published is None:
        return ""
    if first.steps != paper.STEPS:
        return f"not compared: {first.steps} steps"
    if first.splits != SPLIT:
        return f"not compared: split {first.splits!r}"
    if any(curve.notice for curve in curves):
        return "not compared: not the full data"
    if ends.diverged == ends.runs:
        return "diverged"
    error = paper.reading_error(first.optimizee)
    word = verdict(ends.low, ends.high, published, error)
    if ends.diverged:
        word += f", {ends.diverged} of {ends.runs} diverged"
    return word


def _end_row(curves: Sequence[Curve]) -> EndRow:
    """Return the row of one group."""
    ends = endings(curves, log=True)
    losses = endings(curves)
    first = curves[0]
    tuning = first.tuning
    return EndRow(
        optimizee=first.optimizee,
        optimizer=first.optimizer,
        ours=ends.ln_of_mean,
        low=ends.low,
        high=ends.high,
        typical=ends.typical,
        std=ends.std,
        median=ends.median,
        lower_quartile=ends.lower_quartile,
        upper_quartile=ends.upper_quartile,
        mean_loss=Loss(losses.mean),
        std_loss=Loss(losses.std),
        seeds=ends.seeds,
        diverged=ends.diverged,
        steps=first.steps,
        split=first.splits,
        published=paper.PUBLISHED.get((first.optimizer, first.optimizee)),
        verdict=_verdict(curves, ends),
        learning_rate=first.config.get("learning_rate") if tuning else None,
        at_edge=bool(tuning and tuning["at_edge"]),
    )


def end_rows(curves: Sequence[Curve]) -> list[EndRow]:
    """Return where every optimizer ends on every optimizee.

    Raises:
        ValueError: if seeds of one optimizer and optimizee differ in length
            or configuration, or one comes twice.
    """
    return [_end_row(group) for group in groups(curves).values()]


def tuned_rate(row: EndRow) -> str:
    """Return the learning rate of a tuned optimizer; "" for others."""
    if row.learning_rate is None:
        return ""
    return f"{row.learning_rate:g}" + (" (edge of grid)" if row.at_edge else "")


def end_table(curves: Sequence[Curve]) -> Table:
    """Return where every optimizer ends on every optimizee, as a table.

    Numbers are natural logarithms but for the last two of the runs' spread,
    which are of losses; the standard deviation, the median and the quartiles
    are of the finite runs' ln end values. `verdict` has the rule of its
    column. A published value is compared at the paper's number of updates, on
    the test split of the full data only.

    Raises:
        ValueError: as `end_rows`.
    """
    columns = (
        "optimizee",
        "optimizer",
        "ln of mean",
        "lowest run",
        "highest run",
        "typical",
        "std of ln",
        "median of ln",
        "lower quartile",
        "upper quartile",
        "mean loss",
        "std of loss",
        "seeds",
        "diverged",
        "steps",
        "split",
        "published",
        "verdict",
        "learning rate",
    )
    rows: list[tuple[Cell, ...]] = [
        (
            row.optimizee,
            row.optimizer,
            row.ours,
            row.low,
            row.high,
            row.typical,
            row.std,
            row.median,
            row.lower_quartile,
            row.upper_quartile,
            row.mean_loss,
            row.std_loss,
            ranges(row.seeds),
            row.diverged,
            row.steps,
            row.split,
            "" if row.published is None else row.published,
            row.verdict,
            tuned_rate(row),
        )
        for row in end_rows(curves)
    ]
    return Table("End values, natural logarithms", columns, rows)


def tuning_table(curves: Sequence[Curve]) -> Table:
    """Return the whole grid of every tuned optimizer on every optimizee."""
    columns = (
        "optimizee",
        "optimizer",
        "candidate",
        "score",
        "chosen",
        "by",
        "steps",
        "seeds",
    )
    rows: list[tuple[Cell, ...]] = []
    for (optimizee, _, optimizer), group in groups(curves).items():
        tuning = group[0].tuning
        if tuning is None:
            continue
        mark = "chosen, at the edge" if tuning["at_edge"] else "chosen"
        for i, candidate in enumerate(tuning["candidates"]):
            rows.append(
                (
                    optimizee,
                    optimizer,
                    candidate["name"],
                    score_cell(candidate["score"]),
                    mark if i == tuning["chosen"] else "",
                    tuning["by"],
                    tuning["steps"],
                    ranges(tuning["seeds"]),
                )
            )
    # What is measured on several splits may be tuned once.
    unique = list(dict.fromkeys(rows))
    return Table("Tuning: every candidate's score, ln loss", columns, unique)


def score_cell(score: float) -> Cell:
    """Return a candidate's score, ln loss, or "diverged" for +inf."""
    return "diverged" if score == math.inf else score


def divergence_text(result: Paired, a: str, b: str) -> str:
    """Count the pairs of a and b without a difference; "" if there are none."""
    counts = {
        f"only {a} diverged": result.only_a_diverged,
        f"only {b} diverged": result.only_b_diverged,
        "both diverged": result.both_diverged,
    }
    return ", ".join(f"{words}: {n}" for words, n in counts.items() if n)


def _comparison(
    group: Sequence[Curve], base: Sequence[Curve], optimizer: str, baseline: str
) -> tuple[Cell, ...]:
    """Return the cells of a comparison, or why there is none."""
    empty = ("",) * 5
    if not base:
        return *empty, f"not compared: no curve of {baseline} here"
    try:
        result = paired(group, base)
    except UnpairedError as error:
        return *empty, f"not compared: {error}"
    return (
        result.mean,
        result.low,
        result.high,
        result.median,
        f"{result.a_lower} of {len(result.seeds)}",
        divergence_text(result, optimizer, baseline),
    )


def comparison_table(curves: Sequence[Curve], baseline: str) -> Table:
    """Compare every optimizer with one, seed by seed, on every optimizee.

    Differences are ln of the optimizer's end value minus that of the
    baseline's, so below 0 is better than the baseline. What cannot be
    compared has a row that says why.

    Args:
        curves: of any optimizers, optimizees and seeds.
        baseline: str, the name of one of the optimizers.

    Raises:
        ValueError: if there is no curve of the baseline, or seeds of one
            optimizer and optimizee do not belong together.
    """
    names = list(dict.fromkeys(c.optimizer for c in curves))
    if baseline not in names:
        raise ValueError(
            "There is no curve of the optimizer to compare with. "
            f"Received: baseline={baseline!r}. There are: {', '.join(names)}."
        )
    columns = (
        "optimizee",
        "optimizer",
        "mean difference",
        "95 % from",
        "to",
        "median difference",
        "lower in",
        "note",
    )
    rows: list[tuple[Cell, ...]] = []
    grouped = groups(curves)
    places = _places(grouped)
    for (optimizee, split, optimizer), group in grouped.items():
        if optimizer == baseline:
            continue
        base = grouped.get((optimizee, split, baseline), [])
        cells = _comparison(group, base, optimizer, baseline)
        rows.append((places[optimizee, split], optimizer, *cells))
    return Table(f"ln of the end value minus that of {baseline}", columns, rows)
