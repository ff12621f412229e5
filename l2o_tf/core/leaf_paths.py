"""Names for the tensors of a nest: the way from its root to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from l2o_tf.core.types import Nest


def leaf_paths(nest: Nest, root: str, separator: str) -> list[str]:
    """Return the path of each leaf, in `tf.nest.flatten`'s order.

    Args:
        nest: of NamedTuples, tuples, lists and dicts.
        root: what every path begins with.
        separator: what joins the fields' names, the places in tuples (from 0)
            and the keys.

    Example:
    >>> leaf_paths({"b": (1, 2), "a": 3}, "x", ".")
    ['x.a', 'x.b.0', 'x.b.1']
    """
    return list(_paths(nest, root, separator))


def _paths(nest: Nest, path: str, separator: str) -> Iterator[str]:
    parts: Sequence[tuple[Any, Nest]]
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        parts = list(zip(nest._fields, nest, strict=True))
    elif isinstance(nest, (tuple, list)):
        parts = list(enumerate(nest))
    elif isinstance(nest, Mapping):
        parts = sorted(nest.items())
    else:
        yield path
        return
    for name, part in parts:
        yield from _paths(part, f"{path}{separator}{name}", separator)
