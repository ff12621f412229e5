"""Meta-train a learned optimizer.

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
import shlex
import signal
import sys

import gin
from absl import app, flags

from l2o_tf import config
from l2o_tf.cli import data_dir_flag, run_command
from l2o_tf.meta_training.run import Run
from l2o_tf.meta_training.state import Phase, TrainingState
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.run_dir import RunDirectory, default_run_dir
from l2o_tf.version import __version__

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Define the command's flags."""
    flags.DEFINE_multi_string(
        "gin_file", [], "A gin file; repeatable, later ones win."
    )
    flags.DEFINE_multi_string(
        "gin_param",
        [],
        "A binding over the files, as 'Trainer.num_episodes = 10'; repeatable.",
    )
    flags.DEFINE_string(
        "run_dir",
        None,
        "Where the run lives: a new directory, or that of the same run to be "
        "continued. Defaults to runs/<config>-<time>.",
    )
    flags.DEFINE_bool(
        "quiet", False, "Log lines instead of a progress bar."
    )
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
        "notice": trainer.optimizee.notice,
    }


def _story(state: TrainingState) -> str:
    return (
        f"{state.episode} episodes, {state.meta.step.numpy()} meta-updates "
        f"({state.skipped} skipped as not finite), "
        f"{state.validations} validations"
    )


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    text = config.load(FLAGS.gin_file, FLAGS.gin_param)
    name = config.name_of(FLAGS.gin_file)
    trainer = train()
    config.check_all_used()
    path = FLAGS.run_dir or default_run_dir(name, datetime.datetime.now())
    notice = trainer.optimizee.notice
    with (
        RunDirectory(path, text, "meta-training") as directory,
        GracefulStop() as stop,
    ):
        directory.write_config(gin.operative_config_str())
        run = Run(trainer, directory, _facts(name, trainer), quiet=FLAGS.quiet)
        run.metrics.text("config", "```\n" + text + "\n```")
        if notice:
            run.metrics.text("notice", notice)
            print(notice, file=sys.stderr)
        state = run.finish(stop)
        run.metrics.close()
    print(f"{path}: {_story(state)}.")
    if notice:
        print(notice, file=sys.stderr)
    if state.phase is not Phase.DONE:
        command = [*FLAGS.gin_file]
        words = ["python", "-m", "l2o_tf.train"]
        words += [f"--gin_file={file}" for file in command]
        words += [f"--gin_param={p}" for p in FLAGS.gin_param]
        words += [f"--run_dir={path}"]
        print(f"Saved after {stop.signal_name}. To continue:\n  {shlex.join(words)}")
        return 128 + int(signal.Signals[stop.signal_name])
    print(
        f"Done. The best weights: {path}/best/weights.npz\nTo judge them:\n"
        f"  python -m l2o_tf.evaluate --run_dir={path}"
    )
    return 0


if __name__ == "__main__":
    define_flags()
    run_command(main)
