"""A run's hyperparameters, flat, read from gin's operative configuration."""

from __future__ import annotations

from typing import Any, NamedTuple

from gin import config_parser

Value = bool | int | float | str


class _Macro(NamedTuple):
    """The use of a macro: `%name`."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


class _Reference(NamedTuple):
    """The use of a class or function: `@name` or `@name()`."""

    name: str
    is_called: bool

    def __repr__(self) -> str:
        return f"@{self.name}{'()' * self.is_called}"


class _Delegate(config_parser.ParserDelegate):
    """Read names without looking for what they name."""

    def configurable_reference(self, name: str, evaluate: bool) -> _Reference:
        return _Reference(name, evaluate)

    def macro(self, name: str) -> _Macro:
        return _Macro(name)


def hyperparameters(operative_config: str) -> dict[str, Value]:
    r"""Return the numbers, truths and words of a configuration.

    Args:
        operative_config: as `gin.operative_config_str()` returns it.

    Returns:
        Name, as in "meta/Adam.learning_rate", to value. Macros are names of
        their own, and stand for their values where they are used; a tuple,
        None or a reference to a class is the text of it.

    Example:
    >>> hyperparameters("seed = 1\nTrainer.seed = %seed\nDMLSTM.units = (2, 3)")
    {'seed': 1, 'Trainer.seed': 1, 'DMLSTM.units': '(2, 3)'}
    """
    bindings: dict[str, Any] = {}
    for statement in config_parser.ConfigParser(operative_config, _Delegate()):
        if isinstance(statement, config_parser.BindingStatement):
            scope, selector, argument = statement[:3]
            name = f"{scope}/{selector}" if scope else selector
            name = f"{name}.{argument}" if argument else name
            bindings[name] = statement.value
    return {
        name: _plain(_resolved(value, bindings))
        for name, value in bindings.items()
    }


def _resolved(value: Any, bindings: dict[str, Any]) -> Any:
    """Replace a macro by what it stands for, if that is known."""
    while isinstance(value, _Macro) and value.name in bindings:
        value = bindings[value.name]
    return value


def _plain(value: Any) -> Value:
    if isinstance(value, (bool, int, float, str)):
        return value
    return repr(value)
