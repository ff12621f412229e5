"""Every family of problems of L2O-Scale's ensemble, by name.

A member is named after its family and its place in it, from 0: "bowl/2". The
numbers of the members are in data_free_families.py and data_families.py, the
equations in the problems' own files.

References: Wichrowska et al., ICML 2017, section 4; Chen et al., NeurIPS 2020
(L2O-Scale-Meta); spec l2o_scale.md 3.4.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.data_families import DATA_FAMILIES, SPARSE_MLPS
from l2o_tf.optimizees.data_free_families import DATA_FREE_FAMILIES, Family

DEFAULT_FAMILIES = (
    "noisy_quadratic",
    "large_quadratic",
    "bowl",
    "noisy_bowl",
    "softmax_2_class",
    "noisy_softmax_2_class",
    "optimization_test",
    "noisy_optimization_test",
    "fully_connected_random_2_class",
    "matmul",
    "log_objective",
    "rescale",
    "norm",
    "noisy_norm",
    "sum",
    "noisy_sum",
    "sparse_gradient",
)
"""What Wichrowska et al. meta-train on: 101 problems."""

FAMILIES: dict[str, Family] = {
    **DATA_FREE_FAMILIES,
    **DATA_FAMILIES,
    "sparse_gradient": (*DATA_FREE_FAMILIES["sparse_gradient"], *SPARSE_MLPS),
}
"""All families: name to builders, each from a data split to an optimizee."""


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def family(name: str) -> Family:
    """Return the builders of the family of that name.

    Raises:
        ValueError: if there is none, with the nearest and all.
    """
    if name not in FAMILIES:
        raise ValueError(
            "There is no family of problems of that name. "
            f"Received: family={name!r}.{_nearest(name, tuple(FAMILIES))} "
            f"Known: {', '.join(FAMILIES)}."
        )
    return FAMILIES[name]


def member_names(name: str) -> tuple[str, ...]:
    """Name the members of a family: "bowl/0", "bowl/1", ...

    Raises:
        ValueError: if there is no such family.
    """
    return tuple(f"{name}/{i}" for i in range(len(family(name))))


def build_member(name: str, split: str) -> Optimizee:
    """Build a member by its name.

    Args:
        name: "<family>/<place>".
        split: the data split; without effect on a problem that has none.

    Raises:
        ValueError: if there is no such family or no such place in it.
    """
    of_family, _, place = name.partition("/")
    names = member_names(of_family)
    if name not in names:
        raise ValueError(
            f"The family {of_family!r} has the members {names[0]} to "
            f"{names[-1]}. Received: optimizee={name!r}."
        )
    return FAMILIES[of_family][int(place)](split)
