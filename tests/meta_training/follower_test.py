"""Processes that train along: in step, from one state, and to one end."""

import numpy as np
import pytest
from support.clusters import together
from support.training import same, small_trainer

from l2o_tf.meta_training.follower import (
    SharedStop,
    check_equal,
    follow,
    newest_state,
)
from l2o_tf.meta_training.run import Run
from l2o_tf.meta_training.state import Phase
from l2o_tf.runtime.run_dir import RunDirectory, RunPaths
from l2o_tf.runtime.tf_config import ClusterError


class CountedStop:
    """Requested when it is asked for the n-th time."""

    def __init__(self, last=10**9):
        self.asked, self.last = 0, last

    @property
    def requested(self):
        self.asked += 1
        return self.asked >= self.last

    @property
    def signal_name(self):
        return "SIGTERM" if self.asked >= self.last else ""


@pytest.fixture(scope="module")
def trainer():
    return small_trainer(num_episodes=7, validation_runs=2)


# Of 35 questions; some fall between two validation runs.
@pytest.mark.parametrize("last", [1, 5, 6, 10**9])
def test_a_follower_asks_and_goes_as_the_run_does(trainer, last, tmp_path):
    stops = CountedStop(last), CountedStop(last)
    with (
        RunDirectory(tmp_path / "run", "a = 1\n") as directory,
        Run(trainer, directory, {}, quiet=True) as run,
    ):
        expected = run.finish(stops[0])
        begun = newest_state(trainer, RunPaths(tmp_path / "none"))
        found = follow(trainer, begun, stops[1])
        assert stops[0].asked == stops[1].asked
        assert found.phase is expected.phase
        assert (expected.phase is Phase.DONE) == (last > 100)
        assert same(found._tensors, expected._tensors)
        assert found.to_arrays()[1] == expected.to_arrays()[1]
        # And from the checkpoint with which the run ends.
        stored = newest_state(trainer, directory.paths)
        assert same(stored._tensors, expected._tensors)


def test_one_request_stops_all_for_one_reason():
    def run(peers):
        stop = SharedStop(CountedStop(3 if peers.index == 1 else 10), peers)
        answers = [stop.requested for _ in range(3)]
        return answers, stop.signal_name

    assert together(3, run) == 3 * [([False, False, True], "SIGTERM")]


def test_equal_processes_pass(trainer):
    def run(peers):
        check_equal(peers, trainer.initial_state(), {"configuration": "a = 1"})

    assert together(2, run) == [None, None]


@pytest.mark.parametrize("name", ["configuration", "version", "state"])
def test_another_beginning_is_refused_by_all(trainer, name):
    def run(peers):
        state, facts = (
            trainer.initial_state(),
            {"configuration": "a", "version": 1},
        )
        if peers.index == 2 and name == "state":
            state = state.replace(best=state.best + np.float32(1e-7))
        elif peers.index == 2:
            facts[name] = "other"
        check_equal(peers, state, facts)

    for error in together(3, run):
        assert isinstance(error, ClusterError)
        assert f"Received: another {name} in worker 2 than" in str(error)
