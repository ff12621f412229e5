"""Every file of the package keeps the rules of the house."""

import pathlib

import house_rules
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_every_file_of_the_package_keeps_the_rules():
    assert house_rules.problems(ROOT) == []


def test_the_median_file_is_short():
    assert house_rules.median_lines(ROOT) <= house_rules.MEDIAN_LINES


def in_package(root, source):
    (root / "l2o_tf").mkdir()
    (root / "l2o_tf" / "version.py").write_text(source)
    return root


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "1: the module has no docstring"),
        ('"""M."""\n' + "x = 1\n" * 500, "1: 501 lines, more than 500"),
        ('"""M."""\nassert x\n', "2: an assert; raise a worded error"),
        (
            '"""M."""\n\n\ndef _f():\n' + "    x = 1\n" * 100,
            "4: _f has 101 lines, more than 100",
        ),
        ('"""M."""\nclass C:\n    x = 1\n', "2: C has no docstring"),
        (
            '"""M."""\nclass C:\n    """C."""\n    def f(self) -> int:\n'
            "        return 1\n",
            "4: f has no docstring",
        ),
        (
            '"""M."""\ndef f(a: int, *b, c=1):\n    """F."""\n',
            "2: f has no type for c, b, return",
        ),
        (
            '"""M."""\nclass C:\n    """C."""\n    def __init__(self):\n'
            "        self.x = 1\n",
            "4: __init__ has no type for return",
        ),
        ('"""M."""\nx = "/home/me/data"\n', "2: a path of one machine"),
        ('"""M, as in ../data/x."""\n', "1: a path of one machine"),
    ],
)
def test_a_broken_rule_is_named(tmp_path, source, message):
    root = in_package(tmp_path, source)
    assert house_rules.problems(root) == [f"l2o_tf/version.py:{message}"]


@pytest.mark.parametrize(
    "source",
    [
        "",
        '"""M."""\nclass _C:\n    def f(self, x):\n        return x\n',
        '"""M."""\ndef _f(x):\n    return x\n',
        '"""M, as in https://example.org/home/me."""\n',
    ],
)
def test_private_and_empty_code_breaks_no_rule(tmp_path, source):
    assert house_rules.problems(in_package(tmp_path, source)) == []


def test_a_gin_package_is_refused(tmp_path):
    root = in_package(tmp_path, "")
    (root / "gin").mkdir()
    (root / "gin" / "__init__.py").write_text("")
    assert house_rules.problems(root) == [
        "gin/__init__.py: it would hide the gin-config package"
    ]
