"""Use exported optimizers where this package cannot be imported.

To be run as `python -I use_exports.py`, from any folder. Reads from the
standard input a JSON of

    {"round_trips": [folder, ...], "commands": [[word, ...], ...]}

A folder has an export `saved_model` and the arrays `given.npz`: `gradients`
and `params` `[T, N]`, `seed`; what is found is put into `found.npz`. A command
is one of saved_model_cli's.
"""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
from absl import flags
from tensorflow.python.tools import saved_model_cli

# Where the package is installed, as if it were not.
sys.modules["l2o_tf"] = None


def chosen(signature, **values):
    """Return those of the values that the signature takes."""
    _, names = signature.structured_input_signature
    return {k: tf.constant(v) for k, v in values.items() if k in names}


def round_trip(folder):
    given = np.load(folder / "given.npz")
    signatures = tf.saved_model.load(str(folder / "saved_model")).signatures
    first, update = signatures["initial_state"], signatures["update"]
    size = np.int32(given["gradients"].shape[1])
    states = first(**chosen(first, coordinates=size, seed=given["seed"]))
    updates, ahead = [], []
    steps = zip(given["gradients"], given["params"], strict=True)
    for t, (gradient, params) in enumerate(steps):
        if "look_ahead" in signatures:
            place = signatures["look_ahead"](
                params=tf.constant(params), **states
            )
            ahead.append(place["params"])
        values = {"gradient": gradient, "params": params}
        states = update(
            **chosen(
                update, loss=np.float32(0.0), step=np.int32(t + 1), **values
            ),
            **states,
        )
        updates.append(states.pop("updates"))
    np.savez(folder / "found.npz", updates=updates, ahead=ahead, **states)


def run(words):
    # Each command begins without the flags of the one before.
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    sys.argv = words
    try:
        saved_model_cli.main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"exit code {end.code}") from end


if __name__ == "__main__":
    if importlib.util.find_spec("l2o_tf") is not None:
        raise RuntimeError("l2o_tf can be imported")
    tasks = json.load(sys.stdin)
    for path in tasks["round_trips"]:
        round_trip(pathlib.Path(path))
    for command in tasks["commands"]:
        run(command)
