"""Write the BUILD files of the package from its imports, or check them.

One `py_library` per folder, one target per module at the package's top; the
`deps` are the import edges between them, so the files never disagree with the
source. Third-party packages are not listed: requirements.txt is their place.
The text is what buildifier would make of it.

    python tools/build_files.py --write
    python tools/build_files.py --check
"""

from __future__ import annotations

import argparse
import difflib
import pathlib
import sys
from collections.abc import Iterable, Mapping

import architecture

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEADER = "# Written by tools/build_files.py from the imports: do not edit.\n"


def _label_order(label: str) -> tuple[bool, list[str]]:
    """Sort as buildifier does: `:here` first, then piece by piece."""
    return not label.startswith(":"), label.replace(":", ".").split(".")


def _attribute(name: str, values: Iterable[str]) -> str:
    """Lay out a list of strings, `""` for an empty one."""
    ordered = sorted(values, key=_label_order)
    if not ordered:
        return ""
    if len(ordered) == 1:
        return f'    {name} = ["{ordered[0]}"],\n'
    lines = "".join(f'        "{value}",\n' for value in ordered)
    return f"    {name} = [\n{lines}    ],\n"


def _target(
    rule: str, name: str, srcs: list[str], data: str, deps: set[str]
) -> str:
    return (
        f'\n{rule}(\n    name = "{name}",\n'
        + _attribute("srcs", srcs)
        + data
        + _attribute("deps", deps)
        + ")\n"
    )


def _file(rules: set[str], targets: list[str]) -> str:
    loaded = ", ".join(f'"{rule}"' for rule in sorted(rules))
    return (
        f'load("@rules_python//python:defs.bzl", {loaded})\n\n{HEADER}\n'
        'package(default_visibility = ["//visibility:public"])\n'
        + "".join(targets)
    )


def _label(room: str, folders: set[str], inside: str) -> str:
    """Name the target of a room, seen from the folder `inside`."""
    if room in folders:
        return f"//{architecture.PACKAGE}/{room}"
    if room == "__init__":
        room = architecture.PACKAGE
    if inside == "":
        return f":{room}"
    whole = f"//{architecture.PACKAGE}"
    return whole if room == architecture.PACKAGE else f"{whole}:{room}"


def _data(folder: pathlib.Path) -> str:
    """List the subfolders that hold data, as globs."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and path.name != "__pycache__"
    )
    if not names:
        return ""
    globs = ", ".join(f'"{name}/**"' for name in names)
    return f"    data = glob([{globs}]),\n"


def _is_program(module: architecture.Module) -> bool:
    return 'if __name__ == "__main__":' in module.source


def expected(root: pathlib.Path) -> dict[pathlib.Path, str]:
    """Compute every BUILD file of the package.

    Args:
        root: the folder that contains `l2o_tf/`.

    Returns:
        The text by path, relative to `root`.
    """
    modules = architecture.read_modules(root)
    edges, _ = architecture.read_edges(modules)
    package = pathlib.Path(architecture.PACKAGE)
    rooms: dict[str, list[architecture.Module]] = {}
    for module in modules.values():
        rooms.setdefault(module.room, []).append(module)
    folders = {
        room for room, inside in rooms.items() if len(inside[0].path.parts) > 2
    }
    deps: dict[str, set[str]] = {room: set() for room in rooms}
    for edge in edges:
        source = architecture.room_of(edge.source)
        target = architecture.room_of(edge.target)
        if source != target:
            inside = source if source in folders else ""
            deps[source].add(_label(target, folders, inside))

    files, targets, rules = {}, [], set()
    for room in sorted(rooms, key=lambda room: (room != "__init__", room)):
        srcs = [module.path.name for module in rooms[room]]
        if room in folders:
            data = _data(root / package / room)
            target = _target("py_library", room, srcs, data, deps[room])
            files[package / room / "BUILD"] = _file({"py_library"}, [target])
            continue
        name = architecture.PACKAGE if room == "__init__" else room
        rule = "py_binary" if _is_program(rooms[room][0]) else "py_library"
        targets.append(_target(rule, name, srcs, "", deps[room]))
        rules.add(rule)
    files[package / "BUILD"] = _file(rules, targets)
    return files


def disagreements(root: pathlib.Path) -> list[str]:
    """Say where the BUILD files and the imports differ.

    Args:
        root: the folder that contains `l2o_tf/`.

    Returns:
        One text per file: what is written (-), what the imports say (+).
    """
    wanted: Mapping[pathlib.Path, str] = expected(root)
    present = {
        path.relative_to(root)
        for path in (root / architecture.PACKAGE).rglob("BUILD")
    }
    differences = []
    for path in sorted(present | wanted.keys()):
        written = ""
        if path in present:
            written = (root / path).read_text(encoding="utf-8")
        difference = "".join(
            difflib.unified_diff(
                written.splitlines(keepends=True),
                wanted.get(path, "").splitlines(keepends=True),
                f"{path} (written)",
                f"{path} (imports)",
            )
        )
        if difference:
            differences.append(difference)
    return differences


def write(root: pathlib.Path) -> None:
    """Write every BUILD file of the package, and remove those without code."""
    wanted = expected(root)
    for path in (root / architecture.PACKAGE).rglob("BUILD"):
        if path.relative_to(root) not in wanted:
            path.unlink()
    for path, text in wanted.items():
        (root / path).write_text(text, encoding="utf-8")


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0]
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--check",
        action="store_true",
        help="print where BUILD files and imports differ; exit 1 if they do",
    )
    action.add_argument(
        "--write", action="store_true", help="write the BUILD files"
    )
    if parser.parse_args().write:
        write(ROOT)
        return 0
    differences = disagreements(ROOT)
    if differences:
        print("\n".join(differences))
        print("Run `python tools/build_files.py --write`.")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
