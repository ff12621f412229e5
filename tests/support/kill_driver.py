"""Run small trainings, let them be killed or stopped at a moment, resume.

    python kill_driver.py '{"<run_dir>": ["metric after 7 SIGKILL", ...], ...}'

TensorFlow is imported once; every attempt is a forked process. An attempt ends
by its moment's signal, which it sends to itself around the n-th call of a
function, or which the parent sends after a delay ("delay 0.3 SIGKILL", counted
from the first episode). When the moments of a run directory are through, one
more attempt runs to the end. What a run trains is said by the beginning of its
directory's name, see TRAINERS. Prints, as JSON, how every attempt ended.
"""

import functools
import json
import os
import pathlib
import signal
import sys
import time

sys.path[:0] = [
    str(pathlib.Path(__file__).parents[2]),
    str(pathlib.Path(__file__).parents[1]),
]

from support.training import (  # noqa: E402
    ensemble_trainer,
    imitating_trainer,
    probed_trainer,
    released_trainer,
    small_trainer,
    windowed_trainer,
)

from l2o_tf.meta_training import run as run_module  # noqa: E402
from l2o_tf.meta_training.state import Phase  # noqa: E402
from l2o_tf.meta_training.trainer import Trainer  # noqa: E402
from l2o_tf.runtime.checkpoints import Checkpoints  # noqa: E402
from l2o_tf.runtime.interrupts import GracefulStop  # noqa: E402
from l2o_tf.runtime.metrics import MetricsWriter  # noqa: E402
from l2o_tf.runtime.run_dir import RunDirectory  # noqa: E402

STOPPED = 3  # exit code of an attempt that saved and stopped
POINTS = {
    "checkpoint": (Checkpoints, "save"),
    "metric": (MetricsWriter, "write"),
    "weights": (run_module, "save_weights"),
    "rename": (os, "replace"),
    "unlink": (pathlib.Path, "unlink"),
    "validation_run": (Trainer, "validation_run"),
    "judge": (Trainer, "judge"),
    "episode": (Trainer, "train_one"),
}


TRAINERS = {
    "imitating": imitating_trainer,
    "ensemble": ensemble_trainer,
    "released": released_trainer,
    "windowed": windowed_trainer,
    "probed": probed_trainer,
}
# Histograms every so many episodes, of some.
HISTOGRAM_PERIODS = {"probed": 3}


def arm(point, side, count, number):
    """Send this process a signal around the count-th call of a function."""
    owner, name = POINTS[point]
    function, calls = getattr(owner, name), []

    def strike(when):
        if when == side and len(calls) == count:
            os.kill(os.getpid(), number)

    @functools.wraps(function)
    def armed(*args, **kwargs):
        calls.append(None)
        strike("before")
        result = function(*args, **kwargs)
        strike("after")
        return result

    setattr(owner, name, armed)


def train(path, begun):
    """Carry the run on; return the exit code."""
    kind, _, _ = pathlib.Path(path).name.partition("_")
    trainer = TRAINERS.get(kind, small_trainer)()
    with RunDirectory(path, "a = 1\n") as directory, GracefulStop() as stop:
        run = run_module.Run(
            trainer,
            directory,
            {"config": "test"},
            2,
            quiet=True,
            histogram_period=HISTOGRAM_PERIODS.get(kind, 0),
        )
        with run:
            begun()
            state = run.finish(stop)
    return 0 if state.phase is Phase.DONE else STOPPED


def attempt(path, moment):
    """Fork, run until the moment; return the exit code, -signal if killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            point, *words = moment.split() if moment else ["none"]
            if point in POINTS:
                side, count, name = words
                arm(point, side, int(count), signal.Signals[name])
            code = train(path, lambda: os.write(write, b"x"))
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(write)
    begun = os.read(read, 1)
    os.close(read)
    if begun and moment and moment.startswith("delay"):
        _, delay, name = moment.split()
        time.sleep(float(delay))
        os.kill(child, signal.Signals[name])
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    plan = json.loads(sys.argv[1])
    ends = {
        path: [attempt(path, moment) for moment in [*moments, None]]
        for path, moments in plan.items()
    }
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
