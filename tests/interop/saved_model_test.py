"""An exported optimizer works elsewhere, and computes the same."""

import json
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from support.exports import own_answer, random_task, use_elsewhere
from support.stablehlo import commented, entry, parse

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.interop.saved_model import Export, save_optimizer, state_names
from l2o_tf.learned.coordinatewise_rnn import CoordinatewiseRNN
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.decayed_adam import DecayedAdam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.version import __version__

LAYOUT = Layout(("w", "b"), ((3, 2), (2,)))
CASES = {
    "dm": (DMLSTM(output_scale=0.1, seed=1), None),
    "rnnprop": (RNNprop(seed=2), None),
    "adam": (Adam(0.05), None),
    "nesterov": (Momentum(0.05, nesterov=True), None),
    "decayed_adam": (DecayedAdam(0.05, l2=0.1), None),
    "drawn": (
        CoordinatewiseRNN(units=(3,), initial_learning_rate_range=(1e-3, 1e-1)),
        None,
    ),
    "scale": (HierarchicalRNN(attention=True, seed=3), LAYOUT),
}
# An export for any number is used for two.
USES = [
    (name, size)
    for name, (_, layout) in CASES.items()
    for size in ((5, 12) if layout is None else (LAYOUT.size,))
]


def vector(size):
    return Layout(("x",), ((size,),))


@pytest.fixture(scope="module")
def found_elsewhere(tmp_path_factory):
    """What a process that cannot import the package computes."""
    root = tmp_path_factory.mktemp("exports")
    folders = {}
    for name, (cell, layout) in CASES.items():
        save_optimizer(root / name, cell, layout)
    for name, size in USES:
        folder = folders[name, size] = root / f"{name}_{size}"
        folder.mkdir()
        (folder / "saved_model").symlink_to(root / name)
        np.savez(folder / "given.npz", **random_task(20, size))
    use_elsewhere(root, round_trips=folders.values())
    return {
        use: dict(np.load(folder / "found.npz"))
        for use, folder in folders.items()
    }


@pytest.mark.parametrize(("name", "size"), USES)
def test_twenty_updates_elsewhere_are_the_cells(found_elsewhere, name, size):
    cell, layout = CASES[name]
    expected = own_answer(cell, layout or vector(size), random_task(20, size))
    found = found_elsewhere[name, size]
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_allclose(
            found[key], array, rtol=1e-6, atol=1e-6, err_msg=key
        )
    assert np.abs(expected["updates"]).max() > 1e-5


def test_one_trace_serves_every_number_of_coordinates(monkeypatch):
    calls = []
    own = DMLSTM.call

    def counted(cell, inputs, states):
        calls.append(inputs.gradient.shape.as_list())
        return own(cell, inputs, states)

    monkeypatch.setattr(DMLSTM, "call", counted)
    signatures = Export(DMLSTM(units=(2,))).signatures
    for size in (1, 3, 700):
        states = signatures["initial_state"](coordinates=tf.constant(size))
        out = signatures["update"](
            gradient=tf.ones([size]),
            loss=tf.constant(0.0),
            step=tf.constant(1),
            **states,
        )
        assert out["updates"].shape == (size,)
    assert calls == [[None]]


def test_inputs_are_named_after_what_they_are():
    rnnprop, scale = (Export(*CASES[name]) for name in ("rnnprop", "scale"))
    assert list(rnnprop.signatures) == ["initial_state", "update"]
    assert list(rnnprop.inputs["initial_state"]) == ["coordinates"]
    assert list(rnnprop.inputs["update"]) == [
        "gradient",
        "loss",
        "step",
        "state_moments_first_moment",
        "state_moments_second_moment",
        "state_layers_0_hidden",
        "state_layers_0_memory",
        "state_layers_1_hidden",
        "state_layers_1_memory",
    ]
    assert list(scale.signatures) == ["initial_state", "update", "look_ahead"]
    assert list(scale.inputs["initial_state"]) == ["coordinates", "seed"]
    assert list(scale.inputs["look_ahead"])[:2] == [
        "params",
        "state_coordinates",
    ]
    assert "params" in Export(*CASES["decayed_adam"]).inputs["update"]


def test_the_seed_is_that_of_make_seed():
    export = Export(*CASES["drawn"])
    first = export.signatures["initial_state"]
    one, other = (
        first(coordinates=tf.constant(6), seed=tf.constant(seed))
        for seed in (3, 4)
    )
    own = CASES["drawn"][0].get_initial_state(vector(6), seeds.make_seed(3))
    np.testing.assert_allclose(
        one["state_learning_rate"], own.learning_rate, rtol=1e-6
    )
    assert (one["state_learning_rate"] != other["state_learning_rate"])[0]


def test_later_weights_do_not_reach_an_export():
    cell = DMLSTM(units=(2,), output_scale=1.0, seed=4)
    export = Export(cell)
    states = export.signatures["initial_state"](coordinates=tf.constant(2))
    inputs = {
        "gradient": tf.constant([0.5, -2.0]),
        "loss": tf.constant(0.0),
        "step": tf.constant(1),
        **states,
    }
    before = export.signatures["update"](**inputs)["updates"]
    cell.assign_meta_params(2.0 * cell.meta_params())
    after = export.signatures["update"](**inputs)["updates"]
    np.testing.assert_array_equal(before, after)
    assert (before.numpy() != 0.0).all()


@pytest.mark.parametrize("name", ["state_first_moment", "params"])
def test_tensors_of_different_sizes_are_refused(name):
    signatures = Export(DecayedAdam(0.05, l2=0.1)).signatures
    inputs = {
        "gradient": tf.ones([3]),
        "params": tf.ones([3]),
        "loss": tf.constant(0.0),
        "step": tf.constant(1),
        **signatures["initial_state"](coordinates=tf.constant(3)),
    }
    assert signatures["update"](**inputs)["updates"].shape == 3
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=f"{name} has another number of coordinates",
    ):
        signatures["update"](**{**inputs, name: tf.ones([1])})


def test_an_export_for_tensors_refuses_another_number_of_coordinates():
    first = Export(Adam(0.1), LAYOUT).signatures["initial_state"]
    assert first(coordinates=tf.constant(8))["state_first_moment"].shape == 8
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="is for 8 coordinates"
    ):
        first(coordinates=tf.constant(9))


def test_what_it_is_lies_in_the_folder(tmp_path):
    save_optimizer(tmp_path / "out", CASES["scale"][0], LAYOUT, {"episodes": 7})
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    path = tmp_path / "out" / "assets" / "optimizer.json"
    assert loaded.metadata.asset_path.numpy().decode() == str(path)
    facts = json.loads(path.read_text())
    assert facts["cell"] == "HierarchicalRNN"
    assert facts["l2o_tf"] == __version__
    assert facts["tensorflow"] == tf.__version__
    assert facts["training"] == {"episodes": 7}
    assert facts["layout"] == {"w": [3, 2], "b": [2]}
    assert facts["states"][0] == "state_coordinates"
    twin = HierarchicalRNN.from_config(facts["config"])
    assert twin.switches == CASES["scale"][0].switches


def test_a_folder_is_replaced_only_when_told(tmp_path):
    path = tmp_path / "out"
    save_optimizer(path, SGD(0.5))
    with pytest.raises(ValueError, match=f"Received: path='{path}'"):
        save_optimizer(path, Adam(0.5))
    facts = path / "assets" / "optimizer.json"
    assert json.loads(facts.read_text())["cell"] == "SGD"
    save_optimizer(path, Adam(0.5), overwrite=True)
    assert json.loads(facts.read_text())["cell"] == "Adam"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_nothing_is_left_where_tensorflow_cannot_write(tmp_path, monkeypatch):
    def fail(module, path, signatures):
        (tmp_path / path / "saved_model.pb").write_bytes(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="SavedModel .*out: No space left"):
        save_optimizer(tmp_path / "out", SGD(0.5))
    assert list(tmp_path.iterdir()) == []


class ReadsShapes(SGD):
    """Says that it is coordinate-wise, and looks at the tensors."""

    def get_initial_state(self, layout, seed=None):
        return (tf.zeros([len(layout.shapes)]),)


class DependsOnTheKind(SGD):
    """Begins elsewhere where the number of coordinates is not an int."""

    def get_initial_state(self, layout, seed=None):
        start = tf.zeros if isinstance(layout.size, int) else tf.ones
        return (start([layout.size]),)


@pytest.mark.parametrize(
    "cell",
    [HierarchicalRNN(), ReadsShapes(0.1), DependsOnTheKind(0.1)],
    ids=lambda cell: type(cell).__name__,
)
def test_what_sees_tensors_needs_them(cell):
    with pytest.raises(
        ValueError,
        match=f"Received: cell={type(cell).__name__}, layout=None.*--optimizee",
    ):
        Export(cell)


@pytest.mark.parametrize(
    ("cell", "layout", "message"),
    [
        (Adam, None, "Received: cell=<class"),
        (Adam(0.1), {"w": (2,)}, "Received: layout={'w'"),
    ],
)
def test_other_objects_are_refused(cell, layout, message):
    with pytest.raises(ValueError, match=message):
        Export(cell, layout)


class Ambiguous(NamedTuple):
    a: object
    a_b: object


def test_two_tensors_of_one_name_are_refused():
    class Inner(NamedTuple):
        b: object

    with pytest.raises(ValueError, match="Received: state_a_b, state_a_b"):
        state_names(Ambiguous(Inner(1), 2))


def test_an_update_as_stablehlo_takes_and_gives_the_signatures_tensors():
    export = Export(RNNprop(units=(3,), projection_units=2))
    text = export.update_stablehlo(6)
    assert parse(text)
    arguments, results = commented(text)
    assert ([t for _, t in arguments], [t for _, t in results]) == entry(text)
    assert [name for name, _ in arguments] == list(export.inputs["update"])
    assert arguments[3] == ("state_moments_first_moment", "float32 [6]")
    assert results == [("updates", "float32 [6]"), *arguments[3:]]


def test_stablehlo_needs_one_number_of_coordinates():
    export = Export(SGD(0.1))
    with pytest.raises(ValueError, match="Received: coordinates=None"):
        export.update_stablehlo()
    with pytest.raises(ValueError, match="Received: coordinates=0"):
        export.update_stablehlo(0)
    fixed = Export(SGD(0.1), LAYOUT)
    assert entry(fixed.update_stablehlo())[1] == ["float32 [8]"]
    assert fixed.update_stablehlo(8) == fixed.update_stablehlo()
    with pytest.raises(ValueError, match="has 8 .*Received: coordinates=9"):
        fixed.update_stablehlo(9)
