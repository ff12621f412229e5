"""The part of REPRODUCTION.md on SimpleOptimizer's paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting import grids, simple_claims, simple_paper
from l2o_tf.reporting.claims import VERDICTS
from l2o_tf.reporting.deviations import SIMPLE_DEVIATIONS
from l2o_tf.reporting.prose import blocks, paragraph
from l2o_tf.reporting.simple_claims import (
    EARLY,
    SETTLED,
    mark_table,
    statement_table,
)
from l2o_tf.reporting.simple_costs import cost_table
from l2o_tf.reporting.simple_paper import OPTIMIZEES, OPTIMIZERS, Cost
from l2o_tf.reporting.tables import (
    Cell,
    EndRow,
    Table,
    end_rows,
    interval,
    ranges,
    tuned_rate,
)


def _protocol() -> str:
    return paragraph(
        f"*{simple_paper.TITLE}*, submitted to ICLR 2020, compares training "
        "losses. So every run here is optimised on minibatches of the "
        f"{simple_paper.SPLIT} split, and measured on fresh ones of it. Where "
        "its curves end is not known to us; it is taken at its word, and the "
        "runs decide. The readings are ours where it is not exact. An "
        f'optimizer "stops converging after {simple_paper.TRAINED} updates" '
        f"unless from {SETTLED:,} updates to the end the mean ln loss falls "
        'with its whole interval, however little. It "keeps decreasing" if it '
        f"falls so from {simple_paper.TRAINED} updates to the end, and in the "
        'second half too. It is "competitive" if it is not decided to end '
        "above both tuned rivals; where runs of it diverged, that is open."
    )


def _statements(curves: Sequence[Curve]) -> str:
    counts = Counter(found.verdict for found in simple_claims.verdicts(curves))
    words = ", ".join(f"{word}: {counts[word]}" for word in VERDICTS)
    return blocks(
        "### What the paper says\n",
        f"Of {sum(counts.values())} statements, {words}.\n",
        statement_table(curves).markdown(),
    )


def _figures(pictures: Mapping[str, str]) -> str:
    texts = []
    for figure in simple_paper.FIGURES:
        if figure.name in pictures:
            ours = " (ours)" if figure.ours else ""
            texts += [
                f"### SimpleOptimizer, Figure {figure.number}{ours}: "
                f"{figure.title}\n",
                f"![{figure.title}]({pictures[figure.name]})\n",
            ]
    return blocks(*texts)


def _marks(curves: Sequence[Curve]) -> str:
    table = mark_table(curves)
    return table.section(
        "### SimpleOptimizer, by updates on the base MLP",
        "Natural logarithm of the seeds' mean loss: at "
        f"{simple_paper.TRAINED} updates of the {EARLY} losses up to "
        "there, later of 100.",
    )


def _unusual(row: EndRow) -> str:
    parts = [f"{OPTIMIZERS.get(row.optimizer, '')} (`{row.optimizer}`)".strip()]
    if row.learning_rate is not None:
        parts.append(f"learning rate {tuned_rate(row)}")
    if row.split != simple_paper.SPLIT:
        parts.append(f"split {row.split!r}")
    return ", ".join(parts)


def _ends(curves: Sequence[Curve]) -> str:
    """Return where every optimizer ends, in the paper's order."""
    rows: list[tuple[Cell, ...]] = []
    found = end_rows(curves)
    for optimizee, word in OPTIMIZEES.items():
        known = {name: i for i, name in enumerate(OPTIMIZERS)}
        here = [row for row in found if row.optimizee == optimizee]
        here.sort(key=lambda row: known.get(row.optimizer, len(known)))
        rows += [
            (
                word,
                _unusual(row),
                row.ours,
                interval(row.low, row.high),
                ranges(row.seeds),
                row.diverged,
                f"{row.steps:,}",
            )
            for row in here
        ]
    columns = (
        "",
        "optimizer",
        "ln loss",
        "single runs",
        "seeds",
        "diverged",
        "updates",
    )
    return blocks(
        "### SimpleOptimizer, end values\n", Table("", columns, rows).markdown()
    )


def _tuned(curves: Sequence[Curve]) -> str:
    heading = "### SimpleOptimizer, its tuned rivals"
    return grids.grid_section(heading, curves, OPTIMIZEES, OPTIMIZERS)


def _costs(costs: Mapping[str, Cost]) -> str:
    if not costs:
        return ""
    return blocks(
        "### SimpleOptimizer, Table 1: what an update costs\n",
        paragraph(
            "Weights, and milliseconds per update of the base MLP, medians of "
            "one run in which the optimizers take turns; ratios are to "
            "SimpleOptimizer. The paper's LSTMs have two biases per gate, "
            "ours one."
        ),
        cost_table(costs).markdown(),
    )


def simple_section(
    curves: Sequence[Curve],
    pictures: Mapping[str, str],
    costs: Mapping[str, Cost] | None = None,
) -> str:
    """Return the section; "" without a curve or a cost.

    Args:
        curves: of anything; those on the paper's optimizees are reported.
        pictures: name of a figure to the path of its picture.
        costs: name of an optimizer to what it costs.

    Raises:
        ValueError: if seeds of one optimizer and optimizee do not belong
            together.
    """
    curves = [curve for curve in curves if simple_paper.is_of_paper(curve)]
    costs = costs or {}
    if not curves and not costs:
        return ""
    deviations = Table("", ("what", "there", "here"), list(SIMPLE_DEVIATIONS))
    measured = (
        _statements(curves),
        _figures(pictures),
        _marks(curves),
        _ends(curves),
        _tuned(curves),
    )
    return blocks(
        f"## SimpleOptimizer: {simple_paper.TITLE}\n",
        _protocol(),
        *(measured if curves else ()),
        _costs(costs),
        "### SimpleOptimizer, deviations of the evaluation\n",
        deviations.markdown(),
    )
