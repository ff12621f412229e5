"""What the commands share: the data flag, and errors without a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from absl import app, flags, logging


def data_dir_flag() -> None:
    """Define --data_dir, which sets TFDS_DATA_DIR."""
    flags.DEFINE_string(
        "data_dir",
        None,
        "Where tensorflow-datasets lie or are put. Defaults to the environment "
        "variable TFDS_DATA_DIR, then to ~/tensorflow_datasets.",
    )


def fail_in_words(main: Callable[[list[str]], int], argv: list[str]) -> int:
    """Run a command; turn an error made for the user into a message.

    Returns:
        The command's exit code, or 1 after an error.
    """
    if "data_dir" in flags.FLAGS and flags.FLAGS.data_dir:
        os.environ["TFDS_DATA_DIR"] = flags.FLAGS.data_dir
    # tensorflow-datasets tells every file it opens.
    logging.set_verbosity(logging.WARNING)
    try:
        return main(argv)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def run_command(main: Callable[[list[str]], int]) -> None:
    """Parse the flags, run the command, and exit with its code."""
    app.run(lambda argv: sys.exit(fail_in_words(main, argv)))
