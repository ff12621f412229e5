"""A state whose type knows the layout it was made for.

Static knowledge travels with a state as its type, which nests keep. `tf.nest`
and `tf.function` tell NamedTuples apart by their names and fields, so the
layout is in the name: two layouts of equal shape are not confused, and a
compiled function is traced anew for another one.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any, TypeVar, cast

from l2o_tf.core.layout import Layout

StateT = TypeVar("StateT", bound=tuple)


def with_layout(kind: type[StateT], layout: Layout) -> type[StateT]:
    """Return the NamedTuple `kind` as a type that knows `layout`.

    The same arguments give the same type.
    """
    return cast("type[StateT]", _made(kind, layout))


@functools.lru_cache(maxsize=256)
def _made(kind: type, layout: Layout) -> type:
    digest = hashlib.sha256(repr(layout).encode()).hexdigest()[:16]
    name = f"{kind.__name__}_{digest}"
    return type(name, (kind,), {"__slots__": (), "layout": layout})


def layout_of(states: Any) -> Layout:
    """Return the layout that a state was made for.

    Raises:
        ValueError: if its type was not made by `with_layout`.
    """
    layout = getattr(states, "layout", None)
    if layout is None:
        kind = type(states).__name__
        raise ValueError(
            f"A state must know its layout. Received: a plain {kind}. Begin "
            "with get_initial_state(layout), or build it as "
            f"with_layout({kind}, layout)(...)."
        )
    return layout
