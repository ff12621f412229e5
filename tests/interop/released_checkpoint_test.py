"""L2O-Scale's checkpoint: the same numbers from both files, or a refusal."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from support.hierarchical import NAMES, flat_weights, original_name
from support.released_checkpoints import (
    DATA,
    FLAT,
    NAME,
    by_variable,
    random_arrays,
    save_checkpoint,
)
from support.released_pickles import released_pickle

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.datasets.embedded import load_mnist_subset
from l2o_tf.interop.released_checkpoint import (
    ReleasedCheckpoint,
    checkpoint_files,
    is_released_checkpoint,
    is_tensorflow_checkpoint,
    load_released_checkpoint,
)
from l2o_tf.interop.released_weights import load_released, model_name
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.weights import load_cell, save_weights
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.base import OptimizerInputs
from l2o_tf.optimizers.rmsprop import RMSProp, RMSPropState
from l2o_tf.runtime.arrays import CheckpointError, DamagedFileError
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll


@pytest.fixture(scope="module")
def arrays():
    return random_arrays()


@pytest.fixture(scope="module")
def written(arrays, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hess_cl_mt") / "HierarchicalRNN"
    save_checkpoint(folder, by_variable(arrays))
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(written, tmp_path / "copy")


@pytest.fixture
def npz(arrays, tmp_path):
    path = tmp_path / "scale.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def released(shared_dir):
    path = shared_dir / "weights" / "l2o_scale_cl_il.npz"
    return dict(np.load(path)), load_released_checkpoint(path)


def assert_is(checkpoint, arrays):
    """Check every number, by the independent map of the test support."""
    named = by_variable(arrays)
    cell = checkpoint.cell
    assert type(cell) is HierarchicalRNN
    assert cell.name == "hierarchical_rnn"
    np.testing.assert_array_equal(
        cell.meta_params(), flat_weights(cell, named, "")
    )
    for vector, slot in (
        (checkpoint.mean_square, "/RMSProp"),
        (checkpoint.momentum, "/RMSProp_1"),
    ):
        slots = {
            k.removesuffix(slot): v
            for k, v in named.items()
            if k.endswith(slot)
        }
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector, flat_weights(cell, slots, ""))
    assert checkpoint.global_step == arrays["global_step"]
    assert type(checkpoint.global_step) is int


def refused(path, *messages, kind=CheckpointError):
    """Check that both doors refuse the file, in these words."""
    for door in (load_released_checkpoint, load_released):
        with pytest.raises(CheckpointError) as caught:
            door(path)
        assert type(caught.value) is kind
        for message in messages:
            assert message in str(caught.value)


def test_the_two_maps_of_names_name_the_same_variables():
    variables = {f"LOL/{variable}" for variable, _ in FLAT.values()}
    assert variables == set(NAMES.values())
    assert len(variables) == 31
    names = HierarchicalRNN(name="hierarchical_rnn").meta_layout.names
    assert {original_name(name) for name in names} == variables


@pytest.mark.parametrize(
    "spelling", ["", NAME, f"{NAME}.index", f"{NAME}.meta", DATA]
)
def test_a_checkpoint_is_read_by_any_of_its_names(spelling, written, arrays):
    reader = tf.train.load_checkpoint(str(written / NAME))
    assert len(reader.get_variable_to_shape_map()) == 94
    assert reader.get_tensor("global_step").dtype == np.int64
    for path in (written / spelling, str(written / spelling)):
        assert is_released_checkpoint(path)
        assert_is(load_released_checkpoint(path), arrays)


def test_a_prefix_of_any_name_and_a_relative_path_are_read(
    folder, arrays, monkeypatch
):
    for path in folder.glob(f"{NAME}.*"):
        path.rename(folder / path.name.replace(NAME, "weights"))
    assert_is(load_released_checkpoint(folder / "weights"), arrays)
    monkeypatch.chdir(folder)
    for path in (".", "weights", "weights.index"):
        assert_is(load_released_checkpoint(path), arrays)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_the_npz_holds_the_same(dtype, npz, arrays):
    np.savez(
        npz, **arrays | {"global_step": arrays["global_step"].astype(dtype)}
    )
    assert is_released_checkpoint(npz)
    assert not is_tensorflow_checkpoint(npz)
    assert_is(load_released_checkpoint(npz), arrays)


def test_the_one_door_for_released_weights_opens_both(written, npz):
    cells = [load_released(path) for path in (written / NAME, written, npz)]
    assert [type(cell) for cell in cells] == [HierarchicalRNN] * 3
    for cell in cells[1:]:
        np.testing.assert_array_equal(
            cell.meta_params(), cells[0].meta_params()
        )


def test_other_weights_are_not_taken_for_the_checkpoint(tmp_path):
    cell = HierarchicalRNN(seed=3)
    save_weights(tmp_path / "own.npz", cell, cell.meta_params(), {})
    np.savez(tmp_path / "plain.npz", w=np.zeros(2, "f4"))
    (tmp_path / "cw.l2l-0").write_bytes(
        released_pickle({"linear/w": np.zeros([2, 1], "f4")})
    )
    for name in ("own.npz", "plain.npz"):
        assert not is_released_checkpoint(tmp_path / name)
    np.testing.assert_array_equal(
        load_released(tmp_path / "own.npz").meta_params(), cell.meta_params()
    )
    with pytest.raises(CheckpointError, match="not the weights of such a cell"):
        load_released(tmp_path / "cw.l2l-0")


def test_a_checkpoint_is_called_as_its_folder_and_the_npz_as_itself(
    written, npz
):
    for path in (written, written / NAME, written / DATA):
        assert model_name(path) == "HierarchicalRNN"
    assert model_name(npz) == "scale"


def test_the_files_with_the_numbers_are_listed(written, npz):
    expected = [written / DATA, written / f"{NAME}.index"]
    for spelling in ("", NAME, f"{NAME}.index"):
        assert checkpoint_files(written / spelling) == expected
    assert checkpoint_files(npz) == [npz]
    with pytest.raises(CheckpointError, match=r"needs the file x\.ckpt\.index"):
        checkpoint_files(written / "x.ckpt")


def test_a_converted_checkpoint_comes_back_from_our_own_file(npz, tmp_path):
    cell = load_released(npz)
    save_weights(tmp_path / "own.npz", cell, cell.meta_params(), {})
    back, _ = load_cell(tmp_path / "own.npz")
    np.testing.assert_array_equal(back.meta_params(), cell.meta_params())


def test_rmsprop_goes_on_from_the_slots(npz, arrays):
    np.savez(
        npz, **{k: np.abs(a) if "_ms" in k else a for k, a in arrays.items()}
    )
    found = load_released_checkpoint(npz)
    state = RMSPropState(*map(tf.constant, (found.mean_square, found.momentum)))
    gradient = tf.ones([8349])
    inputs = OptimizerInputs(
        gradient, (), tf.constant(0.0), tf.constant(found.global_step + 1)
    )
    update, state = RMSProp(learning_rate=1e-6).call(inputs, state)
    root = np.sqrt(0.9 * found.mean_square + 0.1)
    np.testing.assert_allclose(update, -1e-6 / root, rtol=1e-5)
    np.testing.assert_allclose(state.momentum, -update, rtol=1e-6)


@pytest.mark.parametrize(
    ("factor", "steps", "expected"),
    [
        (1.0, 6, True),
        (1.0, 300, True),
        (1.0 + 1e-3, 6, False),
        (1.0 - 1e-3, 6, False),
    ],
)
def test_initial_means_mean_squares_that_saw_no_gradient(
    factor, steps, expected
):
    mean_square = np.full(8349, 0.9**steps, "f4")
    mean_square[123] *= factor
    checkpoint = ReleasedCheckpoint(
        HierarchicalRNN(), mean_square, np.zeros(8349, "f4"), steps
    )
    assert checkpoint.is_initial is expected


# --- what the released one is ---------------------------------------------


def test_the_released_npz_is_read_number_by_number(released):
    arrays, checkpoint = released
    assert len(arrays) == 94
    assert_is(checkpoint, arrays)


def test_the_released_checkpoint_has_seen_six_vanishing_gradients(released):
    arrays, checkpoint = released
    assert checkpoint.global_step == 6
    assert checkpoint.is_initial
    np.testing.assert_allclose(checkpoint.mean_square, 0.9**6, rtol=3e-7)
    largest = np.abs(checkpoint.momentum).max()
    np.testing.assert_allclose(largest, 4.7e-13, rtol=0.01)
    for level in range(3):  # no reset at the last update
        assert not arrays[f"rmsprop_mom/level{level}_init"].any()


def test_the_released_weights_are_those_training_begins_with(released):
    cell = released[1].cell
    weights = {v.path: np.asarray(v) for v in cell.trainable_variables}
    fresh = {
        v.path: np.asarray(v)
        for v in HierarchicalRNN(name="hierarchical_rnn").trainable_variables
    }
    own = "hierarchical_rnn/"
    for name, value in (
        ("level_1/b_gates", 2.2),
        ("level_2/b_gates", 2.2),
        ("level_0/b_gates", 2.2),
        (f"{own}scale_decay_bias", 3.2),
        (f"{own}input_decay_bias", 2.2),
        (f"{own}learning_rate_momentum_logit", 3.2),
        (f"{own}step_size_offset", -1.0),
    ):
        np.testing.assert_array_equal(weights[name], np.float32(value))
        np.testing.assert_array_equal(weights[name], fresh[name])
    for name, array in weights.items():
        if array.ndim == 2:  # of hundreds of numbers
            spread = 0.5 / np.sqrt(array.shape[0])
            assert abs(array.std() / spread - 1.0) < 0.07, name
            assert abs(array.mean()) < 4.0 * spread / np.sqrt(array.size), name
        elif name.endswith(("/b", "b_candidate")):
            assert np.abs(array).max() < 3e-11, name
    np.testing.assert_allclose(
        weights[f"{own}learning_rate_bias"], 2.69e-9, rtol=0.01
    )
    assert np.abs(weights[f"{own}learning_rate_weights"]).max() < 1.5e-9
    np.testing.assert_allclose(
        weights[f"{own}gradient_shortcut"],
        [0.266, 0.221, 0.191, 0.373],
        atol=5e-4,
    )
    for i in range(3):
        assert np.abs(weights[f"{own}level_{i}_init"]).max() < 1.0


def test_the_released_optimizer_makes_steps_of_its_random_rates(released):
    """It walks with the learning rates it drew, which it cannot change."""
    cell = released[1].cell
    mlp = MLP(load_mnist_subset(), "test", (20,), "sigmoid")

    @tf.function
    def run(seed):
        _, steps = unroll(
            cell,
            mlp,
            start_episode(cell, mlp, seed),
            20,
            collect=lambda s: (s.update, s.states.log_learning_rate),
        )
        return steps

    ratios = []
    for seed in range(3):
        updates, log_rates = (x.numpy() for x in run(seeds.make_seed(seed)))
        # They stay: two units in the last place of -9.
        assert np.abs(log_rates - log_rates[0]).max() <= 2e-6
        directions = updates / np.exp(log_rates - 1.0)
        for tensor in np.split(directions, mlp.layout.offsets[1:], axis=1):
            rms = np.sqrt(np.mean(np.square(tensor), axis=1))
            np.testing.assert_allclose(rms, 1.0, rtol=1e-5)
        ratios.append(np.abs(updates).mean() / np.exp(log_rates - 1.0).mean())
    # A direction's mean size is 0.83, its rms being 1. Over the draws lr has
    # the mean ((1e-1 - 1e-3) / ln 100)^2, so that of e^-1 lr is 1.7e-4.
    np.testing.assert_allclose(ratios, 0.83, rtol=0.04)
    many = Layout.from_shapes({str(i): (1,) for i in range(2000)})
    rates = np.exp(cell.get_initial_state(many).log_learning_rate - 1.0)
    np.testing.assert_allclose(rates.mean(), 1.7e-4, rtol=0.1)


# --- what is refused -------------------------------------------------------


def test_missing_files_are_named(tmp_path):
    for name in (NAME, f"{NAME}.index", DATA):
        refused(
            tmp_path / name,
            f"it needs the file {NAME}.index",
            f"path={str(tmp_path / NAME)!r}",
        )
    refused(tmp_path / "no.npz", "No such file", f"{tmp_path / 'no.npz'}")


def test_a_directory_needs_exactly_one_checkpoint(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, "one TensorFlow checkpoint", f"{str(empty)!r} with none")
    shutil.copy(folder / f"{NAME}.index", folder / "model.ckpt-9.index")
    refused(folder, f"with {NAME}.index, model.ckpt-9.index. Give the")


@pytest.mark.parametrize("size", [0, 3, 40, -1])
@pytest.mark.parametrize("name", [f"{NAME}.index", DATA])
def test_a_checkpoint_cut_off_is_damaged(name, size, folder):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:size])
    refused(
        folder / NAME,
        "damaged or cut off",
        f"Received: path={str(folder / NAME)!r}",
        kind=DamagedFileError,
    )


def test_changed_data_fails_its_checksum(folder):
    content = bytearray((folder / DATA).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / DATA).write_bytes(content)
    refused(folder, "Checksum does not match", kind=DamagedFileError)


def test_a_checkpoint_without_its_data_is_damaged(folder):
    (folder / DATA).unlink()
    refused(folder, "No such file", kind=DamagedFileError)


CHANGES = [
    ({"lr_bias": None}, "Missing: lr_bias."),
    ({"rmsprop_mom/lr_bias": None}, "Missing: rmsprop_mom/lr_bias."),
    ({"global_step": None}, "Missing: global_step."),
    ({"attention": np.zeros(2, "f4")}, "Unknown: attention."),
    (
        {"update_kernel": np.zeros(10, "f4")},
        "Of another shape: update_kernel (10,) for (10, 1).",
    ),
    (
        {"rmsprop_ms/level0_init": np.zeros([10, 1], "f4")},
        "Of another shape: rmsprop_ms/level0_init (10, 1) for (1, 10).",
    ),
    (
        {"lr_bias": None, "more": np.zeros(1, "f4")},
        "Missing: lr_bias. Unknown: more.",
    ),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_other_arrays_are_listed(change, message, npz, arrays):
    content = {k: v for k, v in (arrays | change).items() if v is not None}
    np.savez(npz, **content)
    refused(npz, message, "94 in all", f"Received: path={str(npz)!r}")


def test_long_lists_are_cut(npz, arrays):
    np.savez(npz, update_kernel=arrays["update_kernel"])
    refused(npz, "Missing: global_step, grad_shortcut_kernel,", ", 83 more.")


def test_other_variables_of_a_checkpoint_are_listed(arrays, tmp_path):
    named = by_variable(arrays)
    del named["LOL/update_weights/RMSProp_1"]
    named["LOL/attention_weights"] = np.zeros([10, 1], "f4")
    named["LOL/scl_decay_bias"] = np.zeros(2, "f4")
    save_checkpoint(tmp_path / "other", named)
    refused(
        tmp_path / "other",
        "Missing: LOL/update_weights/RMSProp_1.",
        "Unknown: LOL/attention_weights.",
        "Of another shape: LOL/scl_decay_bias (2,) for (1,).",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lr_bias", np.zeros(1), "float32 and finite. Received: lr_bias of "),
        ("lr_bias", np.zeros(1, "i4"), "lr_bias of type int32"),
        ("lr_bias", np.full(1, np.nan, "f4"), "lr_bias of type float32"),
        (
            "rmsprop_ms/lr_bias",
            np.full(1, np.inf, "f4"),
            "finite. Received: rmsprop_ms/lr_bias",
        ),
        ("global_step", np.int32(-1), "an int >= 0, not -1. Received: global"),
        ("global_step", np.float32(6), "an int >= 0, not 6.0. Received: glo"),
    ],
)
def test_other_numbers_are_refused(name, value, message, npz, arrays):
    np.savez(npz, **arrays | {name: value})
    refused(npz, message, f"path={str(npz)!r}")


def test_objects_are_not_unpickled(npz, arrays):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    content = arrays | {"lr_bias": np.array([Trap()], object)}
    np.savez(npz, **content)
    refused(npz, "only numbers are read", "'lr_bias.npy'")


def test_a_file_that_is_no_npz_is_damaged(npz):
    npz.write_bytes(b"no zip file")
    refused(npz, "not an .npz file", kind=DamagedFileError)
