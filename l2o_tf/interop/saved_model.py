"""Export an optimizer as a SavedModel, to be used without this package.

A SavedModel is a folder that any TensorFlow reads, in any of its languages. An
exported optimizer has these signatures:

    initial_state   coordinates, seed         -> state_...
    update          gradient, params, loss,
                    step, state_...           -> updates, state_...
    look_ahead      params, state_...         -> params

`state_...` are the tensors of the cell's state, named by their path in it, as
state_first_moment or state_layers_0_hidden: what `update` returns under these
names is what it takes at the next step. `coordinates`, `seed` and `step` are
int32 scalars; `step` counts from 1; `updates` is to be ADDED to the params.
There is a `seed` where the first state is drawn, `params` of `update` where the
cell reads them, `look_ahead` where its gradients are to be taken elsewhere. An
export for one layout has one number of `coordinates`, any other is refused.

The weights are constants of the graph: an export is for use. (As variables they
would also have to be kept alive by whoever calls a signature.)

Cost of an export: one trace per signature.
"""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.leaf_paths import leaf_paths
from l2o_tf.core.types import Nest, Scalar, Vector
from l2o_tf.interop.stablehlo import stablehlo_text
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.runtime.atomic_folder import check_new_folder, written_whole
from l2o_tf.version import __version__

FORMAT = "l2o_tf.saved_model 1"
METADATA = "optimizer.json"
"""The file in the SavedModel's folder assets/ that says what it is."""
MARKER = "saved_model.pb"
"""The file by which a folder is known for a SavedModel."""
_PREFIX = "state"
# The numbers of coordinates at which an export for any number is checked.
_CHECKED_SIZES = (1, 3)


class _AnySize(NamedTuple):
    """A layout's place where the number of coordinates is a tensor.

    It has nothing else of a layout: a cell that asks for more cannot be
    exported for any number.
    """

    size: Scalar


def state_names(states: Nest) -> tuple[str, ...]:
    """Return a name for each tensor of a state, in `tf.nest`'s order.

    The path from the root: fields of NamedTuples by name, places in tuples by
    number, from 0.

    Raises:
        ValueError: if two tensors have one name.
    """
    names = tuple(leaf_paths(states, _PREFIX, "_"))
    if len(set(names)) != len(names):
        raise ValueError(
            "Two tensors of the state have one name when fields are joined by "
            f"underscores. Received: {', '.join(names)}. Rename a field."
        )
    return names


class Export:
    """The signatures of a cell, as graphs; see the module.

    Args:
        cell: the optimizer; it is not changed, and later changes of its
            weights do not reach the graphs.
        layout: the tensors to export for; None for any number of coordinates,
            which needs a coordinate-wise cell.

    Attributes:
        signatures: name to graph; each takes named tensors and returns a dict.
        inputs: the signatures' names to what they take, name to
            `tf.TensorSpec`.
        names: of the state's tensors, in `tf.nest`'s order.
        draws: bool, whether the first state is drawn.

    Raises:
        ValueError: if `cell` is no optimizer, or cannot be exported for any
            number of coordinates.
    """

    def __init__(
        self, cell: OptimizerCell, layout: Layout | None = None
    ) -> None:
        self.cell = checks.instance("cell", cell, OptimizerCell)
        if layout is not None:
            checks.instance("layout", layout, Layout)
        elif not cell.coordinatewise:
            raise ValueError(_needs_a_layout(cell))
        self.layout = layout
        self._weights = [np.asarray(w) for w in cell.trainable_variables]
        # A state of few numbers, with the structure of them all.
        small = Layout(("x",), ((1,),))
        if layout is not None:
            small = Layout(layout.names, len(layout.names) * ((1,),))
        states = [
            cell.get_initial_state(small, seeds.make_seed(i)) for i in (1, 2)
        ]
        self.names = state_names(states[0])
        self.draws = _differ(*states)
        # The structure of a state, whose type may know the layout.
        self._template: Nest = None
        self.inputs: dict[str, dict[str, tf.TensorSpec]] = {}
        self.signatures: dict[str, Any] = {}
        self._trace_initial_state()
        self._trace_steps()

    def _constants(self) -> tuple[tf.Tensor, ...] | None:
        if not self._weights:
            return None
        return tuple(tf.constant(array) for array in self._weights)

    def _trace(
        self, function: Callable[..., Any], specs: dict[str, tf.TensorSpec]
    ) -> None:
        """Trace a method into the signature of its name."""
        name = function.__name__.removeprefix("_")
        traced = tf.function(function, autograph=False)
        self.signatures[name] = traced.get_concrete_function(**specs)
        self.inputs[name] = specs

    def _trace_initial_state(self) -> None:
        """Trace `initial_state`; for any number, see that it is right."""
        names = ("coordinates", "seed") if self.draws else ("coordinates",)
        specs = {name: _spec(name, [], tf.int32) for name in names}
        if self.layout is not None:
            self._trace(self._initial_state, specs)
            return
        try:
            self._trace(self._initial_state, specs)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(_needs_a_layout(self.cell)) from error
        if not all(self._first_state_is_right(size) for size in _CHECKED_SIZES):
            raise ValueError(_needs_a_layout(self.cell))

    def _trace_steps(self) -> None:
        """Trace `update`, and `look_ahead` if there is one."""
        dtype = self.cell.compute_dtype
        size = None if self.layout is None else self.layout.size
        first = self.signatures["initial_state"].structured_outputs
        states = {
            name: _spec(name, first[name].shape, first[name].dtype)
            for name in self.names
        }
        params = {"params": _spec("params", [size], dtype)}
        inputs = {
            "gradient": _spec("gradient", [size], dtype),
            **(params if self.cell.reads_params else {}),
            "loss": _spec("loss", [], dtype),
            "step": _spec("step", [], tf.int32),
        }
        self._trace(self._update, {**inputs, **states})
        if self.cell.looks_ahead:
            self._trace(self._look_ahead, {**params, **states})

    def _named(self, states: Nest) -> dict[str, tf.Tensor]:
        return dict(zip(self.names, tf.nest.flatten(states), strict=True))

    def _states(self, named: Mapping[str, tf.Tensor], size: Scalar) -> Nest:
        """Return the state of its tensors, if all are of `size` coordinates."""
        leaves = [named[name] for name in self.names]
        for name, leaf in zip(self.names, leaves, strict=True):
            _assert_size(name, leaf, size)
        return tf.nest.pack_sequence_as(self._template, leaves)

    def _initial_state(
        self, coordinates: Scalar, seed: Scalar | None = None
    ) -> dict[str, tf.Tensor]:
        if seed is None:
            pair = seeds.make_seed(0)
        else:
            pair = tf.stack([tf.zeros_like(seed), seed])  # `make_seed`
        layout = self.layout
        if layout is None:
            layout = cast(Layout, _AnySize(coordinates))
        else:
            tf.debugging.assert_equal(
                coordinates,
                layout.size,
                f"The export is for {layout.size} coordinates.",
            )
        states = self.cell.stateless_initial_state(
            self._constants(), layout, pair
        )
        self._template = tf.nest.map_structure(lambda _: None, states)
        return self._named(states)

    def _update(
        self,
        gradient: Vector,
        loss: Scalar,
        step: Scalar,
        params: Vector | tuple[()] = (),
        **states: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        size = tf.size(gradient)
        if self.cell.reads_params:
            _assert_size("params", params, size)
        inputs = OptimizerInputs(gradient, params, loss, step)
        updates, new_states = self.cell.stateless_update(
            self._constants(), inputs, self._states(states, size)
        )
        return {"updates": updates, **self._named(new_states)}

    def _look_ahead(
        self, params: Vector, **states: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        moved = self.cell.look_ahead(
            params, self._states(states, tf.size(params))
        )
        return {"params": moved}

    def _first_state_is_right(self, size: int) -> bool:
        """Whether the graph gives the cell's own first state."""
        layout, seed = Layout(("x",), ((size,),)), 7
        named = {"coordinates": tf.constant(size)}
        if self.draws:
            named["seed"] = tf.constant(seed)
        found = self.signatures["initial_state"](**named)
        own = self._named(
            self.cell.get_initial_state(layout, seeds.make_seed(seed))
        )
        return all(_close(found[name], own[name]) for name in self.names)

    def update_stablehlo(self, coordinates: int | None = None) -> str:
        """Return `update` for one number of coordinates as StableHLO text.

        The weights are constants in it.

        Args:
            coordinates: int; None for those of the layout.

        Raises:
            ValueError: if that number is not known, or is another than the
                layout's.
        """
        size = coordinates if self.layout is None else self.layout.size
        if coordinates not in (size, None):
            raise ValueError(
                f"The layout has {size} coordinates. "
                f"Received: coordinates={coordinates}."
            )
        checks.positive_int("coordinates", size)
        specs = {
            name: _spec(
                name,
                [size if d is None else d for d in spec.shape],
                spec.dtype,
            )
            for name, spec in self.inputs["update"].items()
        }

        def update(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            named = dict(zip(specs, tensors, strict=True))
            results = self.signatures["update"](**named)
            return {name: results[name] for name in ("updates", *self.names)}

        return stablehlo_text("update", update, specs)

    def metadata(self, training: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a SavedModel says of itself, ready for JSON."""
        layout = self.layout
        return {
            "format": FORMAT,
            "l2o_tf": __version__,
            "tensorflow": tf.__version__,
            "cell": type(self.cell).__name__,
            "config": self.cell.get_config(),
            "training": dict(training),
            "layout": None
            if layout is None
            else dict(zip(layout.names, layout.shapes, strict=True)),
            "states": list(self.names),
        }

    def save(
        self,
        path: str | os.PathLike[str],
        training: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write the signatures as a SavedModel; see `save_optimizer`."""
        path = check_new_folder(path, overwrite, MARKER)
        text = json.dumps(self.metadata(training or {}), indent=2) + "\n"
        with tempfile.TemporaryDirectory() as scratch:
            note = pathlib.Path(scratch) / METADATA
            note.write_text(text, encoding="utf-8")
            module = tf.Module()
            module.metadata = tf.saved_model.Asset(str(note))
            with written_whole(path) as folder:
                try:
                    tf.saved_model.save(
                        module, str(folder), signatures=self.signatures
                    )
                except tf.errors.OpError as error:
                    raise OSError(
                        f"Could not write the SavedModel {path}: "
                        f"{error.message}. Mend the cause, or choose another "
                        "folder."
                    ) from error


def save_optimizer(
    path: str | os.PathLike[str],
    cell: OptimizerCell,
    layout: Layout | None = None,
    training: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Export:
    """Write an optimizer as a SavedModel, whole or not at all.

    Args:
        path: the folder to write.
        cell: as `Export` takes it.
        layout: as `Export` takes it.
        training: JSON-serialisable facts of where the weights come from, kept
            with the cell's name and arguments in assets/optimizer.json.
        overwrite: whether a SavedModel that is there may be replaced.

    Returns:
        What was written.

    Raises:
        ValueError: as `Export`, or if something is at `path` that may not be
            replaced.
        OSError: if it cannot be written.

    Example:
    >>> from l2o_tf.optimizers.sgd import SGD
    >>> folder = tempfile.mkdtemp()
    >>> _ = save_optimizer(folder + "/sgd", SGD(learning_rate=0.5))
    >>> update = tf.saved_model.load(folder + "/sgd").signatures["update"]
    >>> out = update(
    ...     gradient=tf.constant([2.0, -4.0]),
    ...     loss=tf.constant(0.0),
    ...     step=tf.constant(1),
    ... )
    >>> out["updates"].numpy()
    array([-1.,  2.], dtype=float32)
    """
    check_new_folder(path, overwrite, MARKER)  # before any work
    export = Export(cell, layout)
    export.save(path, training, overwrite)
    return export


def _spec(
    name: str, shape: Sequence[int | None], dtype: tf.DType
) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name=name)


def _assert_size(name: str, tensor: tf.Tensor, size: Scalar) -> None:
    """Check in the graph that an axis of unknown length is of `size`.

    A tensor of a single coordinate would be broadcast without a word.
    """
    for axis, length in enumerate(tensor.shape):
        if length is None:
            tf.debugging.assert_equal(
                tf.shape(tensor)[axis],
                size,
                f"{name} has another number of coordinates.",
            )


def _close(one: tf.Tensor, other: tf.Tensor) -> bool:
    same = one.dtype == other.dtype and one.shape == other.shape
    return same and np.allclose(one, other, rtol=1e-6, atol=0.0)


def _differ(one: Nest, other: Nest) -> bool:
    pairs = zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True)
    return any((a.numpy() != b.numpy()).any() for a, b in pairs)


def _needs_a_layout(cell: OptimizerCell) -> str:
    return (
        "The optimizer does not work on any number of coordinates: it sees "
        "tensors, or draws one number for all. Received: "
        f"cell={type(cell).__name__}, layout=None. Export it for one layout: "
        "`layout=named_optimizee('mlp_orig', 'train').layout`, or in the "
        "command --optimizee=mlp_orig or --shapes=w:784x20,b:20."
    )
