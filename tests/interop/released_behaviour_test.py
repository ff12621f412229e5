"""The released weights behave here as in the original program.

The numbers are of one run each of the original evaluation script (spec
dm_rnnprop.md 13.4): noisy minibatch losses from another random stream. Each is
asked to lie in the range of our three seeds, widened by a quarter.
"""

import numpy as np
import pytest

from l2o_tf.datasets.images import load_images
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.interop.released_weights import load_released
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizees.mlp import MLP

# Mean of the losses 96-105, 291-310, 491-510, and of the last 100.
PLACES = (slice(95, 105), slice(290, 310), slice(490, 510), slice(900, 1000))
RECORDED = {
    "dm": (0.211, 0.138, 0.130, 0.208),
    "dm_aug": (0.189, 0.121, 0.083, 0.054),
    "dm_cl": (0.349, 0.190, 0.147, 0.073),
    "dm_il": (0.258, 0.170, 0.114, 0.081),
    "dm_cl_il": (0.379, 0.198, 0.132, 0.068),
    "rnnprop": (0.469, 0.209, 0.165, 0.081),
    "rnnprop_cl_il": (0.513, 0.218, 0.165, 0.084),
}


@pytest.fixture(scope="module")
def mlp_orig(shared_dir):
    data = load_images("mnist", str(shared_dir / "data" / "tfds"))
    return MLP(data, "test", (20,), "sigmoid")


@pytest.fixture(scope="module")
def recorders(mlp_orig):
    """One compiled recorder per cell; the weights are assigned."""
    return {kind: CurveRecorder(kind(), mlp_orig) for kind in (DMLSTM, RNNprop)}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_1000_updates_of_mlp_orig_are_the_recorded_ones(
    name, recorders, shared_dir
):
    cell = load_released(shared_dir / "weights" / f"{name}.npz")
    recorder = recorders[type(cell)]
    recorder.cell.assign_meta_params(cell.meta_params())
    curves = [
        np.concatenate(list(recorder.record(seed, 1000))) for seed in range(3)
    ]
    for place, recorded in zip(PLACES, RECORDED[name], strict=True):
        means = [curve[place].mean() for curve in curves]
        assert min(means) / 1.25 < recorded < max(means) * 1.25, (place, means)
    # Before anything is learned: ln 10, give or take the first update.
    assert all(2.2 < curve[0] < 2.4 for curve in curves)
