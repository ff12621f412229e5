"""The checkpoint of L2O-Scale that Chen et al. (2020) released.

A checkpoint of TensorFlow 1 (`model.ckpt-0.index` and its data), or its plain
.npz copy: 31 weights, the two slots of RMSProp for each, and global_step. Both
are numbers only; nothing of them is executed. `_NAMES` says which array is
which weight of a `HierarchicalRNN`.

The released one stands at global_step 6 and is, in effect, untrained: see
`ReleasedCheckpoint.is_initial`.

Reference: Chen et al., NeurIPS 2020, "Training Stronger Baselines for Learning
to Optimize"; spec l2o_scale.md 7.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.runtime.arrays import (
    CheckpointError,
    DamagedFileError,
    format_of,
    load_plain_arrays,
)

_LOW, _MID, _HIGH = "PerTensor/Layer0_RNN", "PerTensor/Layer1_RNN", "Layer2_RNN"
_GATES, _CAND = "BiasGRUCell/gates/Affine/*", "BiasGRUCell/candidate/Affine/*"
# The weight here; the array of the .npz file; the variable of the checkpoint,
# after LOL/; its shape in both. A row with * is two: w, kernel, Matrix, and b,
# bias, Bias; the shape is the matrix's.
_NAMES: tuple[tuple[str, str, str, tuple[int, ...]], ...] = (
    ("level_0_init", "level0_init", "Level0_RNN/init_vector", (1, 10)),
    ("level_1_init", "level1_init", "Level1_RNN/init_vector", (1, 20)),
    ("level_2_init", "level2_init", "Level2_RNN/init_vector", (1, 20)),
    ("level_0/*_gates", "level0_gates_*", f"{_LOW}/{_GATES}", (22, 20)),
    ("level_0/*_candidate", "level0_cand_*", f"{_LOW}/{_CAND}", (22, 10)),
    ("level_1/*_gates", "level1_gates_*", f"{_MID}/{_GATES}", (42, 40)),
    ("level_1/*_candidate", "level1_cand_*", f"{_MID}/{_CAND}", (42, 20)),
    ("level_2/*_gates", "level2_gates_*", f"{_HIGH}/{_GATES}", (40, 40)),
    ("level_2/*_candidate", "level2_cand_*", f"{_HIGH}/{_CAND}", (40, 20)),
    ("level_1_to_0/*", "l1_to_l0_*", f"{_LOW}/Param/Affine/*", (20, 30)),
    ("level_2_to_0/*", "l2_to_l0_*", f"{_LOW}/Global/Affine/*", (20, 30)),
    ("level_2_to_1/*", "l2_to_l1_*", f"{_MID}/Affine/*", (20, 60)),
    ("update_weights", "update_kernel", "update_weights", (10, 1)),
    (
        "gradient_shortcut",
        "grad_shortcut_kernel",
        "PerTensor/GradsToDelta/Matrix",
        (4, 1),
    ),
    ("scale_decay_weights", "scl_decay_kernel", "scl_decay_weights", (10, 1)),
    ("scale_decay_bias", "scl_decay_bias", "scl_decay_bias", (1,)),
    ("input_decay_weights", "inp_decay_kernel", "inp_decay_weights", (10, 1)),
    ("input_decay_bias", "inp_decay_bias", "inp_decay_bias", (1,)),
    ("learning_rate_weights", "lr_kernel", "learning_rate_weights", (10, 1)),
    ("learning_rate_bias", "lr_bias", "learning_rate_bias", (1,)),
    (
        "learning_rate_momentum_logit",
        "lr_momentum_logit",
        "PerTensor/learning_rate_momentum_logit",
        (),
    ),
    (
        "step_size_offset",
        "stepsize_offset",
        "PerTensor/param_stepsize_offset",
        (),
    ),
)
_PARTS = (("w", "kernel", "Matrix"), ("b", "bias", "Bias"))
_STEP = "global_step"
_CELL = "hierarchical_rnn"

# A weight, its mean square and its momentum, in the two kinds of file.
_ARRAYS = ("{}", "rmsprop_ms/{}", "rmsprop_mom/{}")
_VARIABLES = ("LOL/{}", "LOL/{}/RMSProp", "LOL/{}/RMSProp_1")

_FILE_OF_CHECKPOINT = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_PREFIX = re.compile(r".+\.ckpt(-\d+)?")
_LISTED = 10  # names in a message


class ReleasedCheckpoint(NamedTuple):
    """What the checkpoint holds.

    Attributes:
        cell: the optimizer with its weights.
        mean_square: float32 `[M]`, of RMSProp (decay 0.9, from 1), in the
            order of `cell.meta_params()`.
        momentum: float32 `[M]`, RMSProp's; as its momentum is 0, the last
            meta-update, to be subtracted.
        global_step: int, meta-updates made.
    """

    cell: HierarchicalRNN
    mean_square: np.ndarray
    momentum: np.ndarray
    global_step: int

    @property
    def is_initial(self) -> bool:
        """Whether the weights are, in effect, those training began with.

        Every mean square is 0.9^global_step: so no squared gradient was worth
        mentioning beside it, and no weight moved by more than a hundredth of
        the learning rate (1e-6) in any update.
        """
        untouched = 0.9**self.global_step
        return bool(np.allclose(self.mean_square, untouched, 1e-5, 0.0))


class _Place(NamedTuple):
    """A weight's names in the two kinds of file, and its shape there."""

    array: str
    variable: str
    shape: tuple[int, ...]


def _places() -> dict[str, _Place]:
    """Return `_NAMES` as a dict by the weight's path, a row for each."""
    places = {}
    for path, array, variable, shape in _NAMES:
        if "*" not in path:
            places[path] = _Place(array, variable, shape)
            continue
        for ours, flat, original in _PARTS:
            places[path.replace("*", ours)] = _Place(
                array.replace("*", flat),
                variable.replace("*", original),
                shape if ours == "w" else shape[1:],
            )
    return places


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:_LISTED]
    if len(names) > _LISTED:
        shown.append(f"{len(names) - _LISTED} more")
    return ", ".join(shown)


def _check_shapes(
    path: pathlib.Path,
    received: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    """Compare all names and shapes, before a number is looked at."""
    missing = expected.keys() - received.keys()
    unknown = received.keys() - expected.keys()
    other = [
        f"{name} {received[name]} for {shape}"
        for name, shape in expected.items()
        if name in received and received[name] != shape
    ]
    wrong = [
        f"{what}: {_listed(names)}."
        for what, names in (
            ("Missing", missing),
            ("Unknown", unknown),
            ("Of another shape", other),
        )
        if names
    ]
    if wrong:
        raise CheckpointError(
            "The arrays are not those of the released L2O-Scale checkpoint, "
            f"{len(expected)} in all. Received: path={str(path)!r}. "
            f"{' '.join(wrong)}"
        )


def _check_numbers(
    path: pathlib.Path, arrays: Mapping[str, np.ndarray]
) -> None:
    for name, array in arrays.items():
        where = f"Received: {name} of type {array.dtype} in path={str(path)!r}."
        if name == _STEP:
            if array.dtype.kind not in "iu" or array < 0:
                raise CheckpointError(
                    f"{_STEP} must be an int >= 0, not {array}. {where}"
                )
        elif array.dtype != np.float32 or not np.isfinite(array).all():
            raise CheckpointError(
                f"The arrays must be float32 and finite. {where}"
            )


def is_tensorflow_checkpoint(path: str | pathlib.Path) -> bool:
    """Whether it is, or is called as, a checkpoint of TensorFlow.

    That is a directory, a prefix (`model.ckpt-0`), or one of the files that
    begin with it (`model.ckpt-0.index`).
    """
    path = pathlib.Path(path)
    return (
        path.is_dir()
        or _FILE_OF_CHECKPOINT.search(path.name) is not None
        or _PREFIX.fullmatch(path.name) is not None
        or path.with_name(f"{path.name}.index").is_file()
    )


def is_released_checkpoint(path: str | pathlib.Path) -> bool:
    """Whether `load_released_checkpoint` is to read it.

    It is a checkpoint of TensorFlow, see `is_tensorflow_checkpoint`, or an
    .npz file without metadata with the name of at least one of the arrays.

    Raises:
        CheckpointError: if it is neither that nor a readable .npz file.
    """
    if is_tensorflow_checkpoint(path):
        return True
    if format_of(path) is not None:
        return False
    known = {place.array for place in _places().values()}
    return not known.isdisjoint(load_plain_arrays(path))


def _prefix(path: pathlib.Path) -> pathlib.Path:
    """Return the prefix of a TensorFlow checkpoint, of which there is one."""
    if path.is_dir():
        # Not by the file `checkpoint`, which may name another machine's paths.
        found = sorted(path.glob("*.index"))
        if len(found) != 1:
            names = _listed([p.name for p in found]) or "none"
            raise CheckpointError(
                "A directory is read if it has one TensorFlow checkpoint, "
                f"NAME.index. Received: path={str(path)!r} with {names}. Give "
                "the checkpoint's path, or that of a file of weights."
            )
        path = found[0]
    path = path.with_name(_FILE_OF_CHECKPOINT.sub("", path.name))
    if not path.with_name(f"{path.name}.index").is_file():
        raise CheckpointError(
            "There is no such TensorFlow checkpoint: it needs the file "
            f"{path.name}.index. Received: path={str(path)!r}. Give the path "
            "without .index, with it, or the directory."
        )
    return path


def checkpoint_files(path: str | pathlib.Path) -> list[pathlib.Path]:
    """Return the files that the numbers are in, sorted.

    Raises:
        CheckpointError: if there is no such checkpoint.
    """
    path = pathlib.Path(path)
    if not is_tensorflow_checkpoint(path):
        return [path]
    prefix = _prefix(path)
    pattern = re.compile(
        re.escape(prefix.name) + r"\.(index|data-\d{5}-of-\d{5})"
    )
    return sorted(
        p for p in prefix.parent.iterdir() if pattern.fullmatch(p.name)
    )


def _read_tensorflow(
    prefix: pathlib.Path, expected: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Read the variables, once all of them have the right shapes."""
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        _check_shapes(
            prefix, {name: tuple(s) for name, s in shapes.items()}, expected
        )
        return {name: np.asarray(reader.get_tensor(name)) for name in expected}
    except (tf.errors.OpError, IndexError) as error:
        raise DamagedFileError(
            f"The TensorFlow checkpoint is damaged or cut off ({error}). "
            f"Received: path={str(prefix)!r}."
        ) from error


def load_released_checkpoint(path: str | pathlib.Path) -> ReleasedCheckpoint:
    """Read the checkpoint of L2O-Scale from either kind of file.

    Args:
        path: of a TensorFlow checkpoint the prefix (`model.ckpt-0`), one of
            its files (`model.ckpt-0.index`) or its directory, if there is one
            checkpoint in it; or an .npz file with the same arrays.

    Returns:
        A cell named "hierarchical_rnn", with what RMSProp needs to go on.

    Raises:
        CheckpointError: if there is no such file, an array is missing, unknown
            or of another shape or type, or a number is not finite.
        DamagedFileError: if a file is cut off or its checksum is wrong.
    """
    path = pathlib.Path(path)
    tensorflow = is_tensorflow_checkpoint(path)
    names: dict[str, list[str]] = {}
    expected: dict[str, tuple[int, ...]] = {_STEP: ()}
    for weight, place in _places().items():
        name = place.variable if tensorflow else place.array
        forms = _VARIABLES if tensorflow else _ARRAYS
        names[weight] = [form.format(name) for form in forms]
        expected |= dict.fromkeys(names[weight], place.shape)
    if tensorflow:
        arrays = _read_tensorflow(_prefix(path), expected)
    else:
        arrays = load_plain_arrays(path)
        _check_shapes(path, {k: a.shape for k, a in arrays.items()}, expected)
    _check_numbers(path, arrays)
    cell = HierarchicalRNN(name=_CELL)
    order = [p.removeprefix(f"{_CELL}/") for p in cell.meta_layout.names]
    weights, mean_square, momentum = (
        np.concatenate([arrays[names[weight][i]].ravel() for weight in order])
        for i in range(3)
    )
    cell.assign_meta_params(weights)
    return ReleasedCheckpoint(cell, mean_square, momentum, int(arrays[_STEP]))
