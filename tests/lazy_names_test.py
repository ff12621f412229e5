"""The names of the package itself: found when asked for, cheap until then."""

import importlib
import pathlib
import subprocess
import sys

import pytest

import l2o_tf
from l2o_tf.interop import model_cards, pretrained

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run_python(code):
    """Run code in a fresh interpreter; return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_names_are_those_of_their_modules():
    assert l2o_tf.load is pretrained.load
    assert l2o_tf.pretrained is model_cards.pretrained
    module = importlib.import_module("l2o_tf.interop.keras_optimizer")
    assert l2o_tf.keras_optimizer is module.keras_optimizer


def test_the_names_are_listed():
    names = {"__version__", "keras_optimizer", "load", "pretrained"}
    assert set(l2o_tf.__all__) == names
    assert names <= set(dir(l2o_tf))


def test_a_star_import_gives_the_public_names():
    found = {}
    exec("from l2o_tf import *", found)
    assert found["load"] is pretrained.load
    assert set(l2o_tf.__all__) <= set(found)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="Received: 'laod'. It has keras_"):
        l2o_tf.laod  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'laod'"):
        exec("from l2o_tf import laod")


def test_listing_what_is_trained_loads_neither_tensorflow_nor_keras():
    code = (
        "import sys, l2o_tf\n"
        "print(len(l2o_tf.pretrained()) > 0, "
        "{'tensorflow', 'keras', 'numpy'} & set(sys.modules))"
    )
    assert run_python(code) == "True set()\n"


def test_no_module_or_folder_can_take_the_place_of_a_name():
    folder = pathlib.Path(l2o_tf.__file__).parent
    for name in l2o_tf.__all__:
        assert not (folder / name).exists(), name
        assert not (folder / f"{name}.py").exists(), name
