"""Waiting for workers: who is waited for, and for how long it is said."""

import contextlib
import socket
import types

import pytest
from absl import logging

from l2o_tf.meta_training.in_flight import InFlight, Ticket
from l2o_tf.runtime.tf_config import ClusterError

TICKET = Ticket(0, 0, 0, 0)
PATIENCE = 0.05  # seconds


@contextlib.contextmanager
def listening():
    """Open a port that accepts and never answers, as a worker that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def closed():
    """Return the address of a port at which nobody listens."""
    with listening() as address:
        return address


@pytest.fixture
def said(monkeypatch):
    """Record the warnings, and let a sample come after the second."""
    lines = []

    def warning(text, *args):
        lines.append(text % args)
        if len(lines) == 2:
            said.flying._answers.put((TICKET, "a sample and its pair"))

    monkeypatch.setattr(logging, "warning", warning)
    said = types.SimpleNamespace(lines=lines, flying=None)
    return said


def waiting(*addresses):
    return InFlight(None, types.SimpleNamespace(addresses=addresses), PATIENCE)


def test_one_that_hangs_is_told_as_long_as_nothing_comes(said):
    with listening() as one, listening() as two:
        said.flying = waiting(one, two)
        said.flying.count = 1
        assert said.flying.take() == (TICKET, "a sample and its pair")
    assert said.flying.count == 0
    first, second = said.lines
    assert first.startswith("No sample for 0 s, though all workers can be")
    assert second.endswith("end the one that hangs; others get its pairs.")


def test_those_that_cannot_be_reached_are_named(said):
    gone = closed()
    with listening() as here:
        said.flying = waiting(here, gone)
        said.flying.take()
    assert said.lines == 2 * [f"No answer from: {gone}."]


def test_nobody_is_not_waited_for():
    one, two = closed(), closed()
    with pytest.raises(ClusterError, match=f"0.05 s: {one}, {two}"):
        waiting(one, two).take()
