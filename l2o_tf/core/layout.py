"""How named tensors lie in one flat vector.

Parameters, gradients and updates travel through the package as ONE float32
vector `[N]`: one call of a coordinate-wise cell per step, not one per tensor.
A `Layout` is the static description of that vector. Cost: slicing and
reshaping only, no arithmetic.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import tensorflow as tf

from l2o_tf.core.types import Vector


@dataclasses.dataclass(frozen=True)
class Layout:
    """Describe the tensors of a flat vector, in order.

    Tensor `i` occupies the coordinates `offsets[i] : offsets[i] + sizes[i]`,
    row-major.

    Args:
        names: tuple of str, one per tensor, unique.
        shapes: tuple of shapes (tuples of positive ints, `()` for a scalar).

    Raises:
        ValueError: if names and shapes differ in number, a name repeats, a
            dimension is not a positive int, or there is no tensor.

    Example:
    >>> layout = Layout(("w", "b"), ((2, 3), (3,)))
    >>> layout.size, layout.offsets
    (9, (0, 6))
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError(
                "A layout needs at least one tensor. Received: names=()."
            )
        if len(self.names) != len(self.shapes):
            raise ValueError(
                "A layout needs one shape per name. Received: "
                f"names={self.names}, shapes={self.shapes}."
            )
        if len(set(self.names)) != len(self.names):
            raise ValueError(
                f"Names must be unique. Received: names={self.names}."
            )
        for name, shape in zip(self.names, self.shapes, strict=True):
            if not all(isinstance(d, int) and d > 0 for d in shape):
                raise ValueError(
                    "Every dimension must be a positive int. Received: "
                    f"shape={shape} of {name!r}."
                )

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> Layout:
        """Build from an ordered mapping of name to shape."""
        return cls(
            tuple(shapes),
            tuple(tuple(int(d) for d in shape) for shape in shapes.values()),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of coordinates of each tensor."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First coordinate of each tensor."""
        sizes = self.sizes
        return tuple(sum(sizes[:i]) for i in range(len(sizes)))

    @property
    def size(self) -> int:
        """N, the number of coordinates."""
        return sum(self.sizes)

    def split(self, vector: Vector) -> tuple[tf.Tensor, ...]:
        """Cut a vector `[N]` into tensors of the layout's shapes.

        Raises:
            ValueError: if the static size of `vector` is not N.
        """
        if vector.shape.rank != 1 or vector.shape[0] not in (None, self.size):
            raise ValueError(
                f"Expected a vector of {self.size} coordinates "
                f"({', '.join(self.names)}). Received: shape={vector.shape}."
            )
        pieces = tf.split(vector, self.sizes)
        return tuple(
            tf.reshape(piece, shape)
            for piece, shape in zip(pieces, self.shapes, strict=True)
        )

    def flatten(self, tensors: Sequence[tf.Tensor]) -> Vector:
        """Lay tensors of the layout's shapes end to end, `[N]`.

        Raises:
            ValueError: if their number or a static shape is not the layout's.
        """
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        if shapes != self.shapes:
            raise ValueError(
                f"Expected tensors of shapes {self.shapes}. "
                f"Received: shapes={shapes}."
            )
        return tf.concat([tf.reshape(t, [-1]) for t in tensors], axis=0)
