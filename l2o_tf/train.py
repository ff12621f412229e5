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

  python -m l2o_tf.train --gin_file=gin/dm_cl.gin --run_dir=runs/mine \
      --histogram_period=50 --profile_episode=20
      the same run, seen more closely in TensorBoard: the updates and the gates
      of the learned optimizer every 50 episodes, and a profile of episode 20.
      Watch it with: tensorboard --logdir=runs

With TF_CONFIG set, the process is one of a cluster: the learner, a worker that
does what the learner sends (until it is told to stop), or one of equal workers,
see l2o_tf/runtime/tf_config.py. The configuration says Trainer.workers.
tools/local_cluster.py starts a cluster on this machine. A worker keeps nothing:
it may be killed and started again; the learner continues with the same command.

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
import tensorflow as tf
from absl import app, flags

from l2o_tf import config
from l2o_tf.cli import (
    data_dir_flag,
    deterministic_flag,
    gin_flags,
    run_command,
)
from l2o_tf.meta_training.failures import NonFiniteError, NotHalvedError
from l2o_tf.meta_training.follower import (
    SharedStop,
    check_equal,
    follow,
    newest_state,
)
from l2o_tf.meta_training.root import train
from l2o_tf.meta_training.run import Run, check_looks
from l2o_tf.meta_training.state import Phase
from l2o_tf.meta_training.summary import (
    check_same_data,
    describe,
    write_summary,
)
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.meta_training.workers import join, nothing_to_do
from l2o_tf.runtime.cluster import Coordinated, Peers, connect, serve
from l2o_tf.runtime.devices import prepare_gpus
from l2o_tf.runtime.interrupts import GracefulStop, Stop
from l2o_tf.runtime.run_dir import RunDirectory, RunPaths, default_run_dir
from l2o_tf.runtime.tf_config import Cluster, cluster_of_environment
from l2o_tf.version import __version__

FLAGS = flags.FLAGS
_READY = b"ready"
_PATIENCE = 120.0  # seconds in which all processes of a cluster must have begun


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
    flags.DEFINE_integer(
        "histogram_period",
        0,
        "After every so many episodes, run the learned optimizer for 100 steps "
        "from a fixed start and show in TensorBoard how its updates and the "
        "activations of its gates are distributed. The run itself stays the "
        "same, bit for bit. 0: no histograms.",
    )
    flags.DEFINE_integer(
        "profile_episode",
        None,
        "The number of one episode, counted from 1, to profile. The first of a "
        "process includes the compilation. The profile is put into "
        "<run_dir>/metrics/plugins/profile; to see it: pip install "
        "tensorboard_plugin_profile, then tensorboard --logdir=<run_dir>.",
    )
    deterministic_flag()
    data_dir_flag()


def _facts(name: str, trainer: Trainer) -> dict[str, object]:
    return {
        "config": name,
        "version": __version__,
        "seed": trainer.seed,
        "notice": trainer.notice,
    }


def _code_block(text: str) -> str:
    """Return markdown that shows a text as it is."""
    return f"```\n{text}\n```"


def _command(run_dir: str, episodes: int = 0) -> str:
    """Return what to type to continue the run from the same folder.

    Args:
        run_dir: as the user named it.
        episodes: those done before; what was profiled is not profiled again.
    """
    words = ["python", "-m", "l2o_tf.train"]
    words += [f"--gin_file={file}" for file in FLAGS.gin_file]
    words += [f"--gin_param={binding}" for binding in FLAGS.gin_param]
    words += [f"--run_dir={run_dir}"]
    if FLAGS.data_dir:
        words += [f"--data_dir={FLAGS.data_dir}"]
    if FLAGS.histogram_period:
        words += [f"--histogram_period={FLAGS.histogram_period}"]
    if (FLAGS.profile_episode or 0) > episodes:
        words += [f"--profile_episode={FLAGS.profile_episode}"]
    if not FLAGS.deterministic:
        words += ["--nodeterministic"]
    if FLAGS.quiet:
        words += ["--quiet"]
    return shlex.join(words)


def _train(run: Run, stop: Stop, run_dir: str) -> str:
    """Carry the run on, keep its summary, and return its status."""
    path, facts = run.directory.paths.path, run.facts
    command = _command(run_dir, run.state.episode)
    if run.state.phase is Phase.DONE:
        # A process that was killed at its end may have left "running".
        write_summary(path, "done", run.state, command, facts)
        run.end_session("done")
        return "done before"
    if run.state.episode:
        print(f"Continuing after {describe(run.state)}.", file=sys.stderr)
    write_summary(path, "running", run.state, command, facts)
    try:
        state = run.finish(stop)
    except (NonFiniteError, NotHalvedError):
        write_summary(path, "failed", run.state, command, facts)
        run.end_session("failed")
        raise
    command = _command(run_dir, state.episode)
    status = "done" if state.phase is Phase.DONE else "stopped"
    write_summary(path, status, state, command, facts)
    if status == "done":
        run.end_session(status)
        if (FLAGS.profile_episode or 0) > state.episode:
            print(
                f"There is no profile: training ended after {state.episode} "
                f"episodes, before --profile_episode={FLAGS.profile_episode}.",
                file=sys.stderr,
            )
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


def _exit_code(signal_name: str) -> int:
    """Return the code of a process that was stopped by a signal."""
    return 128 + int(signal.Signals[signal_name])


def _serve(cluster: Cluster) -> int:
    """Serve a learner until a signal comes; return the exit code."""
    with GracefulStop() as stop:
        print(f"Serving at {cluster.address}.", file=sys.stderr, flush=True)
        serve(cluster, stop)
    return _exit_code(stop.signal_name)


def _connect(cluster: Cluster | None) -> Coordinated | Peers | None:
    """Return the connection to the other processes, if there are some."""
    if cluster is None:
        return None
    if not cluster.has_learner and not FLAGS.run_dir:
        raise ValueError(
            "Processes that train together need one name for their run. "
            "Received: run_dir=None. Give all of them the same --run_dir."
        )
    if not _asks_for_workers():  # known before all processes have begun
        raise nothing_to_do()
    return connect(cluster, _PATIENCE)


def _asks_for_workers() -> bool:
    """Return whether the configuration binds the trainer's workers."""
    try:
        return gin.query_parameter("Trainer.workers") is not None
    except ValueError:
        return False


def _follow(trainer: Trainer, peers: Peers, text: str) -> int:
    """Train along with the first process; return the exit code."""
    with GracefulStop() as stop:
        peers.exchange(_READY)
        state = newest_state(trainer, RunPaths(pathlib.Path(FLAGS.run_dir)))
        check_equal(peers, state, _to_be_equal(text))
        shared = SharedStop(stop, peers)
        state = follow(trainer, state, shared)
    print(f"Worker {peers.index}: {describe(state)}.")
    return 0 if state.phase is Phase.DONE else _exit_code(shared.signal_name)


def _together(run: Run, stop: Stop, link: object, text: str) -> Stop:
    """Begin together with the other processes; return what stops all."""
    if not isinstance(link, Peers):
        return stop
    link.exchange(_READY)
    check_equal(link, run.state, _to_be_equal(text))
    return SharedStop(stop, link)


def _to_be_equal(text: str) -> dict[str, object]:
    """Return what all processes of a run must have in common."""
    return {"configuration": text, "version": (__version__, tf.__version__)}


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    prepare_gpus(FLAGS.deterministic)
    cluster = cluster_of_environment()
    text = config.load(FLAGS.gin_file, FLAGS.gin_param)
    if cluster is not None and cluster.serves:
        return _serve(cluster)
    name = config.name_of(FLAGS.gin_file)
    link = _connect(cluster)  # before there is any tensor
    trainer = config.build(train)
    config.check_all_used()
    join(trainer.workers, link)
    if isinstance(link, Peers) and link.index:
        return _follow(trainer, link, text)
    path = FLAGS.run_dir or str(default_run_dir(name, datetime.datetime.now()))
    notice = trainer.notice
    check_looks(
        FLAGS.histogram_period, FLAGS.profile_episode, trainer.num_episodes
    )
    with (
        RunDirectory(path, text, "meta-training") as directory,
        GracefulStop() as own_stop,
    ):
        check_same_data(directory.paths.path, notice)
        directory.write_config(gin.operative_config_str())
        facts = _facts(name, trainer)
        with Run(
            trainer,
            directory,
            facts,
            quiet=FLAGS.quiet,
            histogram_period=FLAGS.histogram_period,
            profile_episode=FLAGS.profile_episode,
        ) as run:
            run.begin_session(gin.operative_config_str())
            run.metrics.text("config", _code_block(text))
            run.metrics.text(
                "operative_config", _code_block(gin.operative_config_str())
            )
            if notice:
                run.metrics.text("notice", notice)
                print(notice, file=sys.stderr)
            stop = _together(run, own_stop, link, text)
            status = _train(run, stop, path)
    print(f"{path}: {describe(run.state)}.")
    if trainer.workers is not None:
        print(f"{trainer.workers.counted.describe()}.")
    if notice:
        print(notice)
    if status == "stopped":
        where = ", in the same cluster" if link is not None else ""
        print(
            f"Saved after {stop.signal_name}. To continue{where}:\n"
            f"  {_command(path, run.state.episode)}"
        )
        return _exit_code(stop.signal_name)
    print(_advice(directory.paths.path, status))
    return 0


if __name__ == "__main__":
    define_flags()
    run_command(main)
