"""The words of a model card, around numbers that were measured."""

from __future__ import annotations

import datetime
import math
import textwrap
from collections.abc import Mapping, Sequence

from training_runs import TrainingRun

from l2o_tf.evaluation.curves import LONG_TAIL, TAIL, Curve
from l2o_tf.interop.model_cards import ModelCard
from l2o_tf.reporting import paper
from l2o_tf.reporting.statistics import endings

OPTIMIZEES = ("mlp_orig", "mlp_relu", "mlp_deeper")
SEEDS = (0, 1, 2)
STEPS = paper.STEPS

Evaluation = Mapping[str, Sequence[Curve]]
"""The curves of one optimizer by optimizee, a curve per seed."""

OWN = "this optimizer"
ADAM = "Adam at its default, 0.001"
RELEASED = "the paper's released weights, run here"
# In the paper's panels of the perceptrons, see REPRODUCTION.md.
_EXCHANGED = ("dm_cl_il", "rnnprop")

_CHOICE = textwrap.fill(
    "Of the finished runs of a configuration, the one whose best weights are "
    "of the latest stage of the curriculum has the configuration's name, among "
    "equals the one with the lower validation cost; the others are called "
    "`<configuration>_seed<seed>`. No result on the test split has a part in "
    "it. Costs of different stages are not comparable.",
    80,
)

_NOTE = (
    textwrap.fill(
        "The labels of RNNprop and L2O-DM-CL-IL seem to be exchanged in the "
        "paper's panels of these perceptrons (REPRODUCTION.md in the "
        "repository), so the released weights say more here than what is "
        "read off its figures.",
        80,
    )
    + "\n\n"
)

_USE = """\
{purpose}

    cell = l2o_tf.load("{name}")
    model.compile(optimizer=l2o_tf.keras_optimizer("{name}"), loss=...)
"""
_USEFUL = """\
To train small classifiers by minibatches without choosing a learning rate; as
the start of further meta-training; as a baseline beside other learned
optimizers. On {where} it ends lower than Adam at its default."""
_BASELINE = """\
As a baseline beside other learned optimizers, as the start of further
meta-training, and to see what the configuration gives. To train something with
it is no use: Adam at its default ends lower on all three perceptrons."""

_LIMITS = """\
* Until these weights were chosen it was trained on MLP-orig alone, with
  minibatches of 128 and never more than {horizon:,} updates in a row; it was
  evaluated on the three perceptrons above for {steps:,}. What it does on other
  networks, other batch sizes and longer runs was not measured here.
* Evaluation optimises on the split on which it measures, as the paper does:
  the numbers say how well it minimises, not how well the result generalises.
* Its step sizes come from its weights; `learning_rate` of the Keras optimizer
  multiplies them, 1 being what it was trained with.
"""
_BEHIND = 0.3  # in ln loss, more than the seeds of one optimizer differ
_AT_START = math.log(10) - 0.1  # a loss: of ten classes, all equally likely


def _cell(curves: Sequence[Curve]) -> str:
    """Show where an optimizer ends on one optimizee."""
    e = endings(curves)
    runs = ", ".join(
        "diverged" if c.diverged else f"{math.log(c.tail_mean()):.2f}"
        for c in curves
    )
    rates = {c.config.get("learning_rate") for c in curves if c.tuning}
    tuned = "".join(f"; learning rate {rate:g}" for rate in rates)
    return f"{e.ln_of_mean:.2f} ({runs}) [{e.typical:.2f}{tuned}]"


def _table(config: str, contenders: Mapping[str, Evaluation]) -> str:
    head = ["optimizer", *(paper.OPTIMIZEES[o] for o in OPTIMIZEES)]
    rows = [
        [name, *(_cell(of[o]) if o in of else "" for o in OPTIMIZEES)]
        for name, of in contenders.items()
        if of
    ]
    published = [paper.PUBLISHED.get((config, o)) for o in OPTIMIZEES]
    if any(value is not None for value in published):
        word = paper.OPTIMIZERS[config]
        rows.append(
            [
                f"the paper's {word}, ten runs, read off its figures",
                *("" if v is None else f"{v:g}" for v in published),
            ]
        )
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _verdicts(contenders: Mapping[str, Evaluation]) -> str:
    """Say for each other optimizer where this one ends lower."""
    lines = []
    for name, of in contenders.items():
        if name == OWN or not of:
            continue
        parts = []
        for o in OPTIMIZEES:
            if o not in of:
                continue
            own, other = endings(contenders[OWN][o]), endings(of[o])
            d = own.ln_of_mean - other.ln_of_mean
            t = own.typical - other.typical
            parts.append(f"{paper.OPTIMIZEES[o]} {d:+.2f} [{t:+.2f}]")
        lines.append(f"* against {name}: {', '.join(parts)}\n")
    return "".join(lines)


def _use(card: ModelCard, own: Evaluation, adam: Evaluation) -> str:
    """Say what the optimizer is good for, by its ends and Adam's."""
    lower = [
        paper.OPTIMIZEES[o]
        for o in OPTIMIZEES
        if endings(own[o]).ln_of_mean < endings(adam[o]).ln_of_mean
    ]
    purpose = _USEFUL.format(where=", ".join(lower)) if lower else _BASELINE
    return _USE.format(purpose=purpose, name=card.name)


def _limits(horizon: int, own: Evaluation, released: Evaluation) -> str:
    """Say what was not measured, and where the optimizer falls short."""
    behind, points = [], []
    for o in OPTIMIZEES:
        word, end = paper.OPTIMIZEES[o], endings(own[o]).ln_of_mean
        theirs = endings(released[o]).ln_of_mean if o in released else math.inf
        if not end < theirs + _BEHIND:
            behind.append(f"{end:.2f} on {word} (they: {theirs:.2f})")
        stuck = [c for c in own[o] if not c.tail_mean() < _AT_START]
        if stuck:
            points.append(
                f"On {word} {len(stuck)} of {len(own[o])} runs end where they "
                "began: the loss stays at ln 10, or is not a number."
            )
    if behind:
        points.append(
            "It falls short of the weights released with the paper: it ends "
            f"at {', '.join(behind)}."
        )
    lines = [
        textwrap.fill(f"* {p}", 80, subsequent_indent="  ") for p in points
    ]
    return "".join(f"{line}\n" for line in lines) + _LIMITS.format(
        horizon=horizon, steps=STEPS
    )


def _siblings(card: ModelCard, cards: Sequence[ModelCard]) -> str:
    rows = "".join(
        f"| {'this one' if c.name == card.name else f'`{c.name}`'} | {c.seed} "
        f"| {c.episodes} | {c.chosen_stage} | {c.chosen_episode} "
        f"| {c.chosen_cost:.3f} at horizon {c.chosen_horizon} | {c.ended} |\n"
        for c in cards
    )
    return (
        "| name | seed | episodes | stage of its best weights | episode "
        "| validation cost | ended |\n|---|---|---|---|---|---|---|\n" + rows
    )


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def card_text(
    card: ModelCard,
    run: TrainingRun,
    siblings: Sequence[ModelCard],
    contenders: Mapping[str, Evaluation],
) -> str:
    """Return a model card in Markdown.

    Args:
        card: its facts.
        run: the run that it is of.
        siblings: the cards of all finished runs of its configuration.
        contenders: curves by the words for the optimizer, `OWN` first; with
            `ADAM` and `RELEASED`, the latter perhaps without any.
    """
    note = _NOTE if run.config in _EXCHANGED else ""
    facts = {
        "cell": f"`{card.cell}`, {run.cell.meta_params().shape[0]:,} weights",
        "configuration": f"`{card.configuration}`, `seed = {card.seed}`",
        "trained": f"{card.episodes} episodes, {card.meta_updates:,} "
        f"meta-updates; ended {card.ended}",
        "weights of": f"episode {card.chosen_episode}, "
        f"{card.chosen_meta_updates:,} meta-updates, stage "
        f"{card.chosen_stage}: the lowest validation cost of that stage, "
        f"{card.chosen_cost:.3f} at horizon {card.chosen_horizon}",
        "data": card.data,
        "machine": card.machine,
        "compute time": f"{_duration(card.seconds)} for the episodes, without "
        "the validations",
        "version": f"l2o_tf {card.version}",
        "licence": f"{card.licence}, as the package",
        "SHA-256": f"`{card.sha256}`",
    }
    rows = "".join(f"| {key} | {value} |\n" for key, value in facts.items())
    own = contenders[OWN]
    use = _use(card, own, contenders[ADAM])
    limits = _limits(run.longest_horizon, own, contenders[RELEASED])
    return (
        f"# {card.name}\n\n{_WRITTEN}\n\n| | |\n|---|---|\n{rows}\n"
        f"## Where it ends\n\n{_PROTOCOL}\n\n{_table(run.config, contenders)}\n"
        f"{note}The difference to the others, in the same units (negative: "
        f"this optimizer ends\nlower):\n\n{_verdicts(contenders)}\n"
        f"## How it was chosen\n\n{_CHOICE}\n\n{_siblings(card, siblings)}\n"
        f"## Use\n\n{use}\n## Limits\n\n{limits}\n"
        "## Configuration, as the run used it\n\n```\n"
        f"{run.operative_config.strip()}\n```\n"
    )


_WRITTEN = "Written by tools/model_cards.py from the files of the run."
_PROTOCOL = textwrap.fill(
    f"Loss after {STEPS:,} updates on the test split of the full MNIST, which "
    "is also what is optimised on, as in the paper; natural logarithms. Of "
    f"the mean of the last {TAIL} losses: averaged over the seeds "
    f"{', '.join(map(str, SEEDS))} (each seed), and in square brackets of "
    f"the median of the last {LONG_TAIL:,}, which spikes do not move, the "
    "median of the seeds.",
    80,
)


def folder_text(cards: Sequence[ModelCard]) -> str:
    """Return the README of the folder."""
    rows = "".join(
        f"| [`{c.name}`]({c.name}.md) | `{c.configuration}`, seed {c.seed} "
        f"| {c.episodes} episodes, {c.meta_updates:,} meta-updates "
        f"| episode {c.chosen_episode}, stage {c.chosen_stage} | {c.ended} "
        f"| {', '.join(f'{end:.2f}' for end in c.ends[OPTIMIZEES[0]])} |\n"
        for c in cards
    )
    adam = ", ".join(f"{e:.2f}" for e in cards[0].ends_of_adam[OPTIMIZEES[0]])
    return f"""# Trained optimizers

{_WRITTEN}

Weights that this package trained, each with its model card. `l2o_tf.load(name)`
loads one, `l2o_tf.pretrained()` lists them. All finished runs of these
configurations are here.

{_CHOICE}

| name | configuration | trained | weights of | ended | MLP-orig |
|---|---|---|---|---|---|
{rows}
The last column is the natural logarithm of the mean of the last {TAIL} of
{STEPS:,} losses on MLP-orig, test split, seeds {", ".join(map(str, SEEDS))}; \
Adam at its default learning
rate, 0.001, ends at {adam}. Licence: Apache-2.0, as the package.
"""
