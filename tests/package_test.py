"""The package as a whole: what it needs, and how it refuses to start."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run_python(code, tmp_path, **environment):
    """Run code in a fresh interpreter; return (exit code, stderr)."""
    clean = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**clean, "KERAS_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_importing_the_package_loads_neither_tensorflow_nor_keras(tmp_path):
    code = (
        "import sys, l2o_tf; "
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert run_python(code, tmp_path) == (0, "")


def test_missing_tensorflow_names_the_extras(tmp_path):
    code = "import sys; sys.modules['tensorflow'] = None; import l2o_tf"
    returned, message = run_python(code, tmp_path)
    assert returned == 1
    assert "ImportError: l2o_tf needs TensorFlow" in message
    assert "pip install 'l2o_tf[cpu]'" in message
    assert "pip install 'l2o_tf[gpu]'" in message


def test_another_keras_backend_is_refused(tmp_path):
    returned, message = run_python(
        "import l2o_tf", tmp_path, KERAS_BACKEND="jax"
    )
    assert returned == 1
    assert "ImportError: l2o_tf runs on Keras' TensorFlow backend" in message
    assert "Received: backend='jax'." in message


def test_another_keras_backend_in_the_settings_file_is_refused(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    returned, message = run_python("import l2o_tf", tmp_path)
    assert returned == 1
    assert "Received: backend='torch'." in message


@pytest.mark.parametrize(
    ("settings", "environment"),
    [
        ('{"backend": "torch"}', {"KERAS_BACKEND": "tensorflow"}),
        ('{"floatx": "float32"}', {}),
        ("{ not json", {}),
        ('{"backend": "tensorflow"}', {"KERAS_BACKEND": ""}),
    ],
)
def test_settings_that_mean_tensorflow_are_accepted(
    tmp_path, settings, environment
):
    (tmp_path / "keras.json").write_text(settings)
    assert run_python("import l2o_tf", tmp_path, **environment) == (0, "")


def test_a_loaded_keras_is_asked_itself(tmp_path):
    code = (
        "import sys, types\n"
        "keras = sys.modules['keras'] = types.ModuleType('keras')\n"
        "keras.config = types.SimpleNamespace(backend=lambda: 'openvino')\n"
        "import l2o_tf\n"
    )
    returned, message = run_python(code, tmp_path, KERAS_BACKEND="tensorflow")
    assert returned == 1
    assert "Received: backend='openvino'." in message


def requirements():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [Requirement(x) for x in lines if x and not x.startswith("#")]


def test_every_requirement_is_bounded_on_both_sides():
    for requirement in requirements():
        signs = {clause.operator for clause in requirement.specifier}
        assert ">=" in signs, requirement
        assert signs & {"<", "<="}, requirement


def test_what_tensorflow_datasets_forgets_is_required():
    names = {requirement.name for requirement in requirements()}
    assert "importlib_resources" in names


def test_the_version_is_that_of_the_changelog_or_newer_than_all_of_it():
    import l2o_tf

    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d[^]]*)\]", changelog, re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", l2o_tf.__version__)
    assert not released or released[0] == l2o_tf.__version__
