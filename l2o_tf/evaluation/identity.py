"""Of what a curve is the curve: all that its losses depend on, as one hash."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from typing import Any

import tensorflow as tf

from l2o_tf.evaluation.curves import FORMAT
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.version import __version__

_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy")
_DIGITS = 16


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def config_hash(
    config: dict[str, Any],
    optimizee_name: str,
    optimizee: Optimizee,
    measured: Optimizee | None = None,
) -> str:
    """Hash what a curve's losses depend on, but its seed and its length.

    The optimizer (`optimizers.description`), the optimizee's name, size and
    split, and the notice of its data, which says when they are not the full
    set; split and notice of `measured` too, where losses are those of another
    split. Not the
    runtime, the machine and the versions, which change the last digits only and
    stand in each file by themselves.
    """
    record = {
        "version": FORMAT.version,
        "optimizer": config,
        "optimizee": optimizee_name,
        "coordinates": optimizee.layout.size,
        "split": optimizee.split,
        "notice": optimizee.notice,
    }
    if measured is not None:
        record["measured"] = [measured.split, measured.notice]
    return _digest(json.dumps(record, sort_keys=True).encode("utf-8"))


def packages() -> dict[str, str]:
    """Return name to version of what makes the numbers."""
    found = {"l2o_tf": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def device_name() -> str:
    """Return the first GPU's name, or "CPU"."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", "GPU"))
