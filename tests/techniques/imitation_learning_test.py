"""A fresh L2O-DM learns what Adam does, and can then do it alone."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.datasets.embedded import load_mnist_subset
from l2o_tf.estimators.imitation import imitation_window
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.meta_training.episode import initial_meta_state, meta_update
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.adam import Adam
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll
from l2o_tf.unroll.rollout import final_loss

LENGTH, WINDOWS = 20, 5


def record(problem, teacher, seed):
    """Return the inputs and updates `[100, N]` of the teacher's trajectory."""
    _, recorded = unroll(
        teacher,
        problem,
        start_episode(teacher, problem, seed),
        LENGTH * WINDOWS,
        collect=lambda step: (step.inputs, step.update),
    )
    return recorded


def imitate(cell, layout, meta_optimizer, state, inputs, labels):
    """Make one meta-update per window; return the state and the mean loss."""

    def body(i, state, learner, total):
        window = tf.nest.map_structure(
            lambda stack: stack[i * LENGTH : (i + 1) * LENGTH],
            (inputs, labels),
        )
        loss, gradient, _, learner = imitation_window(
            cell,
            cell.meta_layout.split(state.meta_params),
            *window,
            learner,
            LENGTH,
        )
        flat = cell.meta_layout.flatten(gradient)
        state, _ = meta_update(meta_optimizer, state, flat, loss)
        return i + 1, state, learner, total + loss

    learner = cell.get_initial_state(layout)
    _, state, _, total = tf.while_loop(
        lambda i, *_: i < WINDOWS,
        body,
        (tf.constant(0), state, learner, tf.constant(0.0)),
    )
    return state, total / WINDOWS


@pytest.mark.slow
def test_imitating_recorded_adam_teaches_to_optimise_mlp_orig():
    # Recorded on a narrow MLP, for the time; then run on the wide one.
    narrow = MLP(load_mnist_subset(), "train", (2,), "sigmoid")
    teacher, cell = Adam(0.01), DMLSTM()
    play = compiled(lambda seed: record(narrow, teacher, seed), True)
    recorded = [play(seeds.make_seed(i)) for i in range(3)]
    state, losses = initial_meta_state(cell, Adam()), []
    for rate, epochs in ((0.01, 80), (0.002, 20)):
        learn = compiled(
            lambda state, inputs, labels, rate=rate: imitate(
                cell, narrow.layout, Adam(rate), state, inputs, labels
            ),
            True,
        )
        for _ in range(epochs):
            epoch = []
            for trajectory in recorded:
                state, loss = learn(state, *trajectory)
                epoch.append(loss.numpy())
            losses.append(np.mean(epoch))
    assert losses[-1] < losses[0] / 10.0, losses[::10]

    cell.assign_meta_params(state.meta_params)
    mlp_orig = MLP(load_mnist_subset(), "train", (20,), "sigmoid")
    run = compiled(
        lambda seed: final_loss(
            cell, mlp_orig, None, seed, tf.constant(300), 300
        ),
        True,
    )
    ends = [run(seeds.make_seed(i)).numpy() for i in range(3)]
    assert max(ends) < 0.5, ends  # from ln 10 = 2.30
