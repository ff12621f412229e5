"""Small trainers, and a trainer whose validations say what a test wants."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from support.toy_cells import LearnableMomentum

from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.optimizees.bowls import Bowl
from l2o_tf.optimizees.ensemble import Ensemble
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.unroll.random_windows import LongTail, RandomWindows
from l2o_tf.unroll.schedules import FixedHorizon


class Broken(Quadratic):
    """A quadratic whose loss and gradient are never numbers."""

    def loss(self, params, constants, batch):
        return super().loss(params, constants, batch) * np.nan


def same(a, b):
    """Whether two nests of tensors are equal bit for bit."""
    pairs = zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True)
    return all(x.numpy().tobytes() == y.numpy().tobytes() for x, y in pairs)


def arguments(**changes):
    """Return the arguments of a trainer that needs milliseconds, changed."""
    kept = {
        "cell": DMLSTM(units=(3,), output_scale=0.1),
        "optimizee": Quadratic(2, 3),
        "estimator": TruncatedBackpropagation(2),
        "schedule": Curriculum((2, 4, 6, 8), patience=1),
        "meta_optimizer": Adam(0.01),
        "num_episodes": 24,
        "validation_period": 3,
        "validation_runs": 3,
        "jit_compile": False,
    }
    return {**kept, **changes}


def small_trainer(**changes):
    """Return a trainer that needs milliseconds."""
    return Trainer(**arguments(**changes))


def imitating_trainer(ratios=(0.5,), **changes):
    """Return a small trainer with two teachers and the leaking memory."""
    imitation = Imitation(
        (Adam(0.05), SGD(0.05)), ratios, "round_robin", 1, "last_run"
    )
    return small_trainer(imitation=imitation, **changes)


def tiny_ensemble(episodes_per_problem=2):
    """Return three problems of 6, 1 and 2 coordinates."""
    return Ensemble(
        [
            ("quadratic", lambda: Quadratic(2, 3)),
            ("simple", Simple),
            ("bowl", lambda: Bowl(5.0)),
        ],
        episodes_per_problem,
    )


def ensemble_trainer(**changes):
    """Return a small trainer on an ensemble, with windows of random length."""
    return small_trainer(
        **{
            "cell": LearnableSGD(0.05),
            "optimizee": tiny_ensemble(),
            "validation_optimizee": Simple(),
            "estimator": TruncatedBackpropagation(3),
            "schedule": RandomWindows(
                LongTail(1.0, 1, 4), LongTail(1.0, 1, 3), 4
            ),
            "num_episodes": 12,
            "validation_period": 4,
            "validation_runs": 2,
            **changes,
        }
    )


def released_trainer(**changes):
    """Return a small trainer with all that the program of L2O-Scale does."""
    return small_trainer(
        **{
            "cell": LearnableMomentum(0.05),
            "estimator": TruncatedBackpropagation(2, keep_memory=True),
            "imitation": Imitation(
                (Adam(0.05),), (0.4,), initial_state="last_run", slots="shared"
            ),
            "meta_optimizer": RepairedGradients(RMSProp(0.01)),
            "restored": "weights_and_slots",
            **changes,
        }
    )


def probed_trainer():
    """Return a small trainer whose updates and gates are to be looked at."""
    return small_trainer(
        schedule=FixedHorizon(4),
        num_episodes=9,
        validation_period=4,
        validation_runs=1,
    )


def windowed_trainer(**changes):
    """Return a small trainer that keeps the best of every 6 episodes."""
    return small_trainer(
        **{
            "schedule": FixedHorizon(4),
            "num_episodes": 15,
            "validation_period": 2,
            "best_window": 6,
            **changes,
        }
    )


class ScriptedTrainer(Trainer):
    """Takes validation losses from a list and notes what it was asked."""

    def __init__(self, losses, **changes):
        super().__init__(**arguments(**{"validation_runs": 1, **changes}))
        self.losses = iter(losses)
        self.asked = []

    def validation_run(self, state, run):
        horizon = self.schedule.validation_horizon(state.schedule)
        self.asked.append((state.phase.value, horizon, run))
        return state, next(self.losses)
