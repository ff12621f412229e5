"""Loading a trained optimizer: names, paths, and what is refused."""

import os
import pathlib
import pickle
import shutil

import numpy as np
import pytest
import tensorflow as tf
from support.released_pickles import released_pickle

from l2o_tf.core.layout import Layout
from l2o_tf.interop.model_cards import FOLDER, names
from l2o_tf.interop.pretrained import load
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.weights import FORMAT, load_cell, save_weights
from l2o_tf.optimizers.base import OptimizerInputs
from l2o_tf.runtime.arrays import (
    CheckpointError,
    DamagedFileError,
    load_arrays,
    save_arrays,
)


@pytest.fixture
def dm():
    return DMLSTM(units=(3,), seed=4)


@pytest.fixture
def path(tmp_path, dm):
    """A weights file of a small L2O-DM."""
    save_weights(tmp_path / "own.npz", dm, dm.meta_params(), {})
    return tmp_path / "own.npz"


def test_a_name_gives_the_weights_in_the_package():
    cell = load("rnnprop")
    expected, _ = load_cell(FOLDER / "rnnprop.npz")
    assert type(cell) is RNNprop
    np.testing.assert_array_equal(cell.meta_params(), expected.meta_params())


def test_a_weights_file_is_loaded_from_a_str_and_from_a_path(path, dm):
    for given in (path, str(path)):
        cell = load(given)
        assert cell.get_config() == dm.get_config()
        np.testing.assert_array_equal(cell.meta_params(), dm.meta_params())


def test_a_run_directory_gives_its_best_weights(path, dm):
    run = path.parent / "run"
    (run / "best").mkdir(parents=True)
    (run / "config.gin").write_text("")
    with pytest.raises(ValueError, match=r"no weights yet.*run_dir='.*run'"):
        load(run)
    shutil.copy(path, run / "best" / "weights.npz")
    np.testing.assert_array_equal(load(run).meta_params(), dm.meta_params())


def test_a_released_pickle_is_loaded(tmp_path):
    cell = DMLSTM(seed=1)
    values = map(np.asarray, cell.meta_layout.split(cell.meta_params()))
    arrays = dict(zip(cell.meta_layout.names, values, strict=True))
    (tmp_path / "cw.l2l-0").write_bytes(released_pickle(arrays))
    loaded = load(tmp_path / "cw.l2l-0", cell=DMLSTM)
    np.testing.assert_array_equal(loaded.meta_params(), cell.meta_params())


def test_a_name_is_a_name_though_there_is_such_a_folder(path, dm, monkeypatch):
    monkeypatch.chdir(path.parent)
    shutil.copy(path, "rnnprop")
    assert type(load("rnnprop")) is RNNprop
    np.testing.assert_array_equal(
        load("./rnnprop").meta_params(), dm.meta_params()
    )
    np.testing.assert_array_equal(
        load(pathlib.Path("rnnprop")).meta_params(), dm.meta_params()
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("rnnprop_cl_li", "Did you mean 'rnnprop_cl_il'"),
        ("dm-cl-il", "'dm_cl_il'"),
        ("RNNPROP", "The package has: "),
        ("", "Received: name_or_path=''. The package has: "),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_ones(name, near):
    with pytest.raises(ValueError, match="no trained optimizer of") as caught:
        load(name)
    message = str(caught.value)
    assert f"Received: name_or_path={name!r}." in message
    assert near in message
    assert f"The package has: {', '.join(names())}." in message
    assert "What lies here" not in message


def test_an_unknown_name_that_is_a_path_says_how_to_write_it(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    (path.parent / "weights").mkdir()
    with pytest.raises(ValueError, match="under this name is './weights'"):
        load("weights")


@pytest.mark.parametrize("missing", ["no.npz", "./rnnprop", "runs/dm_cl"])
def test_a_missing_path_is_named(missing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="no such file or") as caught:
        load(missing)
    assert f"Received: path={str(pathlib.Path(missing))!r}" in str(caught.value)
    assert "loaded by its name alone: dm_cl" in str(caught.value)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="Received: path="):
        load(tmp_path)


@pytest.mark.parametrize("wrong", [None, 3, b"rnnprop", DMLSTM])
def test_what_is_neither_name_nor_path_is_refused(wrong):
    with pytest.raises(TypeError, match="Received: name_or_path="):
        load(wrong)


@pytest.mark.parametrize("wrong", ["DMLSTM", tf.keras.layers.Layer, 3])
def test_a_cell_that_is_no_class_of_optimizers_is_refused(wrong, path):
    with pytest.raises(TypeError, match="Received: cell="):
        load(path, cell=wrong)


def test_weights_of_another_cell_than_asked_for_are_refused(path):
    assert type(load(path, cell=DMLSTM)) is DMLSTM
    with pytest.raises(
        CheckpointError,
        match=r"RNNprop were asked for. Received: weights of DMLSTM, path='.*n",
    ):
        load(path, cell=RNNprop)
    with pytest.raises(CheckpointError, match="DMLSTM were asked for"):
        load("rnnprop", cell=DMLSTM)


@pytest.mark.parametrize("kind", ["RNNprop", "LearnableSGD"])
def test_arrays_of_another_cell_than_the_file_names_are_refused(kind, path):
    arrays, metadata = load_arrays(path, FORMAT)
    cell = {"RNNprop": RNNprop, "LearnableSGD": LearnableSGD}[kind]()
    metadata.update(cell=kind, config=cell.get_config())
    save_arrays(path, arrays, metadata, FORMAT)
    with pytest.raises(
        CheckpointError, match=rf"not the weights of such.*Expected {kind}"
    ):
        load(path)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(keep, path):
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(DamagedFileError, match=r"cut off.*Received: path="):
        load(path)


class Trap:
    """Creates a file where somebody unpickles it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["linear/w", "__metadata__"])
def test_an_array_of_objects_is_refused_and_runs_no_code(name, tmp_path):
    trap = tmp_path / "sprung"
    np.savez(tmp_path / "evil.npz", **{name: np.array([Trap(trap)], object)})
    with pytest.raises(CheckpointError, match="only numbers are read"):
        load(tmp_path / "evil.npz")
    assert not trap.exists()
    with np.load(tmp_path / "evil.npz", allow_pickle=True) as stored:
        stored[name]
    assert trap.exists()  # it is a trap


def test_a_pickle_that_calls_itself_npz_is_refused(tmp_path):
    trap = tmp_path / "sprung"
    (tmp_path / "evil.npz").write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(CheckpointError, match="damaged, cut off or not an"):
        load(tmp_path / "evil.npz")
    assert not trap.exists()


def test_a_loaded_cell_can_be_trained_further():
    cell = load("dm_cl")
    assert cell.trainable_variables
    assert all(v.trainable for v in cell.trainable_variables)
    layout = Layout(("x",), ((4,),))
    inputs = OptimizerInputs(
        tf.constant([0.1, -0.2, 0.3, 0.4]),
        (),
        tf.constant(1.0),
        tf.constant(1),
    )
    with tf.GradientTape() as tape:
        updates, _ = cell(inputs, cell.get_initial_state(layout))
        loss = tf.reduce_sum(updates)
    variables = [v.value for v in cell.trainable_variables]
    gradients = tape.gradient(loss, variables)
    assert all(g is not None for g in gradients)
    before = cell.meta_params()
    for variable, gradient in zip(
        cell.trainable_variables, gradients, strict=True
    ):
        variable.assign_sub(0.1 * gradient)
    assert np.any(cell.meta_params() != before)
    np.testing.assert_array_equal(load("dm_cl").meta_params(), before)
