"""The recorded instances of L2O-Scale's problem ensemble (TF 1.14)."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Instance(NamedTuple):
    """One problem at one point.

    Attributes:
        index: int, the place in its set. Some places are not recorded.
        spec: str, class and arguments as the original writes them; a wrapper's
            does not name what it wraps.
        loss: float32.
        params: list of float32 arrays, the tensors in order.
        gradients: list of float32 arrays, without noise.
        starts: list of float32 arrays, a start drawn by the original.
        ws: list of float32 arrays, the W of each member that has one.
        ys: list of float32 arrays, the y of each member that has one.
        data: array, a minibatch, or None.
        labels: array, or None.
    """

    index: int
    spec: str
    loss: np.ndarray
    params: list[np.ndarray]
    gradients: list[np.ndarray]
    starts: list[np.ndarray]
    ws: list[np.ndarray]
    ys: list[np.ndarray]
    data: np.ndarray | None
    labels: np.ndarray | None

    @property
    def x(self):
        """All tensors end to end, float32 `[N]`."""
        return flat(self.params)

    @property
    def gradient(self):
        """All gradients end to end, float32 `[N]`."""
        return flat(self.gradients)

    @property
    def shapes(self):
        """The shapes of the tensors."""
        return tuple(p.shape for p in self.params)


def flat(arrays):
    """Lay arrays end to end."""
    return np.concatenate([a.ravel() for a in arrays])


def path_of(shared_dir):
    """Return the path of the recorded file."""
    return shared_dir / "golden" / "problem_zoo.npz"


@functools.cache
def _load(path):
    with np.load(path) as stored:
        return dict(stored)


def set_names(path):
    """Return the names of the recorded sets."""
    return sorted({key.split("/")[0] for key in _load(path)})


def instances(path, set_name):
    """Return the recorded `Instance`s of a set, by rising index.

    Args:
        path: of `problem_zoo.npz`.
        set_name: str, as "quadratic_problems".
    """
    stored = _load(path)
    indices = {
        int(key.split("/")[1])
        for key in stored
        if key.startswith(f"{set_name}/")
    }
    found = [_instance(stored, set_name, i) for i in sorted(indices)]
    assert found, f"{set_name} is not recorded in {path}"
    return found


def _instance(stored, set_name, index):
    prefix = f"{set_name}/{index}/"
    entry = {
        key.removeprefix(prefix): value
        for key, value in stored.items()
        if key.startswith(prefix)
    }

    def listed(name):
        count = sum(key.startswith(f"{name}/") for key in entry)
        return [entry[f"{name}/{j}"] for j in range(count)]

    return Instance(
        index=index,
        spec=str(entry["spec"]),
        loss=entry["loss"],
        params=listed("param"),
        gradients=listed("grad"),
        starts=listed("init_seed4"),
        ws=listed("w"),
        ys=listed("y"),
        data=entry.get("data"),
        labels=entry.get("labels"),
    )


def recorded_loss_and_gradient(problem, instance, constants=(), batch=()):
    """Check the tensors' shapes; return loss and exact gradient there."""
    assert problem.layout.shapes == instance.shapes
    return problem.value_and_gradient(
        tf.constant(instance.x),
        tf.nest.map_structure(tf.constant, constants),
        tf.nest.map_structure(tf.constant, batch),
    )


def assert_is_recorded(
    problem, instance, constants=(), batch=(), tolerance=1e-5
):
    """Compare loss and gradient with the recorded ones.

    Args:
        problem: the optimizee.
        instance: an `Instance`.
        constants: nest of arrays, the problem's.
        batch: nest of arrays, the problem's.
        tolerance: float, of the loss, and of the gradient's largest entry.
    """
    loss, gradient = recorded_loss_and_gradient(
        problem, instance, constants, batch
    )
    where = f"{instance.index}: {instance.spec}"
    np.testing.assert_allclose(
        loss, instance.loss, rtol=tolerance, err_msg=where
    )
    scale = np.abs(instance.gradient).max()
    error = np.abs(gradient - instance.gradient).max()
    assert error <= tolerance * scale, (where, error / scale)
