"""The text of REPRODUCTION.md: the paper's numbers beside those of our curves.

All of it is computed from the curves, so that the text cannot say what the
files do not; `DEVIATIONS` alone is written by hand.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from l2o_tf.evaluation.curves import TAIL, Curve
from l2o_tf.reporting import claims, paper
from l2o_tf.reporting.deviations import DEVIATIONS
from l2o_tf.reporting.exploration import is_exploration
from l2o_tf.reporting.provenance import provenance_table
from l2o_tf.reporting.tables import (
    SPLIT,
    Cell,
    EndRow,
    Table,
    end_rows,
    groups,
    interval,
    ranges,
    score_cell,
    shown,
    tuned_rate,
)


def _blocks(*blocks: str) -> str:
    """Join blocks of text, each of whole lines, with empty lines between."""
    return "\n".join(filter(None, blocks))


def _paragraph(text: str) -> str:
    """Return prose in lines of at most 80 characters."""
    lines = textwrap.fill(
        text, 80, break_long_words=False, break_on_hyphens=False
    )
    return f"{lines}\n"


def _ordered(known: Iterable[str], found: Iterable[str]) -> list[str]:
    """Return what was found, in the known order, then the rest."""
    found = list(dict.fromkeys(found))
    order = [name for name in known if name in found]
    return order + [name for name in found if name not in order]


def _measured(curves: Sequence[Curve]) -> str:
    """Return the section on protocol and provenance."""
    return _blocks(
        "## What was measured\n",
        _paragraph(
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


def not_measured(curves: Sequence[Curve]) -> dict[str, list[str]]:
    """Return optimizee to the paper's optimizers without a curve on it.

    What is asked for is what `paper.PUBLISHED` and the paper's own figures
    name.
    """
    asked = set(paper.PUBLISHED) | {
        (optimizer, optimizee)
        for figure in paper.FIGURES
        if not figure.ours
        for optimizer in figure.optimizers
        for optimizee in figure.optimizees
    }
    missing = asked - {(c.optimizer, c.optimizee) for c in curves}
    found = {
        optimizee: [o for o in paper.OPTIMIZERS if (o, optimizee) in missing]
        for optimizee in paper.OPTIMIZEES
    }
    return {optimizee: names for optimizee, names in found.items() if names}


def _missing(curves: Sequence[Curve]) -> str:
    """Return the list of what the paper has and the curves do not."""
    lines = [
        f"* {paper.OPTIMIZEES[optimizee]}: "
        f"{', '.join(f'`{name}`' for name in names)}\n"
        for optimizee, names in not_measured(curves).items()
    ]
    return _blocks("Not measured:\n", "".join(lines)) if lines else ""


def _ends(curves: Sequence[Curve]) -> str:
    """Return the section of end values, optimizee by optimizee."""
    # Weights from along a training have a table of their own, in Figure 4.
    rows = end_rows([c for c in curves if not is_exploration(c.optimizer)])
    blocks = []
    for optimizee in _ordered(paper.OPTIMIZEES, (r.optimizee for r in rows)):
        here = [row for row in rows if row.optimizee == optimizee]
        names = _ordered(paper.OPTIMIZERS, (row.optimizer for row in here))
        here.sort(key=lambda row: names.index(row.optimizer))
        word = paper.OPTIMIZEES.get(optimizee)
        heading = f"{word} (`{optimizee}`)" if word else f"`{optimizee}`"
        blocks += [f"### {heading}\n", _panel_table(here).markdown()]
    return _blocks(
        "## End values\n",
        _paragraph(
            f"Natural logarithms, at {paper.STEPS:,} updates on the {SPLIT} "
            "split unless said. Published values are read off the pictures, "
            f"within {paper.reading_error('mlp_orig')} (Conv-CIFAR: "
            f'{paper.reading_error("cifar_conv")}). "fits": the published '
            "value lies between the lowest and the highest single run, "
            "widened by that; if not, ours are lower or higher than it by the "
            "distance to this interval."
        ),
        *blocks,
        _missing(curves),
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
    return _blocks(
        "## `dm_cl_il` and `rnnprop`, as labelled and exchanged\n",
        _paragraph(
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
    blocks = [f"### Figure {number}: {figure.title}\n"]
    if number in pictures:
        blocks.append(f"![Figure {number}]({pictures[number]})\n")
    blocks.append(_paragraph(figure.claim))
    if any(judgement.verdict != "not measured" for judgement in found):
        blocks.append(f"{claims.count_text(found)}\n")
        blocks.append(table.markdown())
    elif found or not figure.optimizers:
        blocks.append("Not measured.\n")
    return _blocks(*blocks)


def _figures(curves: Sequence[Curve], pictures: Mapping[str, str]) -> str:
    """Return the section of figures: picture, claim, what decides it."""
    return _blocks(
        "## The figures and their claims\n",
        _paragraph(
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
        *(_figure(figure, curves, pictures) for figure in paper.FIGURES),
    )


def _tuned(curves: Sequence[Curve]) -> str:
    """Return the section of tuned grids, a row per optimizee and optimizer."""
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
        rows.append(
            (
                paper.OPTIMIZEES.get(optimizee, optimizee),
                paper.OPTIMIZERS.get(optimizer, optimizer),
                ", ".join(scores),
                "yes" if tuning["at_edge"] else "no",
                tuning["by"],
                f"{tuning['steps']:,}",
                ranges(tuning["seeds"])
                + (f" (also evaluated: {ranges(also)})" if also else ""),
            )
        )
    if not rows:
        return ""
    columns = (
        "",
        "optimizer",
        "candidate: ln score",
        "at the edge",
        "by",
        "updates",
        "seeds",
    )
    return _blocks(
        "## Tuned optimizers\n",
        _paragraph(
            "The score is the natural logarithm of the mean over the tuning "
            f'seeds of a run\'s last {TAIL} losses ("final") or of all '
            '("mean"). The chosen candidate is bold; where it is at the edge '
            "of its grid, a longer grid might have a better one."
        ),
        Table("", columns, rows).markdown(),
    )


def reproduction(
    curves: Sequence[Curve], pictures: Mapping[str, str], command: str
) -> str:
    """Return the text of REPRODUCTION.md.

    Args:
        curves: all there are.
        pictures: a figure's number, as in `paper.FIGURES`, to the path of its
            picture, relative to the text.
        command: what was typed to make the text.

    Raises:
        ValueError: if there is no curve, a picture is of no figure, or seeds
            of one optimizer and optimizee do not belong together.
    """
    if not curves:
        raise ValueError("There is nothing to report. Received: curves=[].")
    unknown = sorted(set(pictures) - {f.number for f in paper.FIGURES})
    if unknown:
        raise ValueError(
            "Pictures are of the paper's figures: "
            f"{', '.join(f.number for f in paper.FIGURES)}. "
            f"Received: pictures={unknown}."
        )
    deviations = Table("", ("what", "there", "here"), list(DEVIATIONS))
    return _blocks(
        "# Reproduction\n",
        _paragraph(
            "*Training Stronger Baselines for Learning to Optimize* (Chen et "
            "al., NeurIPS 2020) beside what this package measures. Written, "
            "not by hand, by"
        ),
        f"    {command}\n",
        _measured(curves),
        _ends(curves),
        _exchanged(curves),
        _figures(curves, pictures),
        _tuned(curves),
        "## Deviations of the evaluation\n",
        _paragraph(
            "From the paper and from its released programs. Those of the "
            "training are in README.md."
        ),
        deviations.markdown(),
    )
