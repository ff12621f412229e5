r"""Evaluate optimizers: loss curves over many updates and several seeds.

For example:

  python -m l2o_tf.evaluate --gin_file=gin/eval_paper.gin
      runs a sweep, optimizers x optimizees x seeds with grid-tuned baselines,
      in runs/eval_paper. The same command again goes on where it stopped, and
      given twice at once the two share the work.

  python -m l2o_tf.evaluate --run_dir=runs/dm_cl
      runs the best weights of a training run for 10,000 updates on MLP-orig,
      test split, ten seeds: the paper's protocol.

  python -m l2o_tf.evaluate --weights=weights.npz --seeds=0,1,2 \
      --optimizee=mlp_orig,mlp_relu,mlp_deeper --output_dir=curves
      runs a weights file on three problems; a name of the package's own
      optimizers, as rnnprop_cl_il, an .npz file, or one that the
      authors released: a pickle, as dm_cl/cw.l2l-0, which is only read, never
      executed, or L2O-Scale's TensorFlow checkpoint, as hess_cl_mt/model.ckpt-0
      or its directory.

  python -m l2o_tf.evaluate --optimizer=adam --learning_rate=0.003 \
      --output_dir=runs/dm_cl/curves
      runs a hand-designed optimizer with the same starts and minibatches.

  python -m l2o_tf.evaluate --gin_file=gin/eval_paper.gin --wall_clock
      measures what a step of each optimizer takes, alone, into wall_clock.csv
      of the same folder: the axis of plot --against=seconds.

  python -m l2o_tf.evaluate --gin_file=gin/study_toy.gin
      computes a study, the loss as a function of an optimizer's weights, in
      runs/study_toy/studies.

  python -m l2o_tf.plot runs/dm_cl/curves
      draws what was recorded.

Every curve is one .npz in the output directory; index.csv there has a row per
curve. A loss is measured after each update on a fresh minibatch of the split,
which is also the one that the problem is optimised on, unless a configuration
names another (`Comparison.measured`).
"""

from __future__ import annotations

import hashlib
import pathlib
import shlex
import signal
import sys
from collections.abc import Sequence

import gin
from absl import app, flags

from l2o_tf import config
from l2o_tf.cli import (
    data_dir_flag,
    deterministic_flag,
    gin_flags,
    run_command,
)
from l2o_tf.datasets.base import SPLITS
from l2o_tf.evaluation.comparison import Comparison
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.results import Results
from l2o_tf.evaluation.sweep import Sweep
from l2o_tf.evaluation.sweep_run import run_sweep, time_sweep
from l2o_tf.optimizees.collection import OPTIMIZEES
from l2o_tf.optimizer_choice import NAMES as OPTIMIZER_FLAGS
from l2o_tf.optimizer_choice import chosen_optimizer, optimizer_flags
from l2o_tf.runtime.atomic import make_folder, write_text
from l2o_tf.runtime.devices import prepare_gpus
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.progress import ProgressBar
from l2o_tf.studies.base import Study
from l2o_tf.studies.store import StudyFolder, check_names

FLAGS = flags.FLAGS
_PROTOCOL = (
    "learning_rate",
    "name",
    "optimizee",
    "steps",
    "seeds",
    "split",
    "jit_compile",
)


def define_flags() -> None:
    """Define the command's flags."""
    gin_flags()
    optimizer_flags("evaluated")
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
        "output_dir",
        None,
        "Where the results go, or are. Defaults to runs/<the gin file's name>, "
        "to <run_dir>/curves, else to ./curves.",
    )
    flags.DEFINE_bool(
        "jit_compile",
        None,
        "XLA; --nojit_compile for the graph runtime. Defaults to XLA, except "
        "for convolutions on a CPU.",
    )
    flags.DEFINE_bool(
        "overwrite", False, "Replace results of another configuration."
    )
    flags.DEFINE_bool(
        "wall_clock",
        False,
        "Measure what a step of each optimizer takes, in place of computing "
        "curves; a tuned one only if it has been chosen.",
    )
    flags.DEFINE_bool("quiet", False, "Log lines instead of a progress bar.")
    deterministic_flag()
    data_dir_flag()


@gin.configurable(module="l2o_tf")
def evaluate(
    sweep: Sweep | None = None, studies: Sequence[Study] = ()
) -> Sweep | tuple[Study, ...]:
    """Return what the configuration describes: gin's root.

    Args:
        sweep: a `Sweep`, or None.
        studies: `Study`s, names different; if there is no sweep.

    Raises:
        ValueError: if there is neither, or both.
    """
    if (sweep is None) == (not studies):
        raise ValueError(
            "A configuration must bind evaluate.sweep or evaluate.studies, "
            f"one of the two. Received: sweep={sweep!r}, studies={studies!r}."
        )
    if sweep is not None:
        return sweep
    check_names(studies)
    return tuple(studies)


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


def _sweep_of_flags() -> Sweep:
    """Return the sweep of one optimizer that the flags describe."""
    chosen = chosen_optimizer(others=("gin_file",))
    return Sweep(
        [
            Comparison(
                [Fixed(FLAGS.name or chosen.name, chosen.cell)],
                FLAGS.optimizee,
                _seeds(),
                FLAGS.steps,
                FLAGS.split,
                FLAGS.jit_compile,
            )
        ]
    )


def _root_of_gin() -> Sweep | tuple[Study, ...]:
    """Return the sweep or the studies of the configuration.

    Raises:
        ValueError: if flags say what the configuration says.
    """
    both = [key for key in (*OPTIMIZER_FLAGS, *_PROTOCOL) if FLAGS[key].present]
    if both:
        raise ValueError(
            "A configuration names its optimizers, problems and seeds itself. "
            f"Received: --gin_file with --{', --'.join(both)}. Use --gin_param."
        )
    config.load(FLAGS.gin_file, FLAGS.gin_param)
    root = config.build(evaluate)
    config.check_all_used()
    return root


def _output_dir() -> pathlib.Path:
    if FLAGS.output_dir:
        return pathlib.Path(FLAGS.output_dir)
    if FLAGS.gin_file:
        return pathlib.Path("runs") / config.name_of(FLAGS.gin_file)
    return pathlib.Path(FLAGS.run_dir or ".") / "curves"


def _keep_config(folder: pathlib.Path) -> None:
    """Store the configuration beside the results, under a name of its own."""
    text = gin.operative_config_str()
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]
    name = f"{config.name_of(FLAGS.gin_file)}-{digest}.gin"
    write_text(make_folder(folder / "configs") / name, text)


def _compute(sweep: Sweep, results: Results) -> int:
    """Compute what is missing; return the exit code."""
    remaining = sum(w.steps for w in sweep.plan(results).remaining)
    if FLAGS.gin_file:
        _keep_config(results.path)
    with (
        GracefulStop() as stop,
        ProgressBar(
            remaining or None,
            quiet=FLAGS.quiet,
            description=results.path.name,
            unit="update",
            even=False,
        ) as bar,
    ):
        done = run_sweep(sweep, results, bar, lambda: stop.requested)
    count = len(results.index())
    for notice in sweep.notices:
        print(notice)
    if not done:
        return _stopped(stop.signal_name, "curves")
    print(
        f"{count} curves in {results.path}, listed in index.csv. To draw "
        f"them:\n  python -m l2o_tf.plot {results.path}"
    )
    return 0


def _compute_studies(studies: Sequence[Study], folder: pathlib.Path) -> int:
    """Compute the studies that are missing; return the exit code."""
    store = StudyFolder(folder, FLAGS.overwrite)
    missing = [study for study in studies if not store.has(study)]
    _keep_config(folder)
    with (
        GracefulStop() as stop,
        ProgressBar(
            sum(study.units for study in missing) or None,
            quiet=FLAGS.quiet,
            description=folder.name,
            unit="call",
            even=False,
        ) as bar,
    ):

        def progress() -> bool:
            bar.update(1)
            return not stop.requested

        left = []
        for study in missing:
            if stop.requested or not store.compute(study, progress):
                left.append(study.name)
    for notice in dict.fromkeys(s.notice for s in studies if s.notice):
        print(notice)
    if left and stop.requested:
        return _stopped(stop.signal_name, "studies")
    if left:
        print(f"Not finished here: {', '.join(left)}.")
        return 0
    count = "1 study" if len(studies) == 1 else f"{len(studies)} studies"
    print(
        f"{count} in {store.path}. To draw them:\n"
        f"  python -m l2o_tf.plot {folder}"
    )
    return 0


def _stopped(signal_name: str, what: str) -> int:
    """Say how to go on after a signal; return the exit code."""
    command = ["python", "-m", "l2o_tf.evaluate", *sys.argv[1:]]
    print(
        f"Stopped by {signal_name}; finished {what} are kept. To go "
        f"on:\n  {shlex.join(command)}"
    )
    return 128 + int(signal.Signals[signal_name])


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    prepare_gpus(FLAGS.deterministic)
    if FLAGS.gin_param and not FLAGS.gin_file:
        raise ValueError(
            "Bindings change a configuration, and there is none. "
            f"Received: gin_param={FLAGS.gin_param}. Add --gin_file."
        )
    root = _root_of_gin() if FLAGS.gin_file else _sweep_of_flags()
    if not isinstance(root, Sweep):
        if FLAGS.wall_clock:
            raise ValueError(
                "Steps are timed of the optimizers of a sweep. Received: "
                "--wall_clock with a configuration of studies."
            )
        return _compute_studies(root, _output_dir())
    sweep = root
    results = Results(_output_dir(), FLAGS.overwrite)
    if FLAGS.wall_clock:
        print(time_sweep(sweep, results))
        return 0
    return _compute(sweep, results)


if __name__ == "__main__":
    define_flags()
    run_command(main)
