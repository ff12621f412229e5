"""Learned optimizers in TensorFlow 2 and Keras 3: train, evaluate, use them.

Three names are enough to use what is trained already:

    l2o_tf.pretrained()          the trained optimizers in the package
    l2o_tf.load(name_or_path)    one of them, or one of your own, as a cell
    l2o_tf.keras_optimizer(...)  one as a Keras optimizer, to compile with

Importing the package itself is cheap: it looks whether its engine is there,
and imports neither TensorFlow nor Keras; the three names are found when they
are first asked for. Everything else is imported from its folder, as `from
l2o_tf.learned.dm import DMLSTM`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import pkgutil
import sys
from typing import Any

from l2o_tf.version import __version__ as __version__

# Where the names lie. Strings, not imports: the package itself needs none of
# them, and what needs it imports it first.
_LAZY = {
    "keras_optimizer": "l2o_tf.interop.keras_optimizer",
    "load": "l2o_tf.interop.pretrained",
    "pretrained": "l2o_tf.interop.model_cards",
}

__all__ = ["__version__", "keras_optimizer", "load", "pretrained"]


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


def __getattr__(name: str) -> Any:
    """Find a public name when it is first asked for (PEP 562).

    Raises:
        AttributeError: if the package has no such name.
    """
    if name not in _LAZY:
        raise AttributeError(
            f"l2o_tf has no such name. Received: {name!r}. It has "
            f"{', '.join(_LAZY)}; everything else is imported from its "
            "module, as `from l2o_tf.learned.dm import DMLSTM`."
        )
    return pkgutil.resolve_name(f"{_LAZY[name]}:{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


_check_engine()

# TensorFlow tells which processor and libraries it found, several lines each
# time it starts. Warnings and errors stay; a setting of the user's, too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
