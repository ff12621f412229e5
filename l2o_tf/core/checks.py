"""Argument checks with one wording: what is asked, what came, what to do."""

from __future__ import annotations

import math
from typing import Any


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def instance(name: str, value: Any, kind: type) -> Any:
    """Return `value` if it is an object of that class.

    Raises:
        ValueError: otherwise; a class without parentheses is the usual slip.
    """
    if not isinstance(value, kind):
        raise ValueError(
            f"`{name}` must be a {kind.__name__}. Received: {name}={value!r}. "
            "In gin a class becomes an object by parentheses: @Name()."
        )
    return value


def integer(name: str, value: Any) -> int:
    """Return `value` if it is an int.

    Raises:
        ValueError: otherwise.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(
            f"`{name}` must be an int. Received: {name}={value!r}."
        )
    return value


def boolean(name: str, value: Any) -> bool:
    """Return `value` if it is True or False.

    Raises:
        ValueError: otherwise; a word such as 'False' would count as true.
    """
    if not isinstance(value, bool):
        raise ValueError(
            f"`{name}` must be True or False. Received: {name}={value!r}."
        )
    return value


def positive_int(name: str, value: Any) -> int:
    """Return `value` if it is an int >= 1.

    Raises:
        ValueError: otherwise.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"`{name}` must be a positive int. Received: {name}={value!r}."
        )
    return value


def real(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Return `value` as a float if it is finite and inside the interval.

    Args:
        name: the argument's name, for the message.
        value: what was received.
        low: the lower end, allowed itself unless `low_open`.
        high: the upper end, allowed itself unless `high_open`.
        low_open: whether `low` itself is refused.
        high_open: whether `high` itself is refused.

    Raises:
        ValueError: if it is not a number, not finite, or outside.
    """
    inside = (
        _number(value)
        and math.isfinite(value)
        and (value > low if low_open else value >= low)
        and (value < high if high_open else value <= high)
    )
    if not inside:
        left = "(" if low_open or math.isinf(low) else "["
        right = ")" if high_open or math.isinf(high) else "]"
        raise ValueError(
            f"`{name}` must be a finite number in {left}{low}, {high}{right}. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of the allowed words.

    Raises:
        ValueError: otherwise, naming all of them.
    """
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))}. "
            f"Received: {name}={value!r}."
        )
    return value
