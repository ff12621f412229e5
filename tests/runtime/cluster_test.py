"""Clusters that do not come about say why, soon."""

import socket
import types

import pytest
import tensorflow as tf

from l2o_tf.runtime.cluster import Peers, connect, meet, serve
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.tf_config import Cluster, ClusterError, free_port


@pytest.fixture
def taken():
    """Return the address of somebody else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_learner_does_not_wait_for_ever_for_its_workers(taken):
    missing = f"127.0.0.1:{free_port()}"
    jobs = {"chief": ("127.0.0.1:1",), "worker": (taken, missing)}
    with pytest.raises(ClusterError, match=f"0.2 s from: {missing}. Start"):
        connect(Cluster(jobs, "chief", 0), 0.2)


def test_a_peer_does_not_wait_for_ever_for_the_others():
    mine, missing = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with pytest.raises(ClusterError, match=f"0.2 s from: {missing}. Start"):
        connect(Cluster({"worker": (mine, missing)}, "worker", 0), 0.2)


def test_a_peer_whose_port_is_taken_says_so(taken):
    with pytest.raises(
        ClusterError, match=f"in use.*Received: worker 0 at '{taken}'"
    ):
        meet(Cluster({"worker": (taken,)}, "worker", 0), 1.0)


def test_a_server_whose_port_is_taken_says_so(taken):
    jobs = {"chief": ("127.0.0.1:1",), "worker": (taken,)}
    with (
        GracefulStop() as stop,
        pytest.raises(ClusterError, match=f"Received: worker 0 at '{taken}'"),
    ):
        serve(Cluster(jobs, "worker", 0), stop)


def alone(run):
    """Return the only peer of a strategy that runs functions so."""
    return Peers(types.SimpleNamespace(run=run), 0, 1)


@pytest.mark.parametrize("mine", [b"", b"abcde", bytes(range(256))])
def test_what_is_exchanged_comes_back_byte_for_byte(mine):
    context = types.SimpleNamespace(all_gather=lambda x, axis: x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.distribute, "get_replica_context", lambda: context)
        assert alone(lambda function: function()).exchange(mine) == [mine]


def test_a_peer_that_is_gone_is_told_of():
    def run(function):
        del function
        return tf.debugging.assert_equal(0, 1)

    with pytest.raises(ClusterError, match="has ended.*Received: InvalidArg"):
        alone(run).exchange(b"mine")
