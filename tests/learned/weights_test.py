"""Weights files: what comes back, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed
from support.small_problem import DM_ARRAYS, FIXTURE

from l2o_tf.learned.collection import LEARNED_CELLS
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.weights import (
    FORMAT,
    cell_from_arrays,
    load_cell,
    save_weights,
)
from l2o_tf.runtime.arrays import (
    CheckpointError,
    DamagedFileError,
    Format,
    load_arrays,
    save_arrays,
)

FACTS = {"config": "dm", "seed": 3, "validation": {"cost": 0.1 + 0.2}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.npz"


@pytest.mark.parametrize(
    "cell",
    [
        DMLSTM(seed=3),
        DMLSTM(units=(4, 3), preprocessing="identity", output_scale=1.0),
        LearnableSGD(0.25),
    ],
)
def test_a_cell_comes_back_with_arguments_weights_and_facts(cell, path):
    meta_params = cell.meta_params() + 0.125
    save_weights(path, cell, meta_params, FACTS)
    back, facts = load_cell(path)
    assert facts == FACTS
    assert type(back) is type(cell)
    assert back.get_config() == cell.get_config()
    np.testing.assert_array_equal(back.meta_params(), meta_params)
    gradients = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    cell = type(cell).from_config(cell.get_config())
    cell.assign_meta_params(meta_params)
    np.testing.assert_array_equal(
        feed(back, gradients)[0], feed(cell, gradients)[0]
    )


def test_saving_does_not_touch_the_cell(path):
    cell = DMLSTM(units=(3,))
    before = cell.meta_params()
    save_weights(path, cell, before * 0.0, {})
    np.testing.assert_array_equal(cell.meta_params(), before)
    assert not np.any(load_cell(path)[0].meta_params())


def test_arrays_are_named_as_the_released_ones(path):
    cell = DMLSTM()
    save_weights(path, cell, cell.meta_params(), {})
    with np.load(path) as stored:
        assert set(DM_ARRAYS) <= set(stored.files)
        assert stored["lstm_1/w_gates"].shape == (22, 80)


def test_plain_arrays_of_the_right_names_give_the_default_cell(path):
    golden = np.load(FIXTURE)
    arrays = {name: golden[f"dm_weights:{name}"] for name in DM_ARRAYS}
    np.savez(path, **arrays)
    cell, facts = load_cell(path)
    assert isinstance(cell, DMLSTM)
    assert facts == {}
    values = cell.meta_layout.split(cell.meta_params())
    for name, value in zip(cell.meta_layout.names, values, strict=True):
        np.testing.assert_array_equal(value, arrays[name])
    updates, _ = feed(cell, golden["dm_net_in_g"])
    np.testing.assert_allclose(
        updates, golden["dm_net_out"], rtol=1e-5, atol=1e-8
    )


@pytest.mark.parametrize("kind", [DMLSTM, RNNprop])
def test_arrays_give_the_cell_whose_names_and_shapes_they_have(kind):
    values = kind().meta_params() + 0.5
    layout = kind().meta_layout
    arrays = dict(
        zip(layout.names, map(np.asarray, layout.split(values)), strict=True)
    )
    cell = cell_from_arrays(arrays, "here")
    assert type(cell) is kind
    assert cell.get_config() == kind(name=cell.name).get_config()
    np.testing.assert_array_equal(cell.meta_params(), values)
    with pytest.raises(CheckpointError, match="The arrays of here are not"):
        cell_from_arrays({**arrays, "x": values}, "here")


@pytest.mark.parametrize("change", ["shape", "missing", "extra", "name"])
def test_plain_arrays_of_no_cell_are_refused(change, path):
    cell = DMLSTM()
    values = cell.meta_layout.split(cell.meta_params())
    arrays = dict(
        zip(cell.meta_layout.names, map(np.asarray, values), strict=True)
    )
    if change == "shape":
        arrays["linear/w"] = np.zeros((21, 1), "float32")
    elif change == "missing":
        del arrays["linear/b"]
    elif change == "extra":
        arrays["linear/c"] = np.zeros(1, "float32")
    else:
        arrays["linear/bias"] = arrays.pop("linear/b")
    np.savez(path, **arrays)
    with pytest.raises(CheckpointError, match=r"Received: \{") as caught:
        load_cell(path)
    assert str(path) in str(caught.value)
    assert "DMLSTM" in str(caught.value)


def test_weights_of_another_shape_than_their_own_cell_are_refused(path):
    cell = DMLSTM(units=(3,))
    save_weights(path, cell, cell.meta_params(), {})
    arrays, metadata = load_arrays(path, FORMAT)
    metadata["config"]["units"] = [4]
    save_arrays(path, arrays, metadata, FORMAT)
    with pytest.raises(CheckpointError, match="not the weights of such a cell"):
        load_cell(path)


def test_weights_of_an_unknown_cell_are_refused(path):
    save_arrays(
        path,
        {"w": np.zeros(3)},
        {"cell": "Transformer", "config": {}, "training": {}},
        FORMAT,
    )
    with pytest.raises(CheckpointError, match="cell='Transformer'") as caught:
        load_cell(path)
    assert "Known: DMLSTM, RNNprop, HierarchicalRNN" in str(caught.value)


@pytest.mark.parametrize(
    "config", [{"depth": 3}, {"units": [0]}, {"units": [3], "name": 5}]
)
def test_arguments_that_the_cell_does_not_take_are_refused(config, path):
    save_arrays(
        path,
        {"w": np.zeros(3)},
        {"cell": "DMLSTM", "config": config, "training": {}},
        FORMAT,
    )
    with pytest.raises(CheckpointError, match="Received: ") as caught:
        load_cell(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"cell": "DMLSTM", "config": {}},
        {"cell": ["DMLSTM"], "config": {}, "training": {}},
        {"cell": "DMLSTM", "config": [1], "training": {}},
        {"cell": "DMLSTM", "config": {}, "training": "none"},
    ],
)
def test_metadata_of_another_kind_are_refused(metadata, path):
    save_arrays(path, {"w": np.zeros(3)}, metadata, FORMAT)
    with pytest.raises(CheckpointError, match="Received: .*metadata="):
        load_cell(path)


def test_a_dtype_that_names_a_class_is_refused(path):
    dtype = {"module": "keras", "class_name": "DTypePolicy", "config": {}}
    metadata = {"cell": "DMLSTM", "config": {"dtype": dtype}, "training": {}}
    save_arrays(path, {"w": np.zeros(3)}, metadata, FORMAT)
    with pytest.raises(CheckpointError, match="must be a str. Received: "):
        load_cell(path)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.full(1, np.nan, "float32"), "dtype=float32 .* 1 not finite"),
        (np.full(1, -np.inf, "float64"), "dtype=float64 .* 1 not finite"),
        (np.zeros(1, "complex64"), "dtype=complex64 .* 0 not finite"),
        (np.zeros(1, "int32"), "dtype=int32 .* 0 not finite"),
    ],
)
def test_weights_that_are_not_finite_reals_are_refused(
    plain, wrong, message, path
):
    cell = DMLSTM(name="dmlstm")
    save_weights(path, cell, cell.meta_params(), {})
    arrays, metadata = load_arrays(path, FORMAT)
    arrays["linear/b"] = wrong
    if plain:
        np.savez(path, **arrays)
    else:
        save_arrays(path, arrays, metadata, FORMAT)
    with pytest.raises(CheckpointError, match=f"Received: {message}"):
        load_cell(path)


def test_a_file_of_another_format_is_refused(path):
    save_arrays(path, {"w": np.zeros(3)}, {}, Format("l2o_tf.checkpoint", 1))
    with pytest.raises(CheckpointError, match="Received: format='l2o_tf.check"):
        load_cell(path)


def test_a_file_of_a_later_version_is_refused(path):
    save_arrays(path, {"w": np.zeros(3)}, {}, Format(FORMAT.name, 99))
    with pytest.raises(CheckpointError, match="version=99"):
        load_cell(path)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(plain, keep, path):
    if plain:
        np.savez(path, **{"linear/w": np.zeros((20, 1))})
    else:
        cell = DMLSTM()
        save_weights(path, cell, cell.meta_params(), {})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(DamagedFileError, match="Received: path="):
        load_cell(path)


def test_an_array_of_objects_is_refused_and_runs_no_code(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.savez(path, **{"linear/w": np.array([Trap()], object)})
    with pytest.raises(CheckpointError, match="only numbers are read"):
        load_cell(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04 no zip"])
def test_a_file_that_is_no_npz_is_refused(content, path):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="Received: path="):
        load_cell(path)


def test_a_missing_file_is_named(path):
    with pytest.raises(CheckpointError, match="No such file") as caught:
        load_cell(path)
    assert repr(str(path)) in str(caught.value)


def test_facts_must_be_json(path):
    cell = LearnableSGD()
    with pytest.raises(ValueError, match="Received: metadata"):
        save_weights(path, cell, cell.meta_params(), {"x": tf.constant(1)})
    assert not path.exists()


@pytest.mark.parametrize("kind", LEARNED_CELLS.values(), ids=LEARNED_CELLS)
def test_plain_arrays_find_every_cell_whatever_was_built_before(kind):
    first = kind()  # so that the next one is not Keras' first of its class
    scope = first.name
    plain = scope.rstrip("0123456789").rstrip("_")
    arrays = {
        v.path.replace(f"{scope}/", f"{plain}/"): v.numpy() + 0.5
        for v in first.trainable_variables
    }
    cell = cell_from_arrays(arrays, "plain.npz")
    assert type(cell) is kind
    np.testing.assert_array_equal(
        cell.meta_params(), first.meta_params().numpy() + 0.5
    )
