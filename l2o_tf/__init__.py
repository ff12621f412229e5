"""Learned optimizers in TensorFlow 2 and Keras 3: train, evaluate, use them.

Importing the package itself is cheap: it looks whether its engine is there,
and imports neither TensorFlow nor Keras. What one works with is imported from
its folder, as `from l2o_tf.learned.dm import DMLSTM`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import sys

from l2o_tf.version import __version__ as __version__


def _keras_backend() -> str:
    """Return the backend that Keras has loaded, or is about to load.

    The order is Keras' own: what runs already, `KERAS_BACKEND`, the file
    `keras.json` of its folder, TensorFlow.
    """
    keras = sys.modules.get("keras")
    if keras is not None:
        return keras.config.backend()
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras"))
    try:
        settings = json.loads((folder.expanduser() / "keras.json").read_text())
    except (OSError, ValueError):  # Keras takes its defaults then.
        return "tensorflow"
    return settings.get("backend", "tensorflow")


def _check_engine() -> None:
    """Refuse to start without TensorFlow under Keras.

    Raises:
        ImportError: if TensorFlow is not installed, or Keras is set to
            another backend.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "l2o_tf needs TensorFlow, which comes with one of its extras: "
            "`pip install 'l2o_tf[cpu]'` or `pip install 'l2o_tf[gpu]'`. "
            "Received: no module named 'tensorflow'."
        )
    backend = _keras_backend()
    if backend != "tensorflow":
        raise ImportError(
            "l2o_tf runs on Keras' TensorFlow backend only. Received: "
            f"backend={backend!r}. Set KERAS_BACKEND=tensorflow before "
            "Keras is imported."
        )


_check_engine()

# TensorFlow tells which processor and libraries it found, several lines each
# time it starts. Warnings and errors stay; a setting of the user's, too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
