"""One HTML file that says what was measured: pictures, tables, configurations.

It refers to nothing outside itself, and reads the same in print and in grey.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting import claims, paper, simple_claims, simple_paper
from l2o_tf.reporting.deviations import DEVIATIONS
from l2o_tf.reporting.figures import notices_of
from l2o_tf.reporting.markup import element, svg_html, table_html
from l2o_tf.reporting.metz_figures import CAPTIONS
from l2o_tf.reporting.provenance import provenance_table
from l2o_tf.reporting.tables import (
    Table,
    comparison_table,
    end_table,
    tuning_table,
)

_STYLE = """
body { font: 15px/1.45 sans-serif; color: #111; background: #fff;
  max-width: 75em; margin: 2em auto; padding: 0 1em; }
h1, h2 { line-height: 1.2; }
h2 { border-bottom: 1px solid #999; margin-top: 2.2em; }
figure { margin: 1.5em 0; break-inside: avoid; }
figcaption { font-size: 14px; }
svg { max-width: 100%; height: auto; }
.table { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-size: 13px; }
caption { text-align: left; font-weight: bold; padding: 0.3em 0; }
th, td { border: 1px solid #bbb; padding: 2px 7px; text-align: left;
  vertical-align: top; }
th { background: #eee; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.notice { color: #b22222; font-weight: bold; }
pre { background: #f4f4f4; border: 1px solid #ddd; padding: 0.7em;
  font-size: 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { .table { overflow: visible; } body { max-width: none; } }
"""


def configuration_table(curves: Sequence[Curve]) -> Table:
    """Return the configuration of every optimizer, as recorded."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for curve in curves:
        text = json.dumps(dict(curve.config), sort_keys=True)
        found.setdefault((curve.optimizer, text), {})[curve.optimizee] = None
    return Table(
        "Optimizers",
        ("optimizer", "optimizees", "configuration"),
        [
            (optimizer, ", ".join(optimizees), text)
            for (optimizer, text), optimizees in found.items()
        ],
    )


def wall_clock_table(seconds: Mapping[tuple[str, str], float]) -> Table:
    """Return what an update takes, as measured alone."""
    return Table(
        "Milliseconds per update, measured alone (median)",
        ("optimizee", "optimizer", "milliseconds"),
        [
            (optimizee, optimizer, 1e3 * value)
            for (optimizer, optimizee), value in sorted(
                seconds.items(), key=lambda item: item[0][::-1]
            )
        ],
    )


def _figure_html(
    name: str,
    figure: Figure,
    curves: Sequence[Curve],
    paper_figures: Sequence[paper.PaperFigure],
) -> str:
    """Return a picture with its caption, and what decides its claim."""
    of_paper = {f.number: f for f in paper_figures}.get(name)
    of_simple = {f.name: f for f in simple_paper.FIGURES}.get(name)
    tables = ""
    if of_simple is not None:
        caption = f"SimpleOptimizer, Figure {of_simple.number}. "
        caption += f"{of_simple.title}."
        table = simple_claims.statement_table(curves, name)
        tables = table_html(table) if table.rows else ""
    elif of_paper is None:
        caption = CAPTIONS.get(name, "All curves.")
    else:
        caption = f"Figure {name}. {of_paper.title}. {of_paper.claim}"
        table = (
            claims.claim_table(of_paper, curves)
            if of_paper.optimizers
            else claims.exploration(of_paper, curves)[1]
        )
        tables = table_html(table) if len(table.columns) > 1 else ""
    picture = svg_html(figure, f"l2o_tf-{name}")
    return (
        f"<figure>\n{picture}\n{element('figcaption', caption)}</figure>\n"
        f"{tables}"
    )


def report(
    curves: Sequence[Curve],
    figures: Mapping[str, Figure],
    configurations: Mapping[str, str] | None = None,
    seconds: Mapping[tuple[str, str], float] | None = None,
    baseline: str | None = None,
    paper_figures: Sequence[paper.PaperFigure] = paper.FIGURES,
) -> str:
    """Return the report.

    Args:
        curves: all there are, at least one.
        figures: name to picture; a name of `paper_figures` has the paper's
            claim as its caption, one of `simple_paper.FIGURES` what that
            paper says of it below.
        configurations: name to text, as the gin files that made the curves.
        seconds: (optimizer, optimizee) to the seconds of an update.
        baseline: the optimizer that all others are compared with, seed by
            seed; None for no comparison.
        paper_figures: Chen et al.'s, with the panels that are reported.

    Raises:
        ValueError: if there is no curve, none of the baseline, or seeds of
            one optimizer and optimizee do not belong together.
    """
    if not curves:
        raise ValueError("There is nothing to report. Received: curves=[].")
    tables = [end_table(curves)]
    if baseline is not None:
        tables.append(comparison_table(curves, baseline))
    tables += [tuning_table(curves), wall_clock_table(seconds or {})]
    notices = "".join(
        f'<p class="notice">{html.escape(notice)}</p>\n'
        for notice in notices_of(curves)
    )
    body = [
        element("h1", "Loss curves of optimizers"),
        notices,
        table_html(provenance_table(curves)),
        element("h2", "Pictures"),
        *(
            _figure_html(name, figure, curves, paper_figures)
            for name, figure in figures.items()
        ),
        element("h2", "Tables"),
        *(table_html(table) for table in tables if table.rows),
        element("h2", "Configurations"),
        table_html(configuration_table(curves)),
        *(
            element("h3", name) + element("pre", text)
            for name, text in (configurations or {}).items()
        ),
        element("h2", "Deviations from the paper"),
        table_html(
            Table("Of the evaluation", ("what", "there", "here"), [*DEVIATIONS])
        ),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Loss curves of optimizers</title>\n<style>{_STYLE}</style>\n"
        f"</head>\n<body>\n{''.join(body)}</body>\n</html>\n"
    )
