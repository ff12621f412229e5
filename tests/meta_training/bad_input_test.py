"""Problems at the edge of what a problem can be, through a whole episode."""

import numpy as np
import pytest
import tensorflow as tf
from support.training import Broken, same, small_trainer

from l2o_tf.core.layout import Layout
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.failures import NonFiniteError
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizees.synthetic import FixedFunction
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.unroll.meta_losses import LogRatio
from l2o_tf.unroll.schedules import FixedHorizon

REPAIRED = RepairedGradients(RMSProp(1e-3, epsilon=1e-20))


class Squares(FixedFunction):
    """The sum of squares of all tensors but some."""

    def __init__(self, shapes, without=()):
        names = tuple(f"x{i}" for i in range(len(shapes)))
        self.layout = Layout(names, tuple(shapes))
        used = [
            np.full(size, name not in without, "float32")
            for name, size in zip(names, self.layout.sizes, strict=True)
        ]
        self.used = np.concatenate(used)

    def value(self, params):
        return tf.reduce_sum(self.used * params**2)


def l2o_scale(optimizee, **changes):
    """A small L2O-Scale with its own meta-loss and meta-optimizer."""
    return small_trainer(
        cell=HierarchicalRNN(units=(3, 4, 4)),
        optimizee=optimizee,
        estimator=TruncatedBackpropagation(
            3, meta_loss=LogRatio(), objective="window"
        ),
        schedule=FixedHorizon(6),
        meta_optimizer=REPAIRED,
        **changes,
    )


@pytest.mark.parametrize(
    "optimizee",
    [
        pytest.param(Squares([()]), id="a scalar"),
        pytest.param(
            Squares([(2, 2), (), (3,)], without=("x0", "x2")),
            id="tensors without a gradient",
        ),
        pytest.param(
            Squares(500 * [(2,)]),
            id="500 tensors",
        ),
    ],
)
def test_l2o_scale_trains_on_any_layout(optimizee):
    trainer = l2o_scale(optimizee)
    state = trainer.initial_state()
    after, report = trainer.train_one(state)
    assert report.skipped == 0
    assert np.isfinite([report.mean_loss, report.last_loss]).all()
    assert report.gradient_norm > 0
    assert np.isfinite(after.meta.meta_params).all()
    assert not same(after.meta.meta_params, state.meta.meta_params)
    assert after.meta_updates == 2
    loss = trainer.validation_run(after, 0)[1]
    assert np.isfinite(loss)


@pytest.mark.parametrize(
    ("meta_optimizer", "says"),
    [
        (RMSProp(1e-3), "The weights are those before the first of them."),
        (REPAIRED, "The weights were changed by what was finite of them."),
    ],
)
def test_training_gives_up_on_an_objective_that_is_no_number(
    meta_optimizer, says
):
    trainer = small_trainer(
        cell=LearnableSGD(0.05),
        optimizee=Broken(2, 3),
        schedule=FixedHorizon(4),
        meta_optimizer=meta_optimizer,
        max_failed_episodes=3,
    )
    state = trainer.initial_state()
    first = state.meta.meta_params
    for count in (1, 2):
        state, report = trainer.train_one(state)
        assert report.skipped == 2
        assert state.failed_in_a_row == count
        assert state.skipped == 2 * count
        assert same(state.meta.meta_params, first)
    with pytest.raises(
        NonFiniteError, match="Received: max_failed_episodes=3"
    ) as caught:
        trainer.train_one(state)
    said = str(caught.value)
    assert "3 episodes in a row gave no finite meta-update" in said
    assert "6 updates not finite in all" in said
    assert says in said
    assert "Lower the meta-optimizer's learning_rate" in said


class Negative(Simple):
    """x^2 - 4: below 0 everywhere near, where a ratio has no logarithm."""

    def loss(self, params, constants, batch):
        return super().loss(params, constants, batch) - 4.0


class Falling(Simple):
    """x^2 - 0.7: positive at the start, then negative."""

    def loss(self, params, constants, batch):
        return super().loss(params, constants, batch) - 0.7


def on_logarithms(optimizee, windows):
    return small_trainer(
        cell=LearnableSGD(0.05),
        optimizee=optimizee,
        estimator=TruncatedBackpropagation(
            2, meta_loss=LogRatio(), objective="window"
        ),
        schedule=FixedHorizon(2 * windows),
        meta_optimizer=REPAIRED,
    )


@pytest.mark.parametrize(("windows", "skipped"), [(1, 0), (2, 1)])
def test_a_loss_that_turns_negative_is_counted(windows, skipped):
    # x^2 is 1, 0.81, 0.66: the second window begins below 0.7.
    trainer = on_logarithms(Falling(), windows)
    after, report = trainer.train_one(trainer.initial_state())
    assert report.skipped == skipped
    assert np.isnan(report.mean_loss) == bool(skipped)
    assert np.isfinite(after.meta.meta_params).all()
    assert after.failed_in_a_row == 0


def test_losses_of_one_sign_below_0_have_a_ratio():
    trainer = on_logarithms(Negative(), 1)
    after, report = trainer.train_one(trainer.initial_state())
    assert report.skipped == 0
    assert np.isfinite(after.meta.meta_params).all()
