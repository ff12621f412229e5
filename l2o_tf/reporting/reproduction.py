"""The text of REPRODUCTION.md: the paper's numbers beside those of our curves.

All of it is computed from the curves, so that the text cannot say what the
files do not; `DEVIATIONS` alone is written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from l2o_tf.evaluation.curves import TAIL, Curve
from l2o_tf.evaluation.wall_clock import WallClockRow
from l2o_tf.reporting import claims, grids, paper, simple_paper
from l2o_tf.reporting.deviations import DEVIATIONS
from l2o_tf.reporting.exploration import is_exploration
from l2o_tf.reporting.metz_section import (
    is_of_metz,
    metz_pictures,
    metz_section,
)
from l2o_tf.reporting.prose import blocks, paragraph
from l2o_tf.reporting.provenance import provenance_table
from l2o_tf.reporting.simple_section import simple_section
from l2o_tf.reporting.step_times import step_time_section
from l2o_tf.reporting.tables import (
    SPLIT,
    Cell,
    EndRow,
    Table,
    end_rows,
    interval,
    ordered,
    ranges,
    shown,
    tuned_rate,
)
from l2o_tf.studies.store import Finding


def _is_of_another_paper(measured: Curve | WallClockRow) -> bool:
    """Return whether that is reported in a section of its own."""
    return simple_paper.is_of_paper(measured) or is_of_metz(measured)


def _measured(curves: Sequence[Curve]) -> str:
    """Return the section on protocol and provenance."""
    return blocks(
        "## What was measured\n",
        paragraph(
            "Each run starts an optimizee at random and makes its updates on "
            "minibatches of one split; after every update the loss is "
            "measured on a fresh minibatch of that split. The end value of a "
            f"run is the mean of its last {TAIL} losses; of several runs we "
            "give the natural logarithm of the mean of their end values, as "
            "the paper averages runs. A run with a loss that is not finite "
            "has diverged: it is counted, and is not in the mean."
        ),
        provenance_table(curves)._replace(title="").markdown(),
    )


def _name(row: EndRow) -> str:
    """Return an optimizer's cell: its word, its name, what is unusual."""
    word = paper.OPTIMIZERS.get(row.optimizer)
    parts = [f"{word} (`{row.optimizer}`)" if word else f"`{row.optimizer}`"]
    if row.learning_rate is not None:
        parts.append(f"learning rate {tuned_rate(row)}")
    if row.steps != paper.STEPS:
        parts.append(f"{row.steps:,} updates")
    if row.split != SPLIT:
        parts.append(f"split {row.split!r}" if row.split else "no data")
    return ", ".join(parts)


def _seeds(row: EndRow) -> str:
    short = f" ({len(row.seeds)} of {paper.SEEDS})"
    return ranges(row.seeds) + (short if len(row.seeds) < paper.SEEDS else "")


def _panel_table(rows: Sequence[EndRow]) -> Table:
    columns = (
        "optimizer",
        "ours",
        "single runs",
        "published",
        "seeds",
        "diverged",
        "verdict",
    )
    cells: list[tuple[Cell, ...]] = [
        (
            _name(row),
            row.ours,
            interval(row.low, row.high),
            "" if row.published is None else row.published,
            _seeds(row),
            row.diverged,
            row.verdict,
        )
        for row in rows
    ]
    return Table("", columns, cells)


def _panels(figures: Sequence[paper.PaperFigure]) -> list[str]:
    """Return the optimizees that figures have panels of."""
    asked = {name for figure in figures for name in figure.optimizees}
    return [name for name in paper.OPTIMIZEES if name in asked]


def _alone(figures: Sequence[paper.PaperFigure]) -> str:
    """Say which panels are reported, if they are not all."""
    panels = _panels(figures)
    if len(panels) in (0, len(paper.OPTIMIZEES)):
        return ""
    words = ", ".join(paper.OPTIMIZEES[name] for name in panels)
    return paragraph(
        f"Of the paper's {len(paper.OPTIMIZEES)} problems these alone are "
        f"reported, counted and drawn: {words}."
    )


def not_measured(
    curves: Sequence[Curve],
    figures: Sequence[paper.PaperFigure] = paper.FIGURES,
) -> dict[str, list[str]]:
    """Return optimizee to the paper's optimizers without a curve on it.

    What is asked for is what the figures that are the paper's own name and,
    on all panels, what `paper.PUBLISHED` names; where no curve is of that,
    another paper was measured, and nothing is missing.
    """
    panels = _panels(figures)
    asked = {pair for pair in paper.PUBLISHED if pair[1] in panels} | {
        (optimizer, optimizee)
        for figure in figures
        if not figure.ours
        for optimizer in figure.optimizers
        for optimizee in figure.optimizees
    }
    missing = asked - {(c.optimizer, c.optimizee) for c in curves}
    if missing == asked:
        return {}
    found = {
        optimizee: [o for o in paper.OPTIMIZERS if (o, optimizee) in missing]
        for optimizee in panels
    }
    return {optimizee: names for optimizee, names in found.items() if names}


def _missing(
    curves: Sequence[Curve], figures: Sequence[paper.PaperFigure]
) -> str:
    """Return the list of what the paper has and the curves do not."""
    lines = [
        f"* {paper.OPTIMIZEES[optimizee]}: "
        f"{', '.join(f'`{name}`' for name in names)}\n"
        for optimizee, names in not_measured(curves, figures).items()
    ]
    return blocks("Not measured:\n", "".join(lines)) if lines else ""


def _ends(curves: Sequence[Curve], figures: Sequence[paper.PaperFigure]) -> str:
    """Return the section of end values, optimizee by optimizee."""
    # Weights from along a training have a table of their own, in Figure 4.
    rows = end_rows([c for c in curves if not is_exploration(c.optimizer)])
    parts = []
    for optimizee in ordered(paper.OPTIMIZEES, (r.optimizee for r in rows)):
        here = [row for row in rows if row.optimizee == optimizee]
        names = ordered(paper.OPTIMIZERS, (row.optimizer for row in here))
        here.sort(key=lambda row: names.index(row.optimizer))
        word = paper.OPTIMIZEES.get(optimizee)
        heading = f"{word} (`{optimizee}`)" if word else f"`{optimizee}`"
        parts += [f"### {heading}\n", _panel_table(here).markdown()]
    return blocks(
        "## End values\n",
        paragraph(
            f"Natural logarithms, at {paper.STEPS:,} updates on the {SPLIT} "
            "split unless said. Published values are read off the pictures, "
            f"within {paper.reading_error('mlp_orig')} (Conv-CIFAR: "
            f'{paper.reading_error("cifar_conv")}). "fits": the published '
            "value lies between the lowest and the highest single run, "
            "widened by that; if not, ours are lower or higher than it by the "
            "distance to this interval."
        ),
        _alone(figures),
        *parts,
        _missing(curves, figures),
    )


def exchanged_table(curves: Sequence[Curve]) -> Table | None:
    """Compare `dm_cl_il` and `rnnprop` with the published ends, and swapped.

    Per panel the distance is |ours - published| summed over the two, as they
    are labelled and with the two published values exchanged.

    Returns:
        The table, its last row the sum over the panels; None if no panel has
        a finite run of both.
    """
    ours = {
        (row.optimizer, row.optimizee): row
        for row in end_rows(claims.protocol(curves))
        if row.diverged < len(row.seeds)
    }
    rows: list[tuple[str, float, float, float, float, float, float]] = []
    for optimizee in paper.OPTIMIZEES:
        keys = [("dm_cl_il", optimizee), ("rnnprop", optimizee)]
        if not all(key in ours and key in paper.PUBLISHED for key in keys):
            continue
        dm, rnnprop = (ours[key].ours for key in keys)
        dm_there, rnnprop_there = (paper.PUBLISHED[key] for key in keys)
        rows.append(
            (
                paper.OPTIMIZEES[optimizee],
                dm,
                rnnprop,
                dm_there,
                rnnprop_there,
                abs(dm - dm_there) + abs(rnnprop - rnnprop_there),
                abs(dm - rnnprop_there) + abs(rnnprop - dm_there),
            )
        )
    if not rows:
        return None
    labelled, exchanged = (sum(float(r[i]) for r in rows) for i in (5, 6))
    columns = (
        "",
        "`dm_cl_il`",
        "`rnnprop`",
        "published `dm_cl_il`",
        "published `rnnprop`",
        "distance as labelled",
        "distance exchanged",
    )
    total: tuple[Cell, ...] = ("sum", "", "", "", "", labelled, exchanged)
    return Table("Exchanged", columns, [*rows, total])


def _exchanged(curves: Sequence[Curve]) -> str:
    table = exchanged_table(curves)
    if table is None:
        return ""
    *panels, total = table.rows
    nearer = sum(float(row[6]) < float(row[5]) for row in panels)
    return blocks(
        "## `dm_cl_il` and `rnnprop`, as labelled and exchanged\n",
        paragraph(
            "The distance is |ours - published|, summed over the two "
            "optimizers: as they are labelled, and with the two published "
            f"values exchanged. Exchanged they are nearer on {nearer} of "
            f"{len(panels)} optimizees; over all of them the distance is "
            f"{shown(total[6])} exchanged and {shown(total[5])} as labelled."
        ),
        table.markdown(),
    )


def _figure(
    figure: paper.PaperFigure,
    curves: Sequence[Curve],
    pictures: Mapping[str, str],
) -> str:
    found = list(claims.judgements(figure, curves).values())
    table = claims.claim_table(figure, curves)
    if not figure.optimizers:
        found, table = claims.exploration(figure, curves)
    number = figure.number
    parts = [f"### Figure {number}: {figure.title}\n"]
    if number in pictures:
        parts.append(f"![Figure {number}]({pictures[number]})\n")
    parts.append(paragraph(figure.claim))
    if any(judgement.verdict != "not measured" for judgement in found):
        parts.append(f"{claims.count_text(found)}\n")
        parts.append(table.markdown())
    elif found or not figure.optimizers:
        parts.append("Not measured.\n")
    return blocks(*parts)


def _figures(
    curves: Sequence[Curve],
    pictures: Mapping[str, str],
    figures: Sequence[paper.PaperFigure],
) -> str:
    """Return the section of figures: picture, claim, what decides it."""
    if not figures:
        return ""
    return blocks(
        "## The figures and their claims\n",
        paragraph(
            "A cell compares two optimizers on the seeds that both have: the "
            "mean difference of their ln end values, in brackets its 95 % "
            "bootstrap interval, and on how many seeds the first is lower. "
            '"holds": the whole interval is below 0; "fails": above 0; '
            '"open": neither; "no claim": the paper says nothing of the two '
            "there. Of training by episodes (Figures 4 and A1) the shortest "
            "horizon decides whether more episodes hurt, and the longest, "
            "beside it, whether they hurt less: the difference is then that "
            "of the two rises from first to last. Pairs with a diverged run "
            "have no difference: they are counted, a claim whose first "
            "optimizer diverges alone does not hold, one whose second does "
            "not fail, and where no pair has a difference they decide. The "
            "interval of three seeds is the range of their differences: by "
            "chance alone all three have a given sign once in eight times. "
            "0.83 is the ln loss of guessing among ten classes."
        ),
        *(_figure(figure, curves, pictures) for figure in figures),
    )


def _tuned(curves: Sequence[Curve]) -> str:
    """Return the section of tuned grids, a row per optimizee and optimizer."""
    return grids.grid_section(
        "## Tuned optimizers", curves, paper.OPTIMIZEES, paper.OPTIMIZERS
    )


def _times(rows: Sequence[WallClockRow]) -> str:
    """Return the section of what an update takes."""
    return step_time_section(
        "## What an update takes", rows, paper.OPTIMIZEES, paper.OPTIMIZERS
    )


def _against_the_paper(
    curves: Sequence[Curve],
    pictures: Mapping[str, str],
    times: Sequence[WallClockRow],
    figures: Sequence[paper.PaperFigure],
) -> str:
    """Return all sections on the paper of Chen et al."""
    deviations = Table("", ("what", "there", "here"), list(DEVIATIONS))
    return blocks(
        _ends(curves, figures),
        _exchanged(curves),
        _figures(curves, pictures, figures),
        _times(times),
        _tuned(curves),
        "## Deviations of the evaluation\n",
        paragraph(
            "From the paper and from its released programs. Those of the "
            "training are in README.md."
        ),
        deviations.markdown(),
    )


def reproduction(
    curves: Sequence[Curve],
    pictures: Mapping[str, str],
    command: str,
    costs: Mapping[str, simple_paper.Cost] | None = None,
    findings: Sequence[Finding] = (),
    times: Sequence[WallClockRow] = (),
    figures: Sequence[paper.PaperFigure] = paper.FIGURES,
) -> str:
    """Return the text of REPRODUCTION.md.

    Curves on the optimizees of SimpleOptimizer's paper, and those on Metz et
    al.'s problems, have a section of their own, and are in no other but that of
    what was measured.

    Args:
        curves: all there are.
        pictures: a figure's number, as in `paper.FIGURES`, or its name in
            `simple_paper.FIGURES` or of `metz_pictures`, to the path of its
            picture, relative to the text.
        command: what was typed to make the text.
        costs: of SimpleOptimizer's Table 1, as `read_costs` reads them.
        findings: what studies found.
        times: what an update takes, as `wall_clock.read_rows` reads them;
            told of the other papers' optimizees by the HTML report alone.
        figures: Chen et al.'s, with the panels that are reported.

    Raises:
        ValueError: if there is no curve, a picture is of no figure, or seeds
            of one optimizer and optimizee do not belong together.
    """
    if not curves:
        raise ValueError("There is nothing to report. Received: curves=[].")
    numbers = [figure.number for figure in paper.FIGURES]
    numbers += [figure.name for figure in simple_paper.FIGURES]
    numbers += metz_pictures(findings)
    unknown = sorted(set(pictures) - set(numbers))
    if unknown:
        raise ValueError(
            f"Pictures are of the papers' figures: {', '.join(numbers)}. "
            f"Received: pictures={unknown}."
        )
    others = [curve for curve in curves if not _is_of_another_paper(curve)]
    times = [row for row in times if not _is_of_another_paper(row)]
    return blocks(
        "# Reproduction\n",
        paragraph(
            "*Training Stronger Baselines for Learning to Optimize* (Chen et "
            "al., NeurIPS 2020) beside what this package measures. Written, "
            "not by hand, by"
        ),
        f"    {command}\n",
        _measured(curves),
        _against_the_paper(others, pictures, times, figures) if others else "",
        simple_section(curves, pictures, costs),
        metz_section(curves, findings, pictures),
    )
