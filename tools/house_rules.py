"""What the package asks of each of its files, beyond what linters know."""

from __future__ import annotations

import ast
import pathlib
import re
import statistics
from collections.abc import Iterator

import architecture

FILE_LINES = 500
FUNCTION_LINES = 100
MEDIAN_LINES = 150

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef

# A path into somebody's machine, or out of the repository.
_MACHINE_PATH = re.compile(
    r"(?<![\w.:/])/(?:home|root|work|workspace|Users|mnt|opt)/\w"
    r"|\.\./(?:shared|data|spec|golden)\b"
)


def _definitions(
    body: list[ast.stmt], private: bool = False
) -> Iterator[tuple[_Definition, bool]]:
    """Yield classes, functions and methods with whether they are public."""
    for node in body:
        if isinstance(node, _Definition):
            special = node.name.startswith("__") and node.name.endswith("__")
            hidden = private or (node.name.startswith("_") and not special)
            yield node, not hidden
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, hidden)


def _is_special(node: _Definition) -> bool:
    return node.name.startswith("__") and node.name.endswith("__")


def _unannotated(node: _Function) -> list[str]:
    """Return the arguments without a type, and "return"."""
    arguments = node.args
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    listed += [a for a in (arguments.vararg, arguments.kwarg) if a]
    missing = [
        argument.arg
        for position, argument in enumerate(listed)
        if argument.annotation is None
        and not (position == 0 and argument.arg in ("self", "cls"))
    ]
    return missing + (["return"] if node.returns is None else [])


def _length(node: _Definition) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _about(module: architecture.Module) -> Iterator[str]:
    """Yield what is wrong in one file, as "line: message"."""
    lines = module.source.splitlines()
    if len(lines) > FILE_LINES:
        yield f"1: {len(lines)} lines, more than {FILE_LINES}"
    if lines and not ast.get_docstring(module.tree):
        yield "1: the module has no docstring"
    for number, line in enumerate(lines, start=1):
        if _MACHINE_PATH.search(line):
            yield f"{number}: a path of one machine"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert):
            yield f"{node.lineno}: an assert; raise a worded error"
        if isinstance(node, _Function) and _length(node) > FUNCTION_LINES:
            yield (
                f"{node.lineno}: {node.name} has {_length(node)} lines, more "
                f"than {FUNCTION_LINES}"
            )
    for node, public in _definitions(module.tree.body):
        if not public:
            continue
        if not _is_special(node) and not ast.get_docstring(node):
            yield f"{node.lineno}: {node.name} has no docstring"
        if isinstance(node, _Function) and _unannotated(node):
            missing = ", ".join(_unannotated(node))
            yield f"{node.lineno}: {node.name} has no type for {missing}"


def problems(root: pathlib.Path) -> list[str]:
    """Say where files of the package in `root` break a rule, one line each."""
    found = [
        f"{module.path}:{message}"
        for module in architecture.read_modules(root).values()
        for message in _about(module)
    ]
    if (root / "gin" / "__init__.py").exists():
        found.append("gin/__init__.py: it would hide the gin-config package")
    return found


def median_lines(root: pathlib.Path) -> float:
    """Return the median length of the files with more than 20 lines."""
    lengths = [
        len(module.source.splitlines())
        for module in architecture.read_modules(root).values()
    ]
    return statistics.median([n for n in lengths if n > 20] or [0])
