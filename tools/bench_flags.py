"""The command line that the benchmarks share."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from l2o_tf.core import checks
from l2o_tf.runtime import atomic


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


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with --skip_memory and --json; --help shows the text."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--skip_memory", action="store_true", help="start no other processes"
    )
    parser.add_argument(
        "--json",
        type=new_file,
        metavar="PATH",
        help="also write everything, each sample too, to this file",
    )
    return parser


def run_benchmark(
    measure: Callable[[], Mapping[str, Any] | None],
    show: Callable[[Mapping[str, Any]], str],
    json: pathlib.Path | None,
) -> int:
    """Measure, write and show; return the exit code.

    Args:
        measure: returns the report; None if there is nothing to show, as in a
            child that has printed what its parent asked for.
        show: words a report for the terminal.
        json: where to write it, too.
    """
    try:
        report = measure()
        if report is not None and json is not None:
            atomic.write_json(json, report)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if report is not None:
        print(show(report))
    return 0
