"""The house stands: imports go down, and the BUILD files say the same."""

import pathlib
import sys

import architecture
import build_files
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture
def house(tmp_path):
    """Return a function that adds files to a small package."""

    def add(files):
        for name, source in files.items():
            path = tmp_path / "l2o_tf" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return tmp_path

    add(
        {
            "__init__.py": "from l2o_tf.version import __version__\n",
            "version.py": "",
            "core/__init__.py": "",
            "core/seeds.py": "import numpy as np\n",
            "learned/__init__.py": "",
            "learned/dm.py": "from l2o_tf.core import seeds\n",
            "config.py": "import l2o_tf.learned.dm\n",
            "train.py": (
                "from l2o_tf import config\n"
                'if __name__ == "__main__":\n    config.run()\n'
            ),
        }
    )
    return add


def test_every_import_of_the_package_goes_down_the_floors():
    assert architecture.problems(ROOT) == []


def test_build_files_of_the_package_agree_with_its_imports():
    assert build_files.disagreements(ROOT) == []


def test_a_sound_house_has_no_problem(house):
    assert architecture.problems(house({})) == []


@pytest.mark.parametrize(
    ("file", "source", "message"),
    [
        (
            "core/layout.py",
            "from l2o_tf.learned import dm",
            "l2o_tf/core/layout.py:1: l2o_tf.core.layout (floor 0) may not "
            "import l2o_tf.learned.dm (floor 2)",
        ),
        (
            "core/layout.py",
            "def f():\n    import l2o_tf.learned.dm",
            "l2o_tf/core/layout.py:2: l2o_tf.core.layout (floor 0) may not "
            "import l2o_tf.learned.dm (floor 2)",
        ),
        (
            "evaluate.py",
            "from l2o_tf.train import main",
            "l2o_tf/evaluate.py:1: l2o_tf.evaluate (floor 8) may not import "
            "l2o_tf.train (floor 8)",
        ),
        (
            "optimizees/mlp.py",
            "from l2o_tf.learned.dm import DMLSTM",
            "l2o_tf/optimizees/mlp.py:1: l2o_tf.optimizees.mlp (floor 2) may "
            "not import l2o_tf.learned.dm (floor 2)",
        ),
        (
            "core/layout.py",
            "from . import seeds",
            "l2o_tf/core/layout.py:1: relative import; name the module",
        ),
        (
            "core/layout.py",
            "import importlib\nimportlib.import_module('l2o_tf.learned.dm')",
            "l2o_tf/core/layout.py:2: importlib.import_module hides an import "
            "edge",
        ),
        (
            "core/layout.py",
            "from l2o_tf.core.sedes import fold_in",
            "l2o_tf/core/layout.py:1: there is no module l2o_tf.core.sedes",
        ),
        (
            "attic/__init__.py",
            "",
            "l2o_tf/attic/__init__.py: 'attic' has no floor in FLOORS of "
            "tools/architecture.py",
        ),
        (
            "core/deep/er.py",
            "",
            "l2o_tf/core/deep/er.py: folders are one deep",
        ),
    ],
)
def test_a_forbidden_import_is_named(house, file, source, message):
    assert architecture.problems(house({file: source})) == [message]


def test_a_cycle_inside_a_room_is_named(house):
    root = house(
        {
            "core/seeds.py": "import l2o_tf.core.types",
            "core/types.py": "from l2o_tf.core.seeds import fold_in",
        }
    )
    (problem,) = architecture.problems(root)
    assert problem.startswith("import cycle: ")
    assert "l2o_tf.core.seeds <- l2o_tf.core.types" in problem


def test_a_root_without_the_package_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="Received: root="):
        architecture.problems(tmp_path)


def test_a_build_file_lists_sources_and_import_edges(house):
    root = house({"learned/embedded/weights.npz": ""})
    build_files.write(root)
    assert (root / "l2o_tf" / "learned" / "BUILD").read_text() == (
        'load("@rules_python//python:defs.bzl", "py_library")\n'
        "\n"
        f"{build_files.HEADER}"
        "\n"
        'package(default_visibility = ["//visibility:public"])\n'
        "\n"
        "py_library(\n"
        '    name = "learned",\n'
        "    srcs = [\n"
        '        "__init__.py",\n'
        '        "dm.py",\n'
        "    ],\n"
        '    data = glob(["embedded/**"]),\n'
        '    deps = ["//l2o_tf/core"],\n'
        ")\n"
    )
    top = (root / "l2o_tf" / "BUILD").read_text()
    assert (
        "py_binary(\n"
        '    name = "train",\n'
        '    srcs = ["train.py"],\n'
        '    deps = [":config"],\n'
        ")\n"
    ) in top
    assert build_files.disagreements(root) == []


def test_a_stale_build_file_is_shown(house):
    root = house({})
    build_files.write(root)
    house({"learned/dm.py": "import numpy"})
    (difference,) = build_files.disagreements(root)
    assert '-    deps = ["//l2o_tf/core"],\n' in difference
    build_files.write(root)
    assert build_files.disagreements(root) == []


def test_a_build_file_without_code_is_shown_and_removed(house):
    root = house({})
    build_files.write(root)
    house({"attic/BUILD": "old\n"})
    (difference,) = build_files.disagreements(root)
    assert difference.startswith("--- l2o_tf/attic/BUILD (written)")
    build_files.write(root)
    assert not (root / "l2o_tf" / "attic" / "BUILD").exists()


@pytest.mark.parametrize("written", [True, False])
def test_the_build_check_exits_1_when_a_file_is_stale(
    house, written, monkeypatch, capsys
):
    root = house({})
    if written:
        build_files.write(root)
    monkeypatch.setattr(build_files, "ROOT", root)
    monkeypatch.setattr(sys, "argv", ["build_files.py", "--check"])
    assert build_files.main() == (0 if written else 1)
    assert ("--write" in capsys.readouterr().out) is not written
