r"""Put trained optimizers into the package, with their model cards.

    python tools/model_cards.py runs/rnnprop runs/rnnprop_cl_il ... \
        --results=runs/cards --baselines=runs/eval_paper \
        --machine="2 CPU cores, beside other work"

takes all finished training runs, measures what is not in --results yet (10,000
updates on three multilayer perceptrons, seeds 0, 1, 2, with Adam at its default
learning rate beside them; some minutes per optimizer), and writes for each
l2o_tf/interop/trained/<name>.npz, .json and .md, and the folder's README.md. To
add an optimizer, give the same command with one run more. --baselines is a
folder of `evaluate --gin_file=gin/eval_paper.gin`, for tuned Adam and the
released weights. No number is typed by hand. The package is to be installed,
or PYTHONPATH=. to be set.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import pathlib
import sys
from collections.abc import Sequence

from model_card_text import (
    ADAM,
    OPTIMIZEES,
    OWN,
    RELEASED,
    SEEDS,
    STEPS,
    Evaluation,
    card_text,
    folder_text,
)
from training_runs import TrainingRun, named, read_run

from l2o_tf.evaluation.comparison import Comparison
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.curves import Curve, curve_file, load_curve
from l2o_tf.evaluation.results import Results
from l2o_tf.evaluation.sweep import Sweep
from l2o_tf.evaluation.sweep_run import run_sweep
from l2o_tf.interop.model_cards import FOLDER, ModelCard
from l2o_tf.optimizers.adam import Adam
from l2o_tf.reporting.tables import SPLIT
from l2o_tf.runtime.atomic import make_folder, write_bytes, write_text
from l2o_tf.runtime.progress import ProgressBar

_ADAM = "adam_0.001"
FULL_MNIST = "the full MNIST, train split (55,000 images)"
LICENCE = "Apache-2.0"


def comparison_of(runs: Sequence[TrainingRun]) -> Comparison:
    """Return what is measured: the runs, and Adam beside them."""
    contenders = [Fixed(run.path.resolve().name, run.cell) for run in runs]
    return Comparison(
        [*contenders, Fixed(_ADAM, Adam(0.001))],
        OPTIMIZEES,
        SEEDS,
        STEPS,
        SPLIT,
    )


def measure(runs: Sequence[TrainingRun], folder: pathlib.Path) -> None:
    """Record the curves that are not in a folder of results yet."""
    sweep, results = Sweep([comparison_of(runs)]), Results(folder)
    total = sum(wanted.steps for wanted in sweep.plan(results).remaining)
    with ProgressBar(
        total or None, description=folder.name, unit="update", even=False
    ) as bar:
        run_sweep(sweep, results, bar)


def curves_of(folder: pathlib.Path, name: str) -> Evaluation:
    """Read the curves of an optimizer, by optimizee; none where it has none.

    Raises:
        ValueError: if only some of the seeds are there, or the steps or the
            data are others.
    """
    found: dict[str, list[Curve]] = {}
    for optimizee in OPTIMIZEES:
        paths = [
            folder / curve_file(name, optimizee, SPLIT, seed) for seed in SEEDS
        ]
        if not any(path.is_file() for path in paths):
            continue
        curves = [load_curve(path) for path in paths if path.is_file()]
        wrong = [c for c in curves if c.steps != STEPS or c.notice is not None]
        if len(curves) != len(SEEDS) or wrong:
            raise ValueError(
                f"A card needs {STEPS:,} updates with the seeds {SEEDS} on the "
                f"full data. Received: {len(curves)} curves of {name} on "
                f"{optimizee} in {str(folder)!r}, {len(wrong)} of another kind."
            )
        found[optimizee] = curves
    return found


def ends(evaluation: Evaluation) -> dict[str, tuple[float, ...]]:
    """Return ln of the end of each run, NaN for one that diverged."""
    return {
        optimizee: tuple(
            math.nan if curve.diverged else math.log(curve.tail_mean())
            for curve in curves
        )
        for optimizee, curves in evaluation.items()
    }


def card_of(
    name: str,
    run: TrainingRun,
    own: Evaluation,
    adam: Evaluation,
    machine: str,
) -> ModelCard:
    """Return the card of a run under its name in the package."""
    chosen = run.validation
    return ModelCard(
        name=name,
        cell=type(run.cell).__name__,
        configuration=f"gin/{run.config}.gin",
        seed=run.facts["seed"],
        episodes=run.episodes,
        meta_updates=run.meta_updates,
        ended=run.ended,
        chosen_episode=chosen["episode"],
        chosen_meta_updates=run.chosen_meta_updates,
        chosen_stage=chosen["stage"],
        chosen_horizon=chosen["horizon"],
        chosen_cost=chosen["cost"],
        data=run.facts["notice"] or FULL_MNIST,
        seconds=run.seconds,
        machine=machine,
        version=run.facts["version"],
        licence=LICENCE,
        sha256=hashlib.sha256(run.weights.read_bytes()).hexdigest(),
        ends=ends(own),
        ends_of_adam=ends(adam),
    )


def write_cards(
    runs: dict[str, TrainingRun],
    results: pathlib.Path,
    baselines: pathlib.Path,
    machine: str,
    output: pathlib.Path,
) -> list[ModelCard]:
    """Write the weights and the cards of named runs; return the cards.

    Raises:
        ValueError: if a curve is missing, or the folder has an optimizer that
            is none of the runs.
    """
    old = {path.stem for path in output.glob("*.npz")} - runs.keys()
    if old:
        raise ValueError(
            "The folder has optimizers that are none of the runs. Received: "
            f"output={str(output)!r} with {', '.join(sorted(old))}. Give their "
            "runs too, or remove them."
        )
    adam = curves_of(results, _ADAM)
    own = {
        n: curves_of(results, r.path.resolve().name) for n, r in runs.items()
    }
    missing = [n for n, of in {**own, _ADAM: adam}.items() if not of]
    if missing:
        raise ValueError(
            "There is no result of some optimizers. Received: "
            f"results={str(results)!r} without {', '.join(missing)}."
        )
    cards = {
        n: card_of(n, run, own[n], adam, machine) for n, run in runs.items()
    }
    make_folder(output)
    for name, run in runs.items():
        siblings = [n for n, r in runs.items() if r.config == run.config]
        text = card_text(
            cards[name],
            run,
            [cards[n] for n in siblings],
            {
                OWN: own[name],
                **{f"`{n}`": own[n] for n in siblings if n != name},
                ADAM: adam,
                "Adam, tuned": curves_of(baselines, "adam"),
                RELEASED: curves_of(baselines, run.config),
            },
        )
        record = json.dumps(dataclasses.asdict(cards[name]), indent=2)
        write_bytes(output / f"{name}.npz", run.weights.read_bytes())
        write_text(output / f"{name}.json", record + "\n")
        write_text(output / f"{name}.md", text)
    ordered = [cards[name] for name in sorted(cards)]
    write_text(output / "README.md", folder_text(ordered))
    return ordered


def main(arguments: Sequence[str]) -> int:
    """Measure what is missing and write the cards; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=pathlib.Path)
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--baselines", type=pathlib.Path, required=True)
    parser.add_argument("--machine", required=True)
    parser.add_argument("--output", type=pathlib.Path, default=FOLDER)
    options = parser.parse_args(arguments)
    try:
        runs = [read_run(path) for path in options.runs]
        names = named(runs)
        measure(runs, options.results)
        cards = write_cards(
            names,
            options.results,
            options.baselines,
            options.machine,
            options.output,
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for card in cards:
        print(f"{card.weights.name}: {names[card.name].path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
