"""Several problems optimised side by side, as one."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee, join_notices


def _common_split(optimizees: Sequence[Optimizee]) -> str:
    """Return the one data split of those that have data, "" if none has."""
    splits = sorted({o.split for o in optimizees if o.split})
    if len(splits) > 1:
        raise ValueError(
            "The optimizees of a sum must share one data split. "
            f"Received: splits={splits}. Build all of them on the same."
        )
    return splits[0] if splits else ""


@gin.register(module="l2o_tf.optimizees")
class Sum(Optimizee):
    """Minimise F(x_0, x_1, ...) = f_0(x_0) + f_1(x_1) + ...

    The members share no coordinate: x is their parameters end to end, the
    tensors of member i named `i/name`. Member i draws from the i-th child of
    each seed, so two equal members are two independent problems; constants and
    batch are tuples with one entry per member. RNNprop's convex term is a sum
    with a `ConvexQuadratic`. Noise that a member adds to its gradients is left
    out: the gradient is that of F.

    Args:
        optimizees: sequence of `Optimizee`, at least one.

    Raises:
        ValueError: if there is none, one is something else, or two members
            have different splits.

    References:
        Lv, Jiang, Li, ICML 2017, section 4.2; spec dm_rnnprop.md 10.1.
    """

    def __init__(self, optimizees: Sequence[Optimizee]) -> None:
        self.optimizees = tuple(
            checks.instance("optimizees", o, Optimizee) for o in optimizees
        )
        if not self.optimizees:
            raise ValueError(
                "A sum needs at least one optimizee. Received: optimizees=()."
            )
        self.split = _common_split(self.optimizees)
        self.notice = join_notices(o.notice for o in self.optimizees)
        self.convolves = any(o.convolves for o in self.optimizees)
        self.layout = Layout.from_shapes(
            {
                f"{i}/{name}": shape
                for i, o in enumerate(self.optimizees)
                for name, shape in zip(
                    o.layout.names, o.layout.shapes, strict=True
                )
            }
        )

    def reset(self, seed: Seed) -> tuple[Vector, tuple[Nest, ...]]:
        """Draw every member; return `(params, (constants_0, ...))`."""
        params, constants = zip(
            *(
                o.reset(seeds.fold_in(seed, i))
                for i, o in enumerate(self.optimizees)
            ),
            strict=True,
        )
        return tf.concat(params, axis=0), constants

    def sample(self, seed: Seed) -> tuple[Nest, ...]:
        """Draw a minibatch of every member."""
        return tuple(
            o.sample(seeds.fold_in(seed, i))
            for i, o in enumerate(self.optimizees)
        )

    def sample_objective(self, seed: Seed) -> tuple[Nest, ...]:
        """Draw an objective's batch of every member."""
        return tuple(
            o.sample_objective(seeds.fold_in(seed, i))
            for i, o in enumerate(self.optimizees)
        )

    def loss(
        self,
        params: Vector,
        constants: tuple[Nest, ...],
        batch: tuple[Nest, ...],
    ) -> Scalar:
        """Compute F(x)."""
        pieces = tf.split(params, [o.layout.size for o in self.optimizees])
        return tf.add_n(
            [
                o.loss(*arguments)
                for o, *arguments in zip(
                    self.optimizees, pieces, constants, batch, strict=True
                )
            ]
        )
