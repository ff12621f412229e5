"""Recorded curves against algebra, and the evaluation protocol's batches."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluation.recorder import CurveRecorder, chosen_runtime
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.conv import ConvNet
from l2o_tf.optimizees.lenet import LeNet
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.nas_cell import NASCell
from l2o_tf.optimizees.plain_conv import PlainConvNet
from l2o_tf.optimizees.vgg import VGG16
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import inner_step

QUADRATIC = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7], "float32")


def curve(recorder, seed, steps):
    return np.concatenate(list(recorder.record(seed, steps)))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_entry_j_is_the_loss_after_j_plus_one_updates(jit_compile):
    recorder = CurveRecorder(
        LearnableSGD(0.1), QUADRATIC, chunk_length=7, jit_compile=jit_compile
    )
    expected = [
        0.5 * np.sum(QUADRATIC.h * QUADRATIC.at(0.1, t) ** 2)
        for t in range(1, 18)
    ]
    np.testing.assert_allclose(curve(recorder, 0, 17), expected, rtol=1e-5)


def test_pieces_are_chunks_and_a_remainder():
    recorder = CurveRecorder(SGD(0.1), QUADRATIC, chunk_length=7)
    assert [len(p) for p in recorder.record(0, 17)] == [7, 7, 3]


def test_chunk_length_does_not_change_the_curve():
    mlp = MLP(synthetic_images(), "test", (4,), batch_size=8)
    cell = DMLSTM(units=(3,))
    short = CurveRecorder(cell, mlp, chunk_length=4, jit_compile=False)
    long = CurveRecorder(cell, mlp, chunk_length=20, jit_compile=False)
    np.testing.assert_array_equal(curve(short, 5, 20), curve(long, 5, 20))


def test_every_chunk_and_seed_uses_one_trace():
    recorder = CurveRecorder(SGD(0.1), QUADRATIC, 5, jit_compile=False)
    for seed in range(3):
        curve(recorder, seed, 12)
    assert recorder._run.experimental_get_tracing_count() == 1
    assert recorder._start.experimental_get_tracing_count() == 1


def test_the_loss_is_measured_on_another_batch_than_the_gradient():
    mlp = MLP(synthetic_images(), "test", (4,), batch_size=8)
    cell = SGD(0.5)
    recorded = curve(CurveRecorder(cell, mlp, 3, jit_compile=False), 1, 3)
    carry = start_episode(cell, mlp, seeds.make_seed(1))
    for loss in recorded:
        carry, step = inner_step(cell, mlp, carry)
        other = mlp.sample(seeds.fold_in(step.batch_seed, 1))
        same = mlp.sample(step.batch_seed)
        after = [mlp.loss(carry.params, (), b).numpy() for b in (other, same)]
        np.testing.assert_allclose(loss, after[0], rtol=1e-6)
        assert abs(after[0] - after[1]) > 1e-4


def test_two_optimizers_get_the_same_start_and_batches():
    mlp = MLP(synthetic_images(), "test", (4,), batch_size=8)
    losses = [
        curve(CurveRecorder(cell, mlp, 2, jit_compile=False), 3, 2)
        for cell in (SGD(1e-12), DMLSTM(output_scale=1e-12))
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_a_diverging_run_is_recorded_as_it_is():
    losses = curve(CurveRecorder(SGD(1e9), QUADRATIC, 40), 0, 40)
    assert not np.isfinite(losses).all()
    assert np.isfinite(losses[0])


@pytest.mark.parametrize("steps", [0, -1, 2.5])
def test_bad_step_counts_are_refused(steps):
    with pytest.raises(ValueError, match="Received: num_steps="):
        next(CurveRecorder(SGD(0.1), QUADRATIC).record(0, steps))


def test_bad_chunk_is_refused():
    with pytest.raises(ValueError, match="Received: chunk_length=0"):
        CurveRecorder(SGD(0.1), QUADRATIC, chunk_length=0)


def test_no_loss_is_computed_before_the_first_update():
    recorder = CurveRecorder(SGD(1e-30), QUADRATIC, 1)
    start = QUADRATIC.loss(tf.constant(QUADRATIC.x0), (), ())
    np.testing.assert_allclose(curve(recorder, 0, 1), [start], rtol=1e-6)


class DeadLogits(DiagonalQuadratic):
    """A loss that stays finite when the params no longer are."""

    def loss(self, params, constants, batch):
        return tf.reduce_sum(tf.where(tf.math.is_finite(params), params, 0.0))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_losses_are_nan_from_where_the_params_are_not_finite(jit_compile):
    # x_t = 1 - 2e38 t: -1e38 after one update, -inf after two.
    problem = DeadLogits([1.0], [1.0], "float32")
    problem.value_and_gradient = lambda params, constants, batch: (
        tf.constant(0.0),
        tf.constant([2e38]),
    )
    recorder = CurveRecorder(SGD(1.0), problem, 4, jit_compile)
    losses = curve(recorder, 0, 10)
    np.testing.assert_allclose(losses[0], -2e38, rtol=1e-6)
    assert losses.shape == (10,)
    assert np.isnan(losses[1:]).all()


def test_what_remains_of_a_diverged_run_is_not_computed(monkeypatch):
    recorder = CurveRecorder(SGD(1e30), QUADRATIC, 5, jit_compile=False)
    calls = []
    run = recorder._run
    monkeypatch.setattr(
        recorder, "_run", lambda *a: calls.append(None) or run(*a)
    )
    assert np.isnan(curve(recorder, 0, 50)[5:]).all()
    assert len(calls) == 1


@pytest.mark.parametrize("asked", [True, False])
def test_the_runtime_that_is_asked_for_is_taken(asked):
    assert chosen_runtime(QUADRATIC, asked) is asked


def test_convolutions_leave_xla_on_a_cpu_only(monkeypatch):
    problem = DiagonalQuadratic([1.0], [1.0], "float32")
    assert chosen_runtime(problem, None) is True
    problem.convolves = True
    assert chosen_runtime(problem, None) is False
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert chosen_runtime(problem, None) is True


@pytest.mark.parametrize("kind", [ConvNet, LeNet, NASCell, PlainConvNet, VGG16])
def test_every_convolutional_network_says_that_it_is_one(kind):
    assert kind.convolves
    assert not MLP.convolves
