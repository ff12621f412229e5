"""Released files become weights files of this package."""

import hashlib

import convert_released_weights
import numpy as np
import pytest
from support.hierarchical import flat_weights
from support.released_checkpoints import (
    DATA,
    NAME,
    by_variable,
    random_arrays,
    save_checkpoint,
)
from support.released_pickles import released_pickle

from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.weights import load_cell, save_weights


def weights_of(cell):
    values = map(np.asarray, cell.meta_layout.split(cell.meta_params()))
    return dict(zip(cell.meta_layout.names, values, strict=True))


@pytest.fixture
def released(tmp_path):
    """Two pickles, called and placed as the released ones, and an .npz."""
    cells = {
        "dm/cw.l2l-0": DMLSTM(seed=1),
        "dm_cl/cw.l2l-0": DMLSTM(seed=2),
        "arrays/rp.npz": RNNprop(seed=3),
    }
    for name, cell in cells.items():
        path = tmp_path / name
        path.parent.mkdir()
        if path.suffix == ".npz":
            np.savez(path, **weights_of(cell))
        else:
            path.write_bytes(released_pickle(weights_of(cell)))
    return {tmp_path / name: cell for name, cell in cells.items()}


def test_each_file_is_converted_and_named(released, tmp_path, capsys):
    folder = tmp_path / "new" / "weights"
    arguments = [*map(str, released), f"--output_dir={folder}"]
    assert convert_released_weights.main(arguments) == 0
    outputs = [folder / f"{name}.npz" for name in ("dm", "dm_cl", "rp")]
    kinds = ["DMLSTM, 5,141", "DMLSTM, 5,141", "RNNprop, 6,641"]
    assert capsys.readouterr().out.splitlines() == [
        f"{source} -> {output}: {kind} weights"
        for source, output, kind in zip(released, outputs, kinds, strict=True)
    ]
    for (source, cell), output in zip(released.items(), outputs, strict=True):
        back, facts = load_cell(output)
        assert type(back) is type(cell)
        np.testing.assert_array_equal(back.meta_params(), cell.meta_params())
        assert facts == {
            "source": "converted from the released weights of Chen et al. 2020",
            "file": source.name,
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        }


@pytest.mark.parametrize("kind", ["checkpoint", "npz"])
def test_the_checkpoint_of_l2o_scale_is_converted(kind, tmp_path, capsys):
    arrays = random_arrays()
    if kind == "npz":
        source = tmp_path / "scale.npz"
        np.savez(source, **arrays)
        files = [source]
    else:
        source = tmp_path / "scale" / NAME
        save_checkpoint(source.parent, by_variable(arrays))
        files = [source.with_name(DATA), source.with_name(f"{NAME}.index")]
    folder = tmp_path / "new"
    arguments = [str(source), f"--output_dir={folder}"]
    assert convert_released_weights.main(arguments) == 0
    output = folder / "scale.npz"
    assert capsys.readouterr().out == (
        f"{source} -> {output}: HierarchicalRNN, 8,349 weights\n"
    )
    cell, facts = load_cell(output)
    np.testing.assert_array_equal(
        cell.meta_params(), flat_weights(cell, by_variable(arrays), "")
    )
    content = b"".join(path.read_bytes() for path in files)
    assert facts == {
        "source": "converted from the released weights of Chen et al. 2020",
        "file": source.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "global_step": 17,
    }


def test_an_untrained_checkpoint_is_called_so(tmp_path, shared_dir, capsys):
    source = shared_dir / "weights" / "l2o_scale_cl_il.npz"
    arguments = [str(source), f"--output_dir={tmp_path}"]
    assert convert_released_weights.main(arguments) == 0
    notice = "practically the random initialisation after 6 meta-updates"
    assert capsys.readouterr().out.endswith(f"8,349 weights; {notice}\n")
    _, facts = load_cell(tmp_path / source.name)
    assert facts["global_step"] == 6
    assert facts["notice"] == notice


def test_existing_files_are_replaced_only_when_asked(
    released, tmp_path, capsys
):
    source, cell = next(iter(released.items()))
    output = tmp_path / "dm.npz"
    output.write_bytes(b"mine")
    arguments = [str(source), f"--output_dir={tmp_path}"]
    assert convert_released_weights.main(arguments) == 1
    assert f"--overwrite. Received: {output}" in capsys.readouterr().err
    assert output.read_bytes() == b"mine"
    assert convert_released_weights.main([*arguments, "--overwrite"]) == 0
    np.testing.assert_array_equal(
        load_cell(output)[0].meta_params(), cell.meta_params()
    )


def test_two_files_of_one_name_are_refused(released, tmp_path, capsys):
    source = next(iter(released))
    arguments = [str(source), str(source), f"--output_dir={tmp_path}/out"]
    assert convert_released_weights.main(arguments) == 1
    assert "more than one for" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_of_this_package_is_refused(tmp_path, capsys):
    path = tmp_path / "own.npz"
    cell = DMLSTM(units=(3,))
    save_weights(path, cell, cell.meta_params(), {})
    arguments = [str(path), f"--output_dir={tmp_path}/out"]
    assert convert_released_weights.main(arguments) == 1
    error = capsys.readouterr().err
    assert "one of this package's own" in error
    assert f"Received: path={str(path)!r}" in error


def test_nothing_is_written_when_one_file_cannot_be_read(
    released, tmp_path, capsys
):
    absent = tmp_path / "absent" / "cw.l2l-0"
    arguments = [*map(str, released), str(absent), f"--output_dir={tmp_path}"]
    assert convert_released_weights.main(arguments) == 1
    error = capsys.readouterr().err
    assert f"Received: path={str(absent)!r}" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.npz"))


def test_an_output_folder_is_asked_for(capsys):
    with pytest.raises(SystemExit, match="2"):
        convert_released_weights.main(["cw.l2l-0"])
    assert "--output_dir" in capsys.readouterr().err
