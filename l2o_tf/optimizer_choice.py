"""Which optimizer a command is to work on: the flags that say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import flags

from l2o_tf.interop.pretrained import load
from l2o_tf.interop.released_weights import model_name
from l2o_tf.learned.collection import ANALYTICAL_CELLS
from l2o_tf.learned.weights import load_cell
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.run_dir import find_run

FLAGS = flags.FLAGS
NAMES = ("run_dir", "weights", "optimizer")
"""The flags of which exactly one is to be given."""

# What is defined here belongs to the command that asks for it.
flags.disclaim_key_flags()


class Chosen(NamedTuple):
    """The optimizer that the flags ask for.

    Attributes:
        name: for files and legends.
        cell: the optimizer.
        training: where its weights come from, JSON-serialisable.
    """

    name: str
    cell: OptimizerCell
    training: Mapping[str, Any]


def optimizer_flags(verb: str) -> None:
    """Define --run_dir, --weights, --optimizer and --learning_rate.

    Args:
        verb: what the command does with the optimizer, as "evaluated".
    """
    flags.DEFINE_string(
        "run_dir", None, f"A training run, whose best weights are {verb}."
    )
    flags.DEFINE_string(
        "weights",
        None,
        "A learned optimizer: a name of the package's own, as rnnprop_cl_il, "
        "or the path of a file, with a slash or a dot in it: .npz, or a "
        "released one (.l2l-0, model.ckpt-0).",
    )
    flags.DEFINE_enum(
        "optimizer",
        None,
        sorted(ANALYTICAL_CELLS),
        "A hand-designed optimizer, in place of --run_dir or --weights.",
    )
    flags.DEFINE_float("learning_rate", None, "Of the hand-designed optimizer.")


def chosen_optimizer(others: tuple[str, ...] = ()) -> Chosen:
    """Return the optimizer that the flags ask for.

    Args:
        others: flags that stand beside `NAMES` in the message.

    Raises:
        ValueError: unless they ask for exactly one.
    """
    asked = {k: FLAGS[k].value for k in NAMES if FLAGS[k].value is not None}
    if len(asked) != 1:
        *first, last = (f"--{name}" for name in (*others, *NAMES))
        raise ValueError(
            f"Give one of {', '.join(first)} and {last}. "
            f"Received: {asked or 'none of them'}."
        )
    if (FLAGS.optimizer is None) != (FLAGS.learning_rate is None):
        raise ValueError(
            "--optimizer and --learning_rate belong together. Received: "
            f"optimizer={FLAGS.optimizer!r}, "
            f"learning_rate={FLAGS.learning_rate!r}."
        )
    if FLAGS.optimizer:
        kind, rate = ANALYTICAL_CELLS[FLAGS.optimizer], FLAGS.learning_rate
        name = f"{FLAGS.optimizer}_{rate:g}"
        return Chosen(name, kind(learning_rate=rate), {})
    if FLAGS.weights:
        cell, source = load(FLAGS.weights), {"weights": FLAGS.weights}
        return Chosen(model_name(FLAGS.weights), cell, source)
    run = find_run(FLAGS.run_dir)
    return Chosen(run.path.resolve().name, *load_cell(run.trained_weights()))
