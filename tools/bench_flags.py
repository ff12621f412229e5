"""Flags that the benchmarks share."""

from __future__ import annotations

import argparse
import pathlib

from l2o_tf.core import checks


def positive(text: str) -> int:
    """Read a positive int."""
    try:
        return checks.positive_int("value", int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a positive int. Received: {text!r}"
        ) from None


def new_file(text: str) -> pathlib.Path:
    """Read the path of a file that can be written."""
    path = pathlib.Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be a file in a folder that exists. Received: {text!r}"
        )
    return path
