"""A collection of problems of different sizes, to draw tasks from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import gin

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed
from l2o_tf.optimizees.base import Optimizee, join_notices
from l2o_tf.optimizees.families import (
    DEFAULT_FAMILIES,
    build_member,
    member_names,
)


class Ensemble:
    """Hold named problems in order; build each when it is first asked for.

    (Also `notice` asks: a `Trainer` so builds all of them.)

    Not an `Optimizee`: the members have vectors of different sizes.

    Args:
        builders: sequence of (name, function without arguments that returns
            an `Optimizee`), at least one, the names unique.
        episodes_per_problem: int, episodes in a row on a problem once drawn.

    Attributes:
        names: tuple of str, in order.

    Raises:
        ValueError: if there is no member, or a name twice.
    """

    def __init__(
        self,
        builders: Sequence[tuple[str, Callable[[], Optimizee]]],
        episodes_per_problem: int = 5,
    ) -> None:
        self.episodes_per_problem = checks.positive_int(
            "episodes_per_problem", episodes_per_problem
        )
        self.names = tuple(name for name, _ in builders)
        self._builders = tuple(builder for _, builder in builders)
        self._members: dict[int, Optimizee] = {}
        if not self.names:
            raise ValueError(
                "An ensemble needs at least one problem. Received: builders=()."
            )
        twice = sorted({n for n in self.names if self.names.count(n) > 1})
        if twice:
            raise ValueError(
                "The problems of an ensemble must have different names. "
                f"Received twice: {', '.join(twice)}."
            )

    def __len__(self) -> int:
        """Count the members."""
        return len(self.names)

    def member(self, index: int) -> Optimizee:
        """Return a member: the same object at every call.

        Args:
            index: int from 0 to len - 1.

        Raises:
            ValueError: if it is not; whatever building the member refuses.
        """
        if not 0 <= checks.integer("index", index) < len(self):
            raise ValueError(
                f"The ensemble has the members 0 to {len(self) - 1}. "
                f"Received: index={index}."
            )
        if index not in self._members:
            self._members[index] = checks.instance(
                self.names[index], self._builders[index](), Optimizee
            )
        return self._members[index]

    def choose(self, seed: Seed) -> int:
        """Draw the index of a member, each as likely as any other."""
        return int(seeds.integers(seed, [], len(self)))

    @property
    def notice(self) -> str | None:
        """What a reader of any result must know of the members' data.

        None if there is nothing. Builds every member, because only a member
        that is built knows its data.
        """
        return join_notices(self.member(i).notice for i in range(len(self)))


@gin.register(module="l2o_tf.optimizees")
def ensemble(
    families: Sequence[str] = DEFAULT_FAMILIES,
    split: str = "train",
    episodes_per_problem: int = 5,
) -> Ensemble:
    """Collect whole families of problems; see families.py for their names.

    Args:
        families: sequence of str, the families in order. Defaults to the 17
            that Wichrowska et al. train on: 101 problems.
        split: the data split of those on real data. Defaults to "train".
        episodes_per_problem: int, episodes in a row on a problem once drawn
            (spec l2o_scale.md 4.1).

    Raises:
        ValueError: if there is no family, one is unknown, or one comes twice.
    """
    if isinstance(families, str):
        raise ValueError(
            "`families` must be a sequence of names. "
            f"Received: families={families!r}. In gin: ({families!r},)."
        )
    return Ensemble(
        [
            (name, functools.partial(build_member, name, split))
            for family in families
            for name in member_names(family)
        ],
        episodes_per_problem,
    )
