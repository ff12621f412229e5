"""Clusters inside of a test: a coordinator and peers without processes."""

from __future__ import annotations

import threading

import tensorflow as tf

from l2o_tf.runtime.cluster import Coordinated, Peers

NOBODY = "127.0.0.1:1"


class Value:
    """What `schedule` returns: a result that may be held back."""

    def __init__(self, result, losses):
        self._result, self._losses = result, losses
        self.free = threading.Event()

    def fetch(self):
        self.free.wait()
        if self._losses:
            self._losses -= 1
            raise tf.errors.UnavailableError(None, None, "Socket closed")
        if isinstance(self._result, Exception):
            raise self._result
        return tf.nest.map_structure(lambda t: t.numpy(), self._result)


class LocalCoordinator:
    """Runs what is scheduled at once; a test says when the result is there.

    Args:
        hold: told the number of a call, says whether its result is to be held
            back, until `release`.
        fail: likewise, whether it is an error.
        lose: likewise, how often its copy fails, as when a worker dies.
    """

    def __init__(
        self,
        hold=lambda call: False,
        fail=lambda call: False,
        lose=lambda call: 0,
    ):
        self.hold, self.fail, self.lose = hold, fail, lose
        self.held, self.calls, self.captured = [], 0, []
        self.broken = None  # an error that the next call is told of

    def create_per_worker_dataset(self, dataset_fn):
        return dataset_fn()

    def schedule(self, fn, args):
        call, self.calls = self.calls, self.calls + 1
        if self.broken:
            raise self.broken
        traced = fn.get_concrete_function(*args)
        self.captured += traced.captured_inputs
        result = ValueError("no") if self.fail(call) else fn(*args)
        value = Value(result, self.lose(call))
        if self.hold(call):
            self.held.append(value)
        else:
            value.free.set()
        return value

    def release(self):
        for value in self.held:
            value.free.set()
        self.held = []


def coordinated(workers=2, **coordinator):
    """Return workers that nobody can reach, run by this process."""
    addresses = workers * (NOBODY,)
    return Coordinated(LocalCoordinator(**coordinator), addresses)


class LocalPeers(Peers):
    """One of several threads that exchange bytes.

    Args:
        index: int.
        table: list with a place for each of them.
        barrier: a `threading.Barrier` for as many.
    """

    def __init__(self, index, table, barrier):
        self.index, self.count = index, len(table)
        self._table, self._barrier = table, barrier
        self.exchanges = 0

    def exchange(self, mine):
        self.exchanges += 1
        self._table[self.index] = mine
        self._barrier.wait(20.0)
        found = list(self._table)
        self._barrier.wait(20.0)
        return found


def together(count, function):
    """Run `function(peers)` in as many threads; return what each returned.

    An exception comes back in the place of a result.
    """
    table, barrier = [b""] * count, threading.Barrier(count)
    results = [None] * count

    def run(index):
        try:
            results[index] = function(LocalPeers(index, table, barrier))
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    return results
