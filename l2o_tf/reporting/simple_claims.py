"""What SimpleOptimizer's paper says of its figures, decided by curves.

A statement is a list of checks, each on runs of one optimizee: one optimizer
ends below another, a curve falls between two updates, an optimizer keeps up
with tuned ones. Differences are of ln losses, seed by seed, with the bootstrap
interval of `statistics.paired`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from l2o_tf.evaluation.curves import TAIL, Curve
from l2o_tf.reporting import simple_paper
from l2o_tf.reporting.claims import Judgement, judge
from l2o_tf.reporting.simple_paper import BASE, TRAINED, UPDATES
from l2o_tf.reporting.statistics import ln
from l2o_tf.reporting.tables import Cell, Table, shown

EARLY = 20
"""Losses that are averaged at the end of a training's length: one window of
it, since a mean over more would be of a steep part of the curve."""

SETTLED = 1_000
"""Where a curve that stops converging after `TRAINED` updates is level."""

MARKS = (TRAINED, SETTLED, UPDATES // 2, UPDATES)
"""The updates at which the curves of the base MLP are read."""


class Below(NamedTuple):
    """`a` ends below `b`.

    Attributes:
        a: str, name of results.
        b: str, name of results.
        optimizee: str.
    """

    a: str
    b: str
    optimizee: str


class Change(NamedTuple):
    """A curve falls from one update to another; or it does not.

    Attributes:
        optimizer: str, name of results.
        optimizee: str.
        start: int, an update.
        end: int, a later one.
        falls: bool, which of the two is said.
    """

    optimizer: str
    optimizee: str
    start: int
    end: int
    falls: bool


class KeepsUp(NamedTuple):
    """`a` ends no higher than one of its rivals at least.

    Attributes:
        a: str, name of results.
        rivals: names of results.
        optimizee: str.
    """

    a: str
    rivals: tuple[str, ...]
    optimizee: str


Check = Below | Change | KeepsUp


class Statement(NamedTuple):
    """What the paper says of a figure.

    Attributes:
        figure: str, the name of a `simple_paper.Figure`.
        words: str.
        checks: all of them hold where the statement does.
    """

    figure: str
    words: str
    checks: tuple[Check, ...]


_TUNED = ("sgd", "adam")
STATEMENTS: tuple[Statement, ...] = (
    Statement(
        "simple_2",
        f"L2O-DM stops converging after {TRAINED} updates.",
        (Change("dm_base_mlp", BASE, SETTLED, UPDATES, falls=False),),
    ),
    Statement(
        "simple_2",
        f"RNNprop stops converging after {TRAINED} updates.",
        (Change("rnnprop_base_mlp", BASE, SETTLED, UPDATES, falls=False),),
    ),
    Statement(
        "simple_2",
        f"SimpleOptimizer keeps decreasing for {UPDATES:,} updates.",
        (
            Change("simple", BASE, TRAINED, UPDATES, falls=True),
            Change("simple", BASE, UPDATES // 2, UPDATES, falls=True),
        ),
    ),
    Statement(
        "simple_2",
        "SimpleOptimizer ends below both.",
        (
            Below("simple", "dm_base_mlp", BASE),
            Below("simple", "rnnprop_base_mlp", BASE),
        ),
    ),
    Statement(
        "simple_3",
        "With biases it is worse.",
        (Below("simple", "simple_bias", BASE),),
    ),
    Statement(
        "simple_3",
        "Without the aggregate it is worse.",
        (Below("simple", "simple_no_aggregate", BASE),),
    ),
    Statement(
        "simple_3",
        "Without the weighted loss it is worse.",
        (Below("simple", "simple_uniform_loss", BASE),),
    ),
    Statement(
        "simple_4",
        "On LeNet and MNIST it is competitive.",
        (KeepsUp("simple", _TUNED, "lenet_mnist"),),
    ),
    Statement(
        "simple_4",
        "On LeNet and CIFAR-10, fine-tuned, it is competitive.",
        (KeepsUp("simple_fine_tuned", _TUNED, "lenet_cifar"),),
    ),
    Statement(
        "simple_5",
        "On the five-layer MLP it beats Adam, not the tuned SGD.",
        (
            Below("simple", "adam", "five_layer_mlp"),
            Below("sgd", "simple", "five_layer_mlp"),
        ),
    ),
    Statement(
        "simple_5",
        "On Inception v1, fine-tuned, it beats Adam, not the tuned SGD.",
        (
            Below("simple_fine_tuned", "adam", "inception_cifar"),
            Below("sgd", "simple_fine_tuned", "inception_cifar"),
        ),
    ),
)
"""Of "stops converging" and "competitive" the readings are ours."""

_NOT_MEASURED = Judgement("not measured", "")


def protocol(curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves that decide: of the train split of the full data.

    On the base MLP they have `UPDATES` updates; longer ones are cut.
    """
    found = [
        curve
        for curve in curves
        if simple_paper.is_of_paper(curve)
        and curve.splits == simple_paper.SPLIT
        and not curve.notice
    ]
    return [
        simple_paper.cut(curve, UPDATES) if curve.optimizee == BASE else curve
        for curve in found
        if curve.optimizee != BASE or curve.steps >= UPDATES
    ]


def _runs(
    optimizer: str, optimizee: str, curves: Sequence[Curve]
) -> list[Curve]:
    return [
        c
        for c in curves
        if (c.optimizer, c.optimizee) == (optimizer, optimizee)
    ]


def at(curve: Curve, update: int) -> Curve:
    """Return what a curve is at an update: one loss, the mean before it.

    Of `TAIL` losses, at `TRAINED` and before of `EARLY`. Its optimizer is
    called "<name> at <update>".

    Args:
        curve: of at least so many updates.
        update: int, at least `EARLY`.
    """
    window = EARLY if update <= TRAINED else TAIL
    losses = curve.losses[update - window : update]
    mean = float(np.mean(losses, dtype=np.float64))
    return dataclasses.replace(
        curve,
        losses=np.array([mean]),
        optimizer=f"{curve.optimizer} at {update:,}",
    )


def _decide_change(check: Change, curves: Sequence[Curve]) -> Judgement:
    runs = [
        c
        for c in _runs(check.optimizer, check.optimizee, curves)
        if c.steps >= check.end
    ]
    before = [at(curve, check.start) for curve in runs]
    after = [at(curve, check.end) for curve in runs]
    found = judge(after, before)
    if check.falls:
        return found
    # Level is not falling, nor is divergence; but where some runs are lost and
    # the others do not rise, they say little.
    lost = sum(curve.diverged for curve in after)
    level = "holds" if lost in (0, len(after)) else "open"
    verdict = {"holds": "fails", "fails": "holds", "open": level}
    return found._replace(verdict=verdict.get(found.verdict, found.verdict))


def _decide_keeps_up(check: KeepsUp, curves: Sequence[Curve]) -> Judgement:
    own = _runs(check.a, check.optimizee, curves)
    found = [
        judge(own, _runs(rival, check.optimizee, curves))
        for rival in check.rivals
    ]
    words = "; ".join(
        f"minus `{rival}` {judgement.numbers}"
        for rival, judgement in zip(check.rivals, found, strict=True)
        if judgement.numbers
    )
    verdicts = [judgement.verdict for judgement in found]
    if "open" in verdicts and any(curve.diverged for curve in own):
        # Undecided because runs were lost is not keeping up.
        verdicts = ["lost" if v == "open" else v for v in verdicts]
    if "holds" in verdicts or "open" in verdicts:
        return Judgement("holds", words)
    if "not measured" in verdicts:
        return Judgement("not measured", words)
    return Judgement("open" if "lost" in verdicts else "fails", words)


def decide_check(check: Check, curves: Sequence[Curve]) -> Judgement:
    """Decide one check.

    Args:
        check: of a statement.
        curves: of anything; those of `protocol` count.

    Returns:
        "holds", "fails" or "open", with the numbers that decide it, or "not
        measured". A `Change` that does not fall fails where the whole
        interval of the ln change is below 0, is open where runs diverged and
        the others decide nothing or fall, and else holds. `KeepsUp` holds
        where `a` is not decided to be above one of the rivals, and fails
        where it is above all; where runs of `a` diverged and nothing else is
        decided it is open.
    """
    counted = protocol(curves)
    if isinstance(check, Change):
        return _decide_change(check, counted)
    if isinstance(check, KeepsUp):
        return _decide_keeps_up(check, counted)
    return judge(
        _runs(check.a, check.optimizee, counted),
        _runs(check.b, check.optimizee, counted),
    )


def check_words(check: Check) -> str:
    """Word what a check compares."""
    if isinstance(check, Change):
        return f"`{check.optimizer}`, {check.start:,} to {check.end:,}"
    if isinstance(check, KeepsUp):
        return f"`{check.a}`"
    return f"`{check.a}` minus `{check.b}`"


def decide(statement: Statement, curves: Sequence[Curve]) -> Judgement:
    """Decide a statement by its checks.

    Returns:
        "fails" if one fails, else "not measured" if one is not, else "open"
        if one is, else "holds"; with what decides every measured one.
    """
    found = [decide_check(check, curves) for check in statement.checks]
    verdicts = [judgement.verdict for judgement in found]
    order = ("fails", "not measured", "open", "holds")
    verdict = next(word for word in order if word in verdicts)
    numbers = [
        f"{check_words(check)}: {judgement.numbers}"
        for check, judgement in zip(statement.checks, found, strict=True)
        if judgement.numbers
    ]
    return Judgement(verdict, "; ".join(numbers))


def statement_table(
    curves: Sequence[Curve], figure: str | None = None
) -> Table:
    """Return every statement with its verdict and what decides it.

    Args:
        curves: of anything.
        figure: the name of a figure, for its statements alone.
    """
    numbers = {figure.name: figure.number for figure in simple_paper.FIGURES}
    rows: list[tuple[Cell, ...]] = [
        (
            numbers[statement.figure],
            statement.words,
            *decide(statement, curves),
        )
        for statement in STATEMENTS
        if figure in (None, statement.figure)
    ]
    columns = ("figure", "the paper says", "here", "ln differences")
    return Table("What the paper says, and what is here", columns, rows)


def verdicts(curves: Sequence[Curve]) -> list[Judgement]:
    """Decide all statements, in their order."""
    return [decide(statement, curves) for statement in STATEMENTS]


def _mark_cell(runs: Sequence[Curve], mark: int) -> str:
    """Return ln of the mean loss at an update, and how many have none."""
    losses = [float(at(curve, mark).losses[0]) for curve in runs]
    finite = [loss for loss in losses if np.isfinite(loss)]
    lost = len(losses) - len(finite)
    words = [shown(float(ln(float(np.mean(finite)))))] if finite else []
    words += [f"{lost} of {len(losses)} diverged"] if lost else []
    return ", ".join(words)


def mark_table(curves: Sequence[Curve]) -> Table:
    """Return ln of the mean loss on the base MLP at `MARKS`, by optimizer."""
    rows: list[tuple[Cell, ...]] = []
    counted = protocol(curves)
    for optimizer, word in simple_paper.OPTIMIZERS.items():
        runs = _runs(optimizer, BASE, counted)
        if runs:
            cells = (_mark_cell(runs, mark) for mark in MARKS)
            rows.append((f"{word} (`{optimizer}`)", len(runs), *cells))
    columns = ("optimizer", "seeds", *(f"at {mark:,}" for mark in MARKS))
    return Table("ln loss on the base MLP, by updates", columns, rows)
