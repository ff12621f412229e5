"""Nests of tensors as one vector per type, to be sent in one piece."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from l2o_tf.core.types import Nest

Packed = tuple[tf.Tensor, ...]


class Packing:
    """Pack and unpack nests of one structure, in a graph and outside of one.

    Args:
        specs: nest of `tf.TensorSpec` with known shapes.

    Raises:
        ValueError: if a shape is not known.

    Example:
    >>> packing = Packing((tf.TensorSpec([2]), tf.TensorSpec([], tf.int32)))
    >>> packed = packing.pack((tf.constant([1.0, 2.0]), tf.constant(3)))
    >>> packing.unpack_arrays([part.numpy() for part in packed])
    (array([1., 2.], dtype=float32), array(3, dtype=int32))
    """

    def __init__(self, specs: Nest) -> None:
        self._specs = specs
        self._leaves = tf.nest.flatten(specs)
        for leaf in self._leaves:
            if not leaf.shape.is_fully_defined():
                raise ValueError(
                    "What is packed must have known shapes. Received: "
                    f"shape={leaf.shape}."
                )
        # In an order that does not depend on the run.
        self._types = sorted({leaf.dtype.name for leaf in self._leaves})

    def pack(self, nest: Nest) -> Packed:
        """Return one vector per type, of tensors."""
        leaves = tf.nest.flatten(nest)
        return tuple(
            tf.concat([tf.reshape(leaves[i], [-1]) for i in places], axis=0)
            for places in self._places()
        )

    def pack_arrays(self, nest: Nest) -> Packed:
        """Return one vector per type, of tensors or NumPy arrays."""
        leaves = tf.nest.flatten(nest)
        return tuple(
            tf.constant(np.concatenate([np.ravel(leaves[i]) for i in places]))
            for places in self._places()
        )

    def unpack(self, packed: Packed) -> Nest:
        """Return the nest of the vectors, of tensors."""
        found: dict[int, tf.Tensor] = {}
        for places, vector in zip(self._places(), packed, strict=True):
            parts = tf.split(vector, [self._size(i) for i in places])
            for i, part in zip(places, parts, strict=True):
                found[i] = tf.reshape(part, self._leaves[i].shape)
        return self._nest(found)

    def unpack_arrays(self, packed: tuple[np.ndarray, ...]) -> Nest:
        """Return the nest of the vectors, of NumPy arrays."""
        found: dict[int, np.ndarray] = {}
        for places, vector in zip(self._places(), packed, strict=True):
            ends = np.cumsum([self._size(i) for i in places])
            parts = np.split(vector, ends[:-1])
            for i, part in zip(places, parts, strict=True):
                found[i] = part.reshape(self._leaves[i].shape)
        return self._nest(found)

    def _places(self) -> list[list[int]]:
        """Return which leaves each vector has."""
        return [
            [
                i
                for i, leaf in enumerate(self._leaves)
                if leaf.dtype.name == name
            ]
            for name in self._types
        ]

    def _size(self, place: int) -> int:
        return int(self._leaves[place].shape.num_elements())

    def _nest(self, leaves: dict[int, tf.Tensor]) -> Nest:
        ordered = [leaves[i] for i in range(len(self._leaves))]
        return tf.nest.pack_sequence_as(self._specs, ordered)
