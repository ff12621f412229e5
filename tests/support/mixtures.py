"""What the tests of mixed trajectories share: who mixes, and who is drawn."""

from __future__ import annotations

import math

import pytest
from support.closed_form import NoisyQuadratic

from l2o_tf.core import seeds
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD

SEED = seeds.make_seed(3)
F64 = {"dtype": "float64"}
NOISY = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
LEARNERS = {
    "dm": lambda: DMLSTM(units=(3,), output_scale=0.3, **F64),
    "rnnprop": lambda: RNNprop(
        (3,), projection_units=2, output_scale=0.3, **F64
    ),
}
each_learner = pytest.mark.parametrize(
    "learner", LEARNERS.values(), ids=LEARNERS
)


def auxiliaries():
    return SGD(0.05, **F64), Adam(0.05, **F64)


def drawn(seed, steps, probability, count):
    """Return who makes each step: an auxiliary's index, or -1."""
    who = []
    for t in range(1, steps + 1):
        u = seeds.uniform(seeds.fold_in(seed, t), []).numpy()
        i = math.floor(u / probability)
        who.append(i if i < count else -1)
    return who
