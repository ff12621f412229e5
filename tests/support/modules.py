"""Every module of the package."""

from __future__ import annotations

import importlib
import pkgutil

import l2o_tf


def package_modules():
    """Import and yield all modules of the package, the commands included."""
    for info in pkgutil.walk_packages(l2o_tf.__path__, "l2o_tf."):
        yield importlib.import_module(info.name)
