"""TF_CONFIG: what is read, and what is refused in words."""

import json
import socket
import threading
import time

import pytest

from l2o_tf.runtime.tf_config import (
    ClusterError,
    cluster_of_environment,
    free_port,
    is_reachable,
    read_cluster,
    wait_for,
)

JOBS = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}


def text(cluster=None, **task):
    task = {"type": "worker", "index": 0, **task}
    return json.dumps({"cluster": cluster or JOBS, "task": task})


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_nothing_is_no_cluster(value):
    assert read_cluster(value) is None


def test_a_worker_of_a_learner_serves_it():
    cluster = read_cluster(text(index=1))
    assert cluster.address == "c:3"
    assert cluster.others == ("a:1", "b:2")
    assert cluster.has_learner
    assert cluster.serves
    assert not read_cluster(text(type="chief")).serves


def test_without_a_chief_all_workers_are_equal():
    cluster = read_cluster(text({"worker": ["b:2", "[::1]:3"]}, index=1))
    assert cluster.jobs == {"worker": ("b:2", "[::1]:3")}
    assert not cluster.has_learner
    assert not cluster.serves


def test_a_job_without_addresses_is_no_job():
    cluster = read_cluster(text({"worker": ["b:2"], "chief": [], "ps": []}))
    assert cluster.jobs == {"worker": ("b:2",)}


def test_the_environment_is_read(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text(type="chief"))
    assert cluster_of_environment().job == "chief"
    monkeypatch.delenv("TF_CONFIG")
    assert cluster_of_environment() is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", r"must be JSON \(.*Received: TF_CONFIG='{'"),
        ("[]", r"an object with the entry \"cluster\".*CONFIG='\[\]'"),
        ('{"task": {}}', "the entry .cluster.. Received: TF_CONFIG='{.task"),
        ('{"cluster": ["a:1"]}', "the entry .cluster.. Received: TF_CONFIG="),
        (text({**JOBS, "evaluator": ["d:4"]}), "unknown kind .* 'evaluator'"),
        (text({"worker": "b:2"}), "must list the addresses of 'worker'"),
        (text({"worker": ["b"]}), "addresses host:port, not 'b'"),
        (text({"worker": [":2"]}), "addresses host:port, not ':2'"),
        (text({"worker": ["b:x"]}), "addresses host:port, not 'b:x'"),
        (text({"worker": ["b:65536"]}), "addresses host:port, not 'b:65536'"),
        (text({"worker": [2]}), "addresses host:port, not 2"),
        (text({"chief": ["a:1"]}, type="chief"), "at least one worker"),
        (text({**JOBS, "chief": ["a:1", "d:4"]}), "one chief, not .*'d:4'"),
        (text({"worker": ["b:2"], "ps": ["d:4"]}), "needs a chief"),
        (text({**JOBS, "ps": ["b:2"]}), "gives b:2 to two tasks"),
        (json.dumps({"cluster": JOBS}), 'must have a "task" with'),
        (json.dumps({"cluster": JOBS, "task": {"type": "worker"}}), '"index'),
        (text(type="ps"), "kind 'ps', of which the cluster has none; it has "),
        (text(type=["worker"]), "task of the kind .'worker'."),
        (text(index=2), "the index 2; 'worker' has 0 to 1. Received: TF_CO"),
        (text(index=-1), "the index -1; 'worker' has 0 to 1"),
        (text(index="0"), "the index '0'; 'worker' has 0 to 1"),
        (text(index=True), "the index True; 'worker' has 0 to 1"),
    ],
)
def test_what_is_malformed_is_refused(value, message):
    with pytest.raises(ClusterError, match=message) as caught:
        read_cluster(value)
    assert "An example: {" in str(caught.value)


def test_an_address_nobody_listens_at_is_named_after_a_while():
    address = f"127.0.0.1:{free_port()}"
    assert not is_reachable(address)
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = f"127.0.0.1:{server.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(
            ClusterError,
            match=f"within 0.3 s from: {address}. .*Received: patience=0.3",
        ):
            wait_for([found, address], 0.3)
    assert 0.3 < time.monotonic() - begun < 5.0


def test_one_who_comes_late_is_waited_for():
    port, servers = free_port(), []

    def come():
        servers.append(socket.create_server(("127.0.0.1", port)))

    timer = threading.Timer(0.2, come)
    timer.start()
    wait_for([f"127.0.0.1:{port}"], 30.0)
    timer.join()
    servers[0].close()
