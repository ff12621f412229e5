"""Going back block by block gives what going back at once gives."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere
from support.small_problem import FIXTURE, SmallProblem, relative_error
from support.toy_cells import LearnableMomentum, WeightDecay

from l2o_tf.core import seeds
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.unroll import blocks
from l2o_tf.unroll.adjoint import Recorded, cell_adjoint
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll

LENGTH, SIZE = 6, 15


class Fading(NamedTuple):
    """A state with its coordinates in front, and a number for all."""

    velocity: tf.Tensor
    scale: tf.Tensor


class FadingMomentum(OptimizerCell):
    """s_t = mu s_{t-1}, a_t = mu a_{t-1} + s_t [g, g^2], u_t = -sum(a_t)."""

    coordinatewise = True

    def __init__(self, mu=0.7, dtype="float32", name=None):
        super().__init__(name=name, dtype=dtype)
        self.mu = self.add_weight(
            name="mu",
            shape=(),
            initializer=lambda shape, dtype: tf.constant(mu, dtype),
        )
        self.built = True

    def get_initial_state(self, layout, seed=None):
        return Fading(tf.zeros([layout.size, 2]), tf.constant(0.1))

    def call(self, inputs, states):
        mu = tf.convert_to_tensor(self.mu)
        scale = mu * states.scale
        g = inputs.gradient
        velocity = mu * states.velocity + scale * tf.stack([g, g * g], axis=1)
        return -tf.reduce_sum(velocity, axis=1), Fading(velocity, scale)


CELLS = {
    "dm": lambda: DMLSTM(units=(3, 2), output_scale=0.3),
    "rnnprop": lambda: RNNprop(
        units=(3,), projection_units=2, output_scale=0.3
    ),
    "reads_params": WeightDecay,
    "scalar_state": FadingMomentum,
}


def window(cell):
    problem = SmallProblem(np.load(FIXTURE))
    carry = start_episode(cell, problem, seeds.make_seed(1))
    _, recorded = unroll(
        cell, problem, carry, LENGTH, collect=lambda s: (s.inputs, s.states)
    )
    return cell.meta_layout.split(cell.meta_params()), *recorded


def adjoint(cell, length):
    """Return a function of a window: a cotangent of update, time and past."""

    def cotangent(t, inputs, update, past):
        d_update = update + tf.cast(t, tf.float32) * inputs.gradient + past
        return d_update, past + inputs.gradient

    def run(weights, inputs, states):
        recorded = Recorded(inputs, states, tf.constant(length))
        zeros = tf.zeros([SIZE])
        return cell_adjoint(cell, weights, recorded, cotangent, zeros)

    return run


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("width", [1, 4, 5, 14])
def test_blocks_give_what_all_at_once_give(cell, width, monkeypatch):
    cell = cell()
    arguments = window(cell)
    whole = adjoint(cell, LENGTH - 2)(*arguments)
    monkeypatch.setattr(blocks, "LONG", SIZE)
    monkeypatch.setattr(blocks, "BLOCK", width)
    run = adjoint(cell, LENGTH - 2)
    if width == 4:
        cut = assert_same_everywhere(run, *arguments, rtol=1e-5, atol=1e-5)
    else:
        cut = run(*arguments)
    assert len(tf.nest.flatten(cut)) == len(tf.nest.flatten(whole))
    for a, b in zip(tf.nest.flatten(cut), tf.nest.flatten(whole), strict=True):
        assert a.shape == b.shape
        assert relative_error(a, b) < 1e-5
    assert np.abs(cut[0][0]).max() > 1e-4


@pytest.fixture
def widths(monkeypatch):
    """Record how many coordinates a cell is called with."""
    seen = []

    def watch(cell):
        call = cell.call

        def watched(inputs, states):
            seen.append(inputs.gradient.shape[0])
            return call(inputs, states)

        monkeypatch.setattr(cell, "call", watched)
        return seen

    monkeypatch.setattr(blocks, "LONG", SIZE)
    monkeypatch.setattr(blocks, "BLOCK", 4)
    return watch


def test_a_cell_sees_blocks_and_what_is_left(widths):
    cell = DMLSTM(units=(2,))
    arguments = window(cell)
    seen = widths(cell)
    tf.function(adjoint(cell, LENGTH), autograph=False)(*arguments)
    # The first for cotangents that depend on the update.
    assert seen == [SIZE, 4, SIZE % 4]


def test_a_cell_of_coordinates_that_know_each_other_is_not_cut(widths):
    cell = LearnableMomentum()
    assert not cell.coordinatewise
    arguments = window(cell)
    seen = widths(cell)
    tf.function(adjoint(cell, LENGTH), autograph=False)(*arguments)
    assert seen == [SIZE]


def test_few_coordinates_or_a_gpu_are_not_worth_it(monkeypatch):
    assert blocks.worthwhile(32_768)
    assert not blocks.worthwhile(32_767)
    monkeypatch.setattr(blocks, "has_gpu", lambda: True)
    assert not blocks.worthwhile(32_768)
