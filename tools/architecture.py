"""The floors of the package: who may import whom, read from the source.

Every folder of l2o_tf and every module at its top is a room, every room lies
on a floor, and imports go down only: never up, never to another room of the
same floor. Modules inside one room may import each other, without cycles.
Nothing is imported to find out; `ast` reads the files, so an edge inside a
function or under `TYPE_CHECKING` counts like any other.
"""

from __future__ import annotations

import ast
import dataclasses
import graphlib
import pathlib
from collections.abc import Iterator, Mapping

PACKAGE = "l2o_tf"

FLOORS: Mapping[str, int] = {
    "version": -2,
    "__init__": -1,
    "core": 0,
    "optimizers": 1,
    "datasets": 1,
    "runtime": 1,
    "learned": 2,
    "optimizees": 2,
    "unroll": 3,
    "estimators": 4,
    "techniques": 5,
    "meta_training": 6,
    "evaluation": 6,
    "interop": 6,
    "studies": 6,
    "reporting": 7,
    "cli": 7,
    "config": 7,
    "optimizer_choice": 7,
    "train": 8,
    "evaluate": 8,
    "plot": 8,
    "export": 8,
}
"""The floor of every room; ARCHITECTURE.md says what each is for."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A source file of the package.

    Attributes:
        name: dotted, as "l2o_tf.core.seeds"; of a folder's `__init__.py` the
            folder's, as "l2o_tf.core".
        path: relative to the root of the repository.
        source: the text.
        tree: the text, parsed.
    """

    name: str
    path: pathlib.Path
    source: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder's or top module's name, "__init__" for the package."""
        return room_of(self.name)


@dataclasses.dataclass(frozen=True)
class Edge:
    """An import of one module of the package by another.

    Attributes:
        source: the importing module's name.
        target: the imported module's name.
        where: "path:line" of the import.
    """

    source: str
    target: str
    where: str


def room_of(name: str) -> str:
    """Return the room of a module, given its dotted name."""
    _, _, inside = name.partition(".")
    return inside.partition(".")[0] or "__init__"


def read_modules(root: pathlib.Path) -> dict[str, Module]:
    """Parse every source file of the package.

    Args:
        root: the folder that contains `l2o_tf/`.

    Returns:
        The modules by name, in the order of their paths.

    Raises:
        FileNotFoundError: if there is no package in `root`.
    """
    folder = root / PACKAGE
    if not folder.is_dir():
        raise FileNotFoundError(
            f"Expected the package {PACKAGE!r} there. Received: root={root}."
        )
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        source = path.read_text(encoding="utf-8")
        module = Module(
            ".".join(parts),
            path.relative_to(root),
            source,
            ast.parse(source, str(path)),
        )
        modules[module.name] = module
    return modules


def _imported_names(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield `(module, name)` per name that an import statement binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, ""
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield node.module or "", alias.name


def read_edges(
    modules: Mapping[str, Module],
) -> tuple[list[Edge], list[str]]:
    """Find the imports between modules of the package.

    `from l2o_tf.core import seeds` is an edge to the module `l2o_tf.core.seeds`
    if there is one, else to `l2o_tf.core` itself.

    Returns:
        `(edges, problems)`; `problems` names the imports that have no place in
        the graph: relative ones, dynamic ones, and ones of missing modules.
    """
    edges, problems = [], []
    for module in modules.values():
        for node in ast.walk(module.tree):
            where = f"{module.path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ImportFrom) and node.level:
                problems.append(f"{where}: relative import; name the module")
                continue
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called.split(".")[-1] in ("import_module", "__import__"):
                    problems.append(f"{where}: {called} hides an import edge")
            for base, name in _imported_names(node):
                if base.partition(".")[0] != PACKAGE:
                    continue
                submodule = f"{base}.{name}"
                target = submodule if submodule in modules else base
                if target in modules:
                    edges.append(Edge(module.name, target, where))
                else:
                    problems.append(f"{where}: there is no module {target}")
    return edges, problems


def misplaced(modules: Mapping[str, Module]) -> list[str]:
    """Name the modules without a place in the house, one line each."""
    problems = []
    for module in modules.values():
        if module.room not in FLOORS:
            problems.append(
                f"{module.path}: {module.room!r} has no floor in FLOORS of "
                "tools/architecture.py"
            )
        if len(module.path.parts) > 3:
            problems.append(f"{module.path}: folders are one deep")
    return problems


def forbidden(edges: list[Edge]) -> list[str]:
    """Name the edges that do not go down the floors, one line each."""
    problems = []
    for edge in edges:
        source, target = room_of(edge.source), room_of(edge.target)
        if source == target or not {source, target} <= FLOORS.keys():
            continue
        if FLOORS[target] >= FLOORS[source]:
            problems.append(
                f"{edge.where}: {edge.source} (floor {FLOORS[source]}) may "
                f"not import {edge.target} (floor {FLOORS[target]})"
            )
    return problems


def cycles(edges: list[Edge]) -> list[str]:
    """Name one cycle of modules, if there is any."""
    graph: dict[str, set[str]] = {}
    for edge in edges:
        graph.setdefault(edge.source, set()).add(edge.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [f"import cycle: {' <- '.join(error.args[1])}"]
    return []


def problems(root: pathlib.Path) -> list[str]:
    """Say what is wrong with the imports of the package in `root`."""
    modules = read_modules(root)
    edges, unread = read_edges(modules)
    return misplaced(modules) + unread + forbidden(edges) + cycles(edges)
