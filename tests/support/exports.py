"""Give exported optimizers to a process without this package."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.interop.saved_model import state_names
from l2o_tf.optimizers.base import OptimizerInputs


def use_elsewhere(cwd, round_trips=(), commands=()):
    """Run support/use_exports.py in a folder; return its output."""
    script = pathlib.Path(__file__).with_name("use_exports.py")
    done = subprocess.run(
        [sys.executable, "-I", script],
        input=json.dumps(
            {
                "round_trips": [str(path) for path in round_trips],
                "commands": list(commands),
            }
        ),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def random_task(steps, size, seed=7):
    """Return gradients and params `[T, N]`, and a seed."""
    random = np.random.RandomState(steps + size)
    gradients, params = random.randn(2, steps, size).astype("f4")
    return {"gradients": gradients, "params": params, "seed": np.int32(seed)}


def own_answer(cell, layout, task):
    """Return what the cell itself computes, as use_exports.py names it."""
    states = cell.get_initial_state(layout, seeds.make_seed(int(task["seed"])))
    updates, ahead = [], []
    steps = zip(task["gradients"], task["params"], strict=True)
    for t, (gradient, params) in enumerate(steps):
        if cell.looks_ahead:
            ahead.append(cell.look_ahead(params, states))
        inputs = OptimizerInputs(
            tf.constant(gradient),
            tf.constant(params) if cell.reads_params else (),
            tf.constant(0.0),
            tf.constant(t + 1),
        )
        update, states = cell.call(inputs, states)
        updates.append(update)
    leaves = zip(state_names(states), tf.nest.flatten(states), strict=True)
    return {
        "updates": np.stack(updates),
        "ahead": np.array(ahead),
        **{name: leaf.numpy() for name, leaf in leaves},
    }
