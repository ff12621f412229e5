"""What the commands share: the data flag, and errors without a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from absl import app, flags, logging

# What is defined here belongs to the command that asks for it, so that the
# command's --help shows it.
flags.disclaim_key_flags()


def data_dir_flag() -> None:
    """Define --data_dir, which sets TFDS_DATA_DIR."""
    flags.DEFINE_string(
        "data_dir",
        None,
        "Where tensorflow-datasets lie or are put. Defaults to the environment "
        "variable TFDS_DATA_DIR, then to ~/tensorflow_datasets.",
    )


def gin_flags() -> None:
    """Define --gin_file and --gin_param."""
    flags.DEFINE_multi_string(
        "gin_file", [], "A gin file; repeatable, later ones win."
    )
    flags.DEFINE_multi_string(
        "gin_param",
        [],
        "A binding over the files, as 'Trainer.num_episodes = 10'; repeatable.",
    )


def deterministic_flag() -> None:
    """Define --deterministic."""
    flags.DEFINE_bool(
        "deterministic",
        True,
        "On a GPU: the same bits each time, from kernels that may be slower. A "
        "CPU gives the same bits anyway.",
    )


def fail_in_words(main: Callable[[list[str]], int], argv: list[str]) -> int:
    """Run a command; turn an error made for the user into a message.

    Returns:
        The command's exit code, 1 after an error, 130 after a Ctrl-C.
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
    except KeyboardInterrupt:
        print("Interrupted at once; nothing more was saved.", file=sys.stderr)
        return 128 + signal.SIGINT


def run_command(main: Callable[[list[str]], int]) -> None:
    """Parse the flags, run the command, and exit with its code."""
    app.run(lambda argv: sys.exit(fail_in_words(main, argv)))
