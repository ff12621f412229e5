"""Any Keras model with a loss and data, as a problem to optimise.

The model is the mathematics only: its weights stay as they are, whatever is
done with the optimizee.
"""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gin
import keras
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.datasets.base import ImageDataset, gather
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.keras_starts import Draw, as_draw, layer_draw

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)
_SEED_STATE = "seed_generator_state"  # Keras' name for it.


class Examples(NamedTuple):
    """A minibatch.

    Attributes:
        inputs: what the model is called with, `[B, ...]`, or a nest of such.
        targets: what the loss compares its outputs with, likewise.
        seed: of the model's own random numbers (dropout); `()` without any.
    """

    inputs: Nest
    targets: Nest
    seed: Seed | tuple[()]


class _LossOfFunction(keras.losses.Loss):
    """The mean of a function of targets and outputs, as `compile` takes it."""

    def __init__(self, function: Callable[[Nest, Nest], Any]) -> None:
        super().__init__(name="loss_of_function")
        self.function = function

    def call(self, y_true: Nest, y_pred: Nest) -> tf.Tensor:
        if tf.is_tensor(y_true) and tf.is_tensor(y_pred):
            y_true, y_pred = _same_rank(y_true, y_pred)
        return tf.convert_to_tensor(self.function(y_true, y_pred))


def _same_rank(a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Give `[B]` beside `[B, 1]` an axis: they would broadcast to `[B, B]`."""
    if a.shape.rank == 1 and b.shape.rank == 2 and b.shape[-1] == 1:
        return a[:, tf.newaxis], b
    if b.shape.rank == 1 and a.shape.rank == 2 and a.shape[-1] == 1:
        return a, b[:, tf.newaxis]
    if a.shape.rank == b.shape.rank + 1 and a.shape[-1] == 1:
        return tf.squeeze(a, -1), b
    if b.shape.rank == a.shape.rank + 1 and b.shape[-1] == 1:
        return a, tf.squeeze(b, -1)
    return a, b


@gin.register(module="l2o_tf.optimizees")
class KerasModel(Optimizee):
    """Train a Keras model: functional, sequential, or a subclass.

        f = loss(y, model(x; params)) + what the model adds to its losses

    As in `model.fit`: the model runs with `training=True`, a loss function is
    averaged over the batch, and the model's regularisers (and whatever else it
    passes to `add_loss`) are added. The params are the trainable weights, one
    tensor per weight, named by its path.

    What else the model holds is a constant, read when the optimizee is made:
    frozen weights, the moving statistics of batch normalisation. The latter
    are not updated (`training=True` normalises by the batch). Constraints on
    weights are the optimizer's business in Keras, and not applied. Dropout
    draws from the seed of the batch, with Keras' own generator: for one seed
    its masks are the same eagerly and in a graph, and others under XLA. (A
    layer that draws without a `SeedGenerator` is not pure, and not seen here.)

    An episode starts from what the layers' initializers describe, with numbers
    from core/seeds.py. A minibatch is `batch_size` examples drawn
    independently, uniformly, with replacement.

    With a mixed-precision policy the model computes as it says; params,
    gradients and loss are float32.

    Args:
        model: a built `keras.Model`.
        loss: as `compile` takes it: a name, a `keras.losses.Loss`, or a
            function of (targets, outputs).
        data: an `ImageDataset`, whose images come as numbers in [0, 1], or
            `(inputs, targets)`: arrays or nests of arrays, each with an axis
            of examples first. Numbers of double precision are rounded.
        split: of the `ImageDataset`; "" for arrays, which have none.
        batch_size: int. Defaults to 128.
        initial: mapping of a pattern of weights' paths, such as
            "*/embeddings", to what they start from: a Keras initializer, its
            name, or a pure function of (seed, shape). The first pattern that
            fits counts; the other weights start as their layers say.

    Raises:
        ValueError: if the model is not built or has no trainable weight, a
            weight is not float32, its initializer is not known, a pattern fits
            no weight, or the loss or the data are none.

    Example:
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> points = np.zeros((8, 2)), np.ones((8, 1))
    >>> problem = KerasModel(model, "mse", points, batch_size=4)
    >>> params, constants = problem.reset(seeds.make_seed(0))
    >>> batch = problem.sample(seeds.make_seed(1))
    >>> float(problem.loss(params, constants, batch)), problem.layout.size
    (1.0, 3)
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Any,
        data: Any,
        split: str = "",
        batch_size: int = 128,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = _checked_model(model)
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.split = split
        self._read_data(data)
        self._objective = _objective(loss)
        weights = model.trainable_variables
        self.layout = Layout.from_shapes(_paths(weights))
        self._draws = _draws(model, self.layout.names, dict(initial or {}))
        self._takes_training = (
            "training" in inspect.signature(model.call).parameters
        )
        state = model.non_trainable_variables
        self._draws_numbers = [v.name == _SEED_STATE for v in state]
        self._state = [tf.constant(v.numpy()) for v in state]
        layers = model._flatten_layers()  # Keras has no public name for it.
        self.convolves = any(isinstance(la, _CONVOLUTIONS) for la in layers)

    def _read_data(self, data: Any) -> None:
        if isinstance(data, ImageDataset):
            images = data.split(self.split)
            self.notice = data.notice
            self._fetch = lambda indices: gather(images, indices)
            self.num_examples = int(images.images.shape[0])
            return
        if self.split:
            raise ValueError(
                "Arrays have no splits: leave `split` out. "
                f"Received: split={self.split!r}."
            )
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError(
                "`data` must be an ImageDataset or (inputs, targets). "
                f"Received: data of type {type(data).__name__}."
            )
        arrays = tf.nest.map_structure(_on_device, tuple(data))
        counts = {
            int(a.shape[0]) if a.shape.rank else 0
            for a in tf.nest.flatten(arrays)
        }
        if len(counts) != 1 or 0 in counts:
            raise ValueError(
                "Inputs and targets need one number of examples, at least 1, "
                f"in their first axes. Received: {sorted(counts)}."
            )
        (self.num_examples,) = counts
        self._fetch = lambda indices: tf.nest.map_structure(
            lambda array: tf.gather(array, indices), arrays
        )

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw fresh weights; `()` is constant."""
        tensors = [
            tf.cast(draw(seeds.fold_in(seed, i), shape), tf.float32)
            for i, (draw, shape) in enumerate(
                zip(self._draws, self.layout.shapes, strict=True)
            )
        ]
        return self.layout.flatten(tensors), ()

    def sample(self, seed: Seed) -> Examples:
        """Draw `batch_size` examples, and a seed for the model if it needs."""
        indices = seeds.integers(seed, [self.batch_size], self.num_examples)
        inputs, targets = self._fetch(indices)
        own = seeds.fold_in(seed, 1) if any(self._draws_numbers) else ()
        return Examples(inputs, targets, own)

    def _non_trainable(self, seed: Seed | tuple[()]) -> list[tf.Tensor]:
        """Return the model's other variables, fresh seeds among them."""
        return [
            tf.cast(seeds.fold_in(seed, i), value.dtype) if draws else value
            for i, (value, draws) in enumerate(
                zip(self._state, self._draws_numbers, strict=True)
            )
        ]

    def loss(
        self, params: Vector, constants: tuple[()], batch: Examples
    ) -> Scalar:
        """Compute the model's loss on a minibatch.

        Raises:
            ValueError: if the loss function returns no scalar.
        """
        del constants
        outputs, _, added = self.model.stateless_call(
            self.layout.split(params),
            self._non_trainable(batch.seed),
            batch.inputs,
            return_losses=True,
            **({"training": True} if self._takes_training else {}),
        )
        loss = tf.convert_to_tensor(self._objective(batch.targets, outputs))
        if loss.shape.rank != 0:
            raise ValueError(
                "The loss of a minibatch must be a scalar; a keras loss needs "
                "a reduction, such as 'sum_over_batch_size'. Received: a loss "
                f"of shape {loss.shape}."
            )
        loss = tf.cast(loss, params.dtype)
        for term in added:
            loss += tf.cast(tf.reduce_sum(term), params.dtype)
        return loss


def _checked_model(model: Any) -> keras.Model:
    checks.instance("model", model, keras.Model)
    if not model.built:
        raise ValueError(
            "The model must be built: give it a keras.Input, or call it once "
            f"on some data. Received: the unbuilt model {model.name!r}."
        )
    if not model.trainable_variables:
        raise ValueError(
            "The model needs a trainable weight. "
            f"Received: none in {model.name!r}."
        )
    for weight in model.trainable_variables:
        if weight.dtype != "float32":
            raise ValueError(
                "Trainable weights must be float32; for computing in lower "
                "precision take a policy such as 'mixed_bfloat16'. Received: "
                f"dtype={weight.dtype} of {weight.path!r}."
            )
    return model


def _paths(weights: list[keras.Variable]) -> dict[str, tuple[int, ...]]:
    """Name each weight by its path, a repeated one with its number."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, weight in enumerate(weights):
        path = weight.path
        shapes[f"{path}#{i}" if path in shapes else path] = weight.shape
    return shapes


def _draws(
    model: keras.Model, paths: tuple[str, ...], initial: dict[str, Any]
) -> list[Draw]:
    """Find how each trainable weight starts."""
    given = {pattern: as_draw(value) for pattern, value in initial.items()}
    for pattern in given:
        if not fnmatch.filter(paths, pattern):
            raise ValueError(
                "A pattern of `initial` fits no weight of the model. Received: "
                f"initial={{{pattern!r}: ...}}; the weights are "
                f"{', '.join(paths)}."
            )
    owners = {
        id(weight): layer
        for layer in model._flatten_layers()
        for weight in layer._trainable_variables
    }
    draws = []
    for weight, path in zip(model.trainable_variables, paths, strict=True):
        named = [d for p, d in given.items() if fnmatch.fnmatchcase(path, p)]
        draw = named[0] if named else _own_draw(owners, weight, path)
        draws.append(draw)
    return draws


def _own_draw(
    owners: dict[int, keras.layers.Layer], weight: keras.Variable, path: str
) -> Draw:
    """Return how a weight's layer draws it.

    Raises:
        ValueError: if that cannot be known.
    """
    fix = f"Say it by initial={{{path!r}: ...}}."
    try:
        draw = layer_draw(owners[id(weight)], weight.name)
    except ValueError as error:
        raise ValueError(f"{error} It is that of {path!r}. {fix}") from error
    if draw is None:
        raise ValueError(
            "It is not known how a weight starts: its layer has no attribute "
            f"{weight.name}_initializer. Received: the weight {path!r}. {fix}"
        )
    return draw


def _objective(loss: Any) -> keras.losses.Loss:
    """Turn what `compile` takes for a loss into an object.

    Raises:
        ValueError: if it is no loss.
    """
    found = loss
    if isinstance(loss, str):
        try:
            found = keras.losses.get(loss)
        except ValueError as error:
            raise ValueError(
                f"Keras knows no loss of that name. Received: loss={loss!r}."
            ) from error
    if isinstance(found, keras.losses.Loss):
        return found
    if not callable(found) or inspect.isclass(found):
        raise ValueError(
            "`loss` must be a name, an object of keras.losses or a function "
            f"of (targets, outputs). Received: loss={loss!r}."
        )
    return _LossOfFunction(found)


def _on_device(array: Any) -> tf.Tensor:
    tensor = tf.convert_to_tensor(np.asarray(array))
    return tf.cast(tensor, tf.float32) if tensor.dtype == tf.float64 else tensor
