"""The part of REPRODUCTION.md on Metz et al. 2019."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from l2o_tf.evaluation.curves import Curve
from l2o_tf.evaluation.wall_clock import WallClockRow
from l2o_tf.reporting import grids
from l2o_tf.reporting.metz_figures import CAPTIONS, METZ_FIGURES, OPTIMIZEES
from l2o_tf.reporting.prose import blocks, paragraph
from l2o_tf.reporting.tables import (
    Cell,
    Loss,
    Table,
    end_rows,
    interval,
    ranges,
)
from l2o_tf.studies.store import Finding

TITLES = {
    "momentum": "Figure 2a-c: momentum on a line with two minima",
    "learning_rate": "Figure 2d: runs with nearly equal learning rates",
    "gradient_slice": "Figure 2e: the loss along the meta-gradient",
    "plane": "Figure 2f: the loss on a plane of weights",
    "truncation_bias": "Figure 3: a learning rate learned by windows",
    "outer_training": "Figures 4 and 8: training by several estimators",
}
"""By the name of a picture of studies, in the order of the paper."""

_NOTES = {
    "truncation_bias": "One seed, and a network that was chosen after a look "
    "at the first gradients of four. On all four, windows of 10 steps push "
    "the learning rate down and windows of 1,000 and more push it up; of "
    "windows of 1 and of 100 the networks differ.",
}
_REDUCED = "metz_small"
_SCALE = (
    f"`{_REDUCED}` is the paper's configuration at a scale for two cores: 4 "
    "pairs (128 in the paper), episodes of 200 updates (10,000), windows of 10 "
    "to 50 updates (50 to 10,000), minibatches of 32 images, one of them per "
    "outer-loss (5), an outer learning rate of 3e-4 (1e-5)."
)
_NOTHING = ""
_SAME = 1e-3
"""Ends closer than that, of a coordinate, are in one minimum."""


def momentum_table(finding: Finding) -> Table:
    """Return where runs of the longest length end, by ranges of momentum."""
    momenta = finding.arrays["momenta"]
    ends, losses = finding.arrays["ends"][-1], finding.arrays["losses"][-1]
    rows: list[tuple[Cell, ...]] = []
    begin = 0
    for i in range(1, len(momenta) + 1):
        if i < len(momenta) and abs(ends[i] - ends[begin]) < _SAME:
            continue
        # Shorter ranges are of the part where runs alternate.
        if i - begin >= len(momenta) // 100:
            rows.append(
                (
                    f"{momenta[begin]:.3f} to {momenta[i - 1]:.3f}",
                    float(ends[begin]),
                    float(losses[begin]),
                )
            )
        begin = i
    steps = int(finding.arrays["lengths"][-1])
    return Table(
        f"Ends after {steps:,} updates",
        ("momentum", f"w after {steps:,} updates", "l(w)"),
        rows,
    )


def learning_rate_table(finding: Finding) -> Table:
    """Return how far runs of neighbouring learning rates are apart."""
    arrays = finding.arrays
    last = arrays["losses"][:, -1]
    return Table(
        "Runs with nearly equal learning rates",
        ("what", "least", "mean", "most"),
        [
            (what, float(np.min(x)), float(np.mean(x)), float(np.max(x)))
            for what, x in (
                ("last loss", last),
                ("distance of neighbours' ends", arrays["separations"]),
                ("distance travelled", arrays["travelled"]),
            )
        ],
    )


def truncation_table(findings: Sequence[Finding]) -> Table:
    """Return which way windows of each length push the learning rate."""
    rows: list[tuple[Cell, ...]] = []
    for finding in sorted(findings, key=lambda f: f.config["window"]):
        rates = finding.arrays["learning_rates"]
        losses = finding.arrays["meta_losses"]
        rows.append(
            (
                finding.config["window"],
                len(losses),
                f"{rates[0]:.3g}",
                f"{rates[-1]:.3g}",
                {1.0: "up", -1.0: "down"}.get(
                    float(np.sign(rates[-1] - rates[0])), ""
                ),
                Loss(losses[0]),
                Loss(losses[-1]),
            )
        )
    return Table(
        "Learning rates learned by windows",
        (
            "window",
            "episodes",
            "first rate",
            "last rate",
            "pushed",
            "first mean loss",
            "last mean loss",
        ),
        rows,
    )


def outer_training_table(findings: Sequence[Finding]) -> Table:
    """Return what each estimator reached, and how far its pairs were apart."""
    rows: list[tuple[Cell, ...]] = []
    for finding in findings:
        arrays = finding.arrays
        losses = arrays["validation_losses"]
        rows.append(
            (
                finding.config["label"],
                f"{int(arrays['inner_steps'][-1]):,}",
                f"{int(arrays['meta_updates'][-1]):,}",
                *(
                    (
                        Loss(losses[0]),
                        Loss(np.nanmin(losses)),
                        Loss(losses[-1]),
                    )
                    if len(losses)
                    else (_NOTHING, _NOTHING, _NOTHING)
                ),
                *_range(arrays["score_variances"]),
                *_range(arrays["pathwise_variances"]),
                int(np.sum(arrays["dropped_pairs"])),
            )
        )
    return Table(
        "Training runs",
        (
            "run",
            "inner steps of a pair",
            "meta-updates",
            "first validation loss",
            "best",
            "last",
            "log10 score variance, first",
            "last",
            "log10 pathwise variance, first",
            "last",
            "pairs left out",
        ),
        rows,
    )


def _range(values: np.ndarray) -> tuple[Cell, Cell]:
    known = values[~np.isnan(values)]
    if not len(known):
        return _NOTHING, _NOTHING
    return float(known[0]), float(known[-1])


_TABLES: Mapping[str, Callable[[Sequence[Finding]], Table]] = {
    "momentum": lambda found: momentum_table(found[0]),
    "learning_rate": lambda found: learning_rate_table(found[0]),
    "truncation_bias": truncation_table,
    "outer_training": outer_training_table,
}


def end_values(curves: Sequence[Curve]) -> Table:
    """Return where every optimizer ends, problem by problem."""
    rows: list[tuple[Cell, ...]] = [
        (
            OPTIMIZEES[row.optimizee],
            row.optimizer,
            row.split,
            row.ours,
            interval(row.low, row.high),
            ranges(row.seeds),
            row.diverged,
            f"{row.steps:,}",
        )
        for row in end_rows([c for c in curves if is_of_metz(c)])
    ]
    rows.sort(key=lambda row: list(OPTIMIZEES.values()).index(str(row[0])))
    columns = (
        "problem",
        "optimizer",
        "losses of",
        "ln loss",
        "single runs",
        "seeds",
        "diverged",
        "updates",
    )
    return Table("End values", columns, rows)


def is_of_metz(measured: Curve | WallClockRow) -> bool:
    """Return whether that is of one of the paper's problems."""
    return measured.optimizee in OPTIMIZEES


def _figure_6(curves: Sequence[Curve], pictures: Mapping[str, str]) -> str:
    table = end_values(curves)
    if not table.rows:
        return ""
    shown = [
        f"![{CAPTIONS[name]}]({pictures[name]})\n"
        for name in METZ_FIGURES
        if name in pictures
    ]
    notices = dict.fromkeys(
        c.notice for c in curves if is_of_metz(c) and c.notice
    )
    return blocks(
        "### Figure 6: the learned optimizer and tuned ones\n",
        *shown,
        table.markdown(),
        *(paragraph(f"**{notice}**") for notice in notices),
    )


def _configurations(found: Sequence[Finding]) -> list[str]:
    """Say of which configuration each training run is, and at which scale."""
    names = {f.config["label"]: f.config.get("configuration") for f in found}
    told = [f"{label} is `{name}`" for label, name in names.items() if name]
    if not told:
        return []
    small = any(name and name.startswith(_REDUCED) for name in names.values())
    scale = f" {_SCALE}" if small else ""
    return [paragraph(f"Of the configurations, {', '.join(told)}.{scale}")]


def _tuned(curves: Sequence[Curve]) -> str:
    """Return the grids of Figure 6, one for both kinds of losses."""
    chosen = [c for c in curves if is_of_metz(c) and c.measured is None]
    heading = "### Figure 6: the tuned optimizers"
    return grids.grid_section(heading, chosen, OPTIMIZEES, {})


def _study(
    kind: str, found: Sequence[Finding], pictures: Mapping[str, str]
) -> str:
    names = dict.fromkeys([kind, *(finding.name for finding in found)])
    texts = [f"### {TITLES[kind]}\n"]
    texts += [
        f"![{TITLES[kind]}]({pictures[name]})\n"
        for name in names
        if name in pictures
    ]
    if kind in _TABLES:
        texts.append(_TABLES[kind](found).markdown())
    if kind in _NOTES:
        texts.append(paragraph(_NOTES[kind]))
    if kind == "outer_training":
        texts += _configurations(found)
    notices = dict.fromkeys(f.notice for f in found if f.notice)
    texts += [paragraph(f"**{notice}**") for notice in notices]
    return blocks(*texts)


def metz_pictures(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the names that pictures of this section may have."""
    return (*METZ_FIGURES, *TITLES, *(finding.name for finding in findings))


def metz_section(
    curves: Sequence[Curve],
    findings: Sequence[Finding],
    pictures: Mapping[str, str],
) -> str:
    """Return the section, nothing without a study or a curve.

    Args:
        curves: all there are.
        findings: what studies found.
        pictures: names of `metz_pictures` to paths, relative to the text.
    """
    texts = [
        _study(kind, found, pictures)
        for kind in TITLES
        if (found := [f for f in findings if f.kind == kind])
    ]
    texts += [_figure_6(curves, pictures), _tuned(curves)]
    if not any(texts):
        return ""
    return blocks(
        "## Understanding and correcting pathologies\n",
        paragraph(
            "*Understanding and Correcting Pathologies in the Training of "
            "Learned Optimizers* (Metz et al., ICML 2019): what its studies "
            "(`gin/study_*.gin`) and comparisons (`gin/eval_metz*.gin`) found "
            "here. Our material has no numbers of these figures."
        ),
        *texts,
    )
