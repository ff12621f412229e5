r"""Meta-train a learned optimizer.

Examples:
  python -m l2o_tf.train --gin_file=gin/dm_cl.gin
      trains L2O-DM with curriculum learning on MNIST, in a new directory
      runs/dm_cl-<time>.

  python -m l2o_tf.train --gin_file=gin/dm_cl.gin --run_dir=runs/mine
      the same in runs/mine; the same command again continues a run that was
      interrupted, bit for bit.

  python -m l2o_tf.train --gin_file=gin/dm.gin \
      --gin_param='Trainer.num_episodes = 10000' --gin_param='seed = 1'
      changes numbers of the configuration.

Ctrl-C or SIGTERM: the run is saved, and the command that continues it shown.
A second Ctrl-C ends it at once; what came after the last checkpoint is then
repeated on resuming.
"""

from __future__ import annotations

import datetime
import pathlib
import shlex
import signal
import sys

import gin
from absl import app, flags

from l2o_tf import config
from l2o_tf.cli import data_dir_flag, gin_flags, run_command
from l2o_tf.meta_training.run import Run
from l2o_tf.meta_training.state import Phase
from l2o_tf.meta_training.summary import (
    check_same_data,
    describe,
    write_summary,
)
from l2o_tf.meta_training.trainer import NonFiniteError, Trainer
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.run_dir import RunDirectory, RunPaths, default_run_dir
from l2o_tf.version import __version__

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Define the command's flags."""
    gin_flags()
    flags.DEFINE_string(
        "run_dir",
        None,
        "Where the run lives: a new directory, or that of the same run to be "
        "continued. Defaults to runs/<config>-<time>.",
    )
    flags.DEFINE_bool("quiet", False, "Log lines instead of a progress bar.")
    data_dir_flag()


@gin.configurable(module="l2o_tf")
def train(trainer: Trainer = gin.REQUIRED) -> Trainer:
    """Return the trainer that the configuration describes: gin's root."""
    return trainer


def _facts(name: str, trainer: Trainer) -> dict[str, object]:
    return {
        "config": name,
        "version": __version__,
        "seed": trainer.seed,
        "notice": trainer.notice,
    }


def _command(run_dir: str) -> str:
    """Return what to type to continue the run from the same folder."""
    words = ["python", "-m", "l2o_tf.train"]
    words += [f"--gin_file={file}" for file in FLAGS.gin_file]
    words += [f"--gin_param={binding}" for binding in FLAGS.gin_param]
    words += [f"--run_dir={run_dir}"]
    if FLAGS.data_dir:
        words += [f"--data_dir={FLAGS.data_dir}"]
    if FLAGS.quiet:
        words += ["--quiet"]
    return shlex.join(words)


def _train(run: Run, stop: GracefulStop, command: str) -> str:
    """Carry the run on, keep its summary, and return its status."""
    path, facts = run.directory.paths.path, run.facts
    if run.state.phase is Phase.DONE:
        # A process that was killed at its end may have left "running".
        write_summary(path, "done", run.state, command, facts)
        return "done before"
    if run.state.episode:
        print(f"Continuing after {describe(run.state)}.", file=sys.stderr)
    write_summary(path, "running", run.state, command, facts)
    try:
        state = run.finish(stop)
    except NonFiniteError:
        write_summary(path, "failed", run.state, command, facts)
        raise
    status = "done" if state.phase is Phase.DONE else "stopped"
    write_summary(path, status, state, command, facts)
    return status


def _advice(path: pathlib.Path, status: str) -> str:
    weights = RunPaths(path).weights
    begun = "Done." if status == "done" else "This run was done before."
    if not weights.is_file():
        return (
            f"{begun} There are no best weights: no validation gave a finite "
            f"cost, see {path}/metrics/validation.csv."
        )
    return (
        f"{begun} The best weights: {weights}\nTo judge them:\n"
        f"  python -m l2o_tf.evaluate --run_dir={path}"
    )


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    text = config.load(FLAGS.gin_file, FLAGS.gin_param)
    name = config.name_of(FLAGS.gin_file)
    trainer = config.build(train)
    config.check_all_used()
    path = FLAGS.run_dir or str(default_run_dir(name, datetime.datetime.now()))
    notice = trainer.notice
    with (
        RunDirectory(path, text, "meta-training") as directory,
        GracefulStop() as stop,
    ):
        check_same_data(directory.paths.path, notice)
        directory.write_config(gin.operative_config_str())
        facts = _facts(name, trainer)
        with Run(trainer, directory, facts, quiet=FLAGS.quiet) as run:
            run.metrics.text("config", "```\n" + text + "\n```")
            if notice:
                run.metrics.text("notice", notice)
                print(notice, file=sys.stderr)
            status = _train(run, stop, _command(path))
    print(f"{path}: {describe(run.state)}.")
    if notice:
        print(notice)
    if status == "stopped":
        print(
            f"Saved after {stop.signal_name}. To continue:\n  {_command(path)}"
        )
        return 128 + int(signal.Signals[stop.signal_name])
    print(_advice(directory.paths.path, status))
    return 0


if __name__ == "__main__":
    define_flags()
    run_command(main)
