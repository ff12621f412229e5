"""The trained optimizers in the package: what they are, and that they work."""

import pathlib

import numpy as np
import pytest

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.datasets.embedded import load_mnist_subset
from l2o_tf.learned.weights import load_cell
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.unroll.rollout import final_loss

FOLDER = pathlib.Path(__file__).parents[1] / "l2o_tf" / "pretrained"
CARDS = {
    "rnnprop": ("RNNprop", "rnnprop", 0, 80, 0),
    "rnnprop_cl_il": ("RNNprop", "rnnprop_cl_il", 0, 80, 1),
    "rnnprop_cl_il_seed1": ("RNNprop", "rnnprop_cl_il", 1, 110, 2),
    "dm_cl_il": ("DMLSTM", "dm_cl_il", 0, 200, 0),
}


def test_every_file_has_its_card():
    assert {path.stem for path in FOLDER.glob("*.npz")} == set(CARDS)
    text = (FOLDER / "README.md").read_text()
    assert all(f"| `{name}.npz` |" in text for name in CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_a_file_says_what_it_is(name):
    kind, config, seed, episode, stage = CARDS[name]
    cell, training = load_cell(FOLDER / f"{name}.npz")
    assert type(cell).__name__ == kind
    assert (training["config"], training["seed"]) == (config, seed)
    assert training["notice"] is None
    assert training["validation"]["episode"] == episode
    assert training["validation"]["stage"] == stage


@pytest.mark.parametrize("name", CARDS)
def test_200_updates_take_mlp_orig_below_one_half(name):
    cell, _ = load_cell(FOLDER / f"{name}.npz")
    problem = MLP(load_mnist_subset(), "test", (20,), "sigmoid")
    run = compiled(
        lambda seed: final_loss(cell, problem, None, seed, 200, 200), True
    )
    ends = [run(seeds.make_seed(i)).numpy() for i in range(3)]
    assert np.mean(ends) < 0.5, ends  # from ln 10 = 2.30
