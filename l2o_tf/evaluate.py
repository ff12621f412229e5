r"""Evaluate an optimizer: loss curves over many updates and several seeds.

For example:

  python -m l2o_tf.evaluate --run_dir=runs/dm_cl
      runs the best weights of a training run for 10,000 updates on MLP-orig,
      test split, ten seeds: the paper's protocol.

  python -m l2o_tf.evaluate --weights=weights.npz --seeds=0,1,2 \
      --optimizee=mlp_orig,mlp_relu,mlp_deeper --output_dir=curves
      runs a weights file on three problems; an .npz file or one that the
      authors released: a pickle, as dm_cl/cw.l2l-0, which is only read, never
      executed, or L2O-Scale's TensorFlow checkpoint, as hess_cl_mt/model.ckpt-0
      or its directory.

  python -m l2o_tf.evaluate --optimizer=adam --learning_rate=0.003 \
      --output_dir=runs/dm_cl/curves
      runs a hand-designed optimizer with the same starts and minibatches.

  python -m l2o_tf.plot runs/dm_cl/curves
      draws what was recorded.

Every curve is one .npz in the output directory; summary.csv there has a row
per curve. A loss is measured after each update on a fresh minibatch of the
split, which is also the one that the problem is optimised on.
"""

from __future__ import annotations

import pathlib
import time

import numpy as np
from absl import app, flags

from l2o_tf.cli import data_dir_flag, run_command
from l2o_tf.core import checks
from l2o_tf.datasets.base import SPLITS
from l2o_tf.evaluation.curves import (
    TAIL,
    Curve,
    load_curves,
    save_curve,
    write_summary,
)
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.interop.released_weights import load_released, model_name
from l2o_tf.learned.collection import ANALYTICAL_CELLS
from l2o_tf.optimizees.collection import OPTIMIZEES, named_optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.atomic import make_folder
from l2o_tf.runtime.progress import ProgressBar
from l2o_tf.runtime.run_dir import find_run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Define the command's flags."""
    flags.DEFINE_string(
        "run_dir", None, "A training run, whose best weights are evaluated."
    )
    flags.DEFINE_string(
        "weights",
        None,
        "A weights file: .npz, or a released one (.l2l-0, model.ckpt-0).",
    )
    flags.DEFINE_enum(
        "optimizer",
        None,
        sorted(ANALYTICAL_CELLS),
        "A hand-designed optimizer, in place of --run_dir or --weights.",
    )
    flags.DEFINE_float("learning_rate", None, "Of the hand-designed optimizer.")
    flags.DEFINE_string(
        "name", None, "The optimizer's name in files, tables and legends."
    )
    flags.DEFINE_list(
        "optimizee",
        ["mlp_orig"],
        f"Problems, with commas: {', '.join(OPTIMIZEES)}.",
    )
    flags.DEFINE_integer("steps", 10_000, "Updates of each run.")
    flags.DEFINE_list(
        "seeds", [str(i) for i in range(10)], "Seeds, with commas."
    )
    flags.DEFINE_enum(
        "split",
        "test",
        list(SPLITS),
        "The data split that is optimised on and measured.",
    )
    flags.DEFINE_string(
        "output_dir", None, "Defaults to <run_dir>/curves, else to ./curves."
    )
    flags.DEFINE_bool(
        "jit_compile", True, "XLA; --nojit_compile for the graph runtime."
    )
    flags.DEFINE_bool("quiet", False, "Log lines instead of a progress bar.")
    data_dir_flag()


def chosen_cell() -> tuple[str, OptimizerCell]:
    """Return the name and the cell that the flags ask for.

    Raises:
        ValueError: unless they ask for exactly one.
    """
    asked = {
        key: FLAGS[key].value
        for key in ("run_dir", "weights", "optimizer")
        if FLAGS[key].value is not None
    }
    if len(asked) != 1:
        raise ValueError(
            "Give one of --run_dir, --weights and --optimizer. "
            f"Received: {asked or 'none of them'}."
        )
    if (FLAGS.optimizer is None) != (FLAGS.learning_rate is None):
        raise ValueError(
            "--optimizer and --learning_rate belong together. Received: "
            f"optimizer={FLAGS.optimizer!r}, "
            f"learning_rate={FLAGS.learning_rate!r}."
        )
    if FLAGS.optimizer:
        cell = ANALYTICAL_CELLS[FLAGS.optimizer](
            learning_rate=FLAGS.learning_rate
        )
        name = f"{FLAGS.optimizer}_{FLAGS.learning_rate:g}"
        return FLAGS.name or name, cell
    if FLAGS.weights:
        name = FLAGS.name or model_name(FLAGS.weights)
        return name, load_released(FLAGS.weights)
    run = find_run(FLAGS.run_dir)
    if not run.weights.exists():
        raise ValueError(
            "The run has no weights yet: they come with its first validation "
            "whose cost is a number (metrics/validation.csv has the costs). "
            f"Received: run_dir={FLAGS.run_dir!r}. Continue its training."
        )
    return FLAGS.name or run.path.resolve().name, load_released(run.weights)


def _seeds() -> list[int]:
    try:
        values = [int(seed) for seed in FLAGS.seeds]
    except ValueError as error:
        raise ValueError(
            f"--seeds must be ints with commas. Received: {FLAGS.seeds}."
        ) from error
    if not values or len(set(values)) != len(values):
        raise ValueError(
            f"--seeds must be at least one, each once. Received: {values}."
        )
    return values


def _output_dir() -> pathlib.Path:
    if FLAGS.output_dir:
        return pathlib.Path(FLAGS.output_dir)
    return pathlib.Path(FLAGS.run_dir or ".") / "curves"


def record(
    recorder: CurveRecorder,
    name: str,
    optimizee: str,
    seed: int,
    steps: int,
    bar: ProgressBar,
) -> Curve:
    """Record one curve, showing its progress."""
    start, pieces = time.perf_counter(), []
    for piece in recorder.record(seed, steps):
        pieces.append(piece)
        bar.update(
            len(piece), optimizee=optimizee, seed=seed, loss=float(piece[-1])
        )
    return Curve(
        losses=np.concatenate(pieces),
        optimizer=name,
        optimizee=optimizee,
        split=recorder.optimizee.split,
        seed=seed,
        seconds=time.perf_counter() - start,
        notice=recorder.optimizee.notice,
    )


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    name, cell = chosen_cell()
    values = _seeds()
    steps = checks.positive_int("steps", FLAGS.steps)
    problems = {o: named_optimizee(o, FLAGS.split) for o in FLAGS.optimizee}
    recorders = {
        o: CurveRecorder(cell, problem, jit_compile=FLAGS.jit_compile)
        for o, problem in problems.items()
    }
    folder = make_folder(_output_dir())
    total = len(problems) * len(values) * steps
    with ProgressBar(
        total, quiet=FLAGS.quiet, description=name, unit="update"
    ) as bar:
        for optimizee, recorder in recorders.items():
            for seed in values:
                curve = record(recorder, name, optimizee, seed, steps, bar)
                save_curve(folder, curve)
                bar.write(
                    f"{name} on {optimizee}, seed {seed}: mean loss of the "
                    f"last {TAIL} updates {curve.tail_mean():.4g}"
                )
    summary = write_summary(folder, load_curves([folder]))
    for notice in dict.fromkeys(p.notice for p in problems.values()):
        if notice:
            bar.write(notice)
    print(
        f"Curves and {summary}. To draw them:\n  python -m l2o_tf.plot {folder}"
    )
    return 0


if __name__ == "__main__":
    define_flags()
    run_command(main)
