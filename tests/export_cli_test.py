"""`export` as a user types it."""

import json
import pathlib
import shlex
import subprocess
import sys

import gin
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from support.exports import use_elsewhere
from support.stablehlo import commented, entry, parse

from l2o_tf import export
from l2o_tf.cli import fail_in_words
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.weights import save_weights

ROOT = pathlib.Path(__file__).resolve().parents[1]
QUADRATIC = ROOT / "tests" / "fixtures" / "quadratic.gin"
ADAM = ("--optimizer=adam", "--learning_rate=0.5")


@pytest.fixture
def run(capsys):
    """Give the command, run in this process, as (code, output, errors)."""
    before = set(flags.FLAGS)
    export.define_flags()

    def run_export(*arguments):
        gin.clear_config()
        flags.FLAGS.unparse_flags()
        for name in set(flags.FLAGS) - before:
            flags.FLAGS[name].unparse()
        rest = flags.FLAGS(["export", *map(str, arguments)])
        code = fail_in_words(export.main, rest)
        return code, *capsys.readouterr()

    yield run_export
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return files with the weights of a coordinate-wise cell and another."""
    folder = tmp_path_factory.mktemp("weights")
    cells = {
        "dm": DMLSTM(units=(3,), output_scale=0.1, seed=3),
        "scale": HierarchicalRNN(units=(2, 3, 3), seed=3),
    }
    for name, cell in cells.items():
        path = folder / f"{name}.npz"
        save_weights(path, cell, cell.meta_params(), {"episodes": 12})
    return folder


def facts_of(path):
    return json.loads((path / "assets" / "optimizer.json").read_text())


def commands_in(output):
    return [
        shlex.split(line)
        for line in output.splitlines()
        if line.startswith("  saved_model_cli")
    ]


def test_the_commands_that_it_shows_run_without_the_package(
    run, weights, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, output, _ = run(*ADAM, "--output=adam")
    assert code == 0
    assert "adam: Adam for any number of coordinates, with the sign" in output
    adam = commands_in(output)
    code, output, _ = run(
        f"--weights={weights}/scale.npz", "--shapes=w:2x3,b:3", "--output=s"
    )
    assert code == 0
    assert "s: HierarchicalRNN for 9 coordinates" in output
    # The folder of the states of the one is not that of the other.
    scale = [
        [w.replace("state/", "s_state/") for w in c]
        for c in commands_in(output)
    ]
    scale = [["s_state" if w == "state" else w for w in c] for c in scale]
    np.save("gradient.npy", np.ones(9, "f4"))
    assert [len(adam), len(scale)] == [2, 2]
    shown = use_elsewhere(tmp_path, commands=[*adam, *scale])
    assert shown.count("Result for output key updates:") == 2
    np.testing.assert_allclose(
        np.load("state/updates.npy"), [-0.5, 0.5], rtol=1e-5
    )
    updates = np.load("s_state/updates.npy")
    assert updates.shape == (9,)
    assert (updates != 0.0).all()


def test_weights_are_given_by_name_path_or_run(run, weights, tmp_path):
    code, _, errors = run("--weights=rnnprop", f"--output={tmp_path / 'name'}")
    assert code == 0, errors
    facts = facts_of(tmp_path / "name")
    assert (facts["cell"], facts["layout"]) == ("RNNprop", None)
    assert facts["training"] == {"weights": "rnnprop"}
    run_dir = tmp_path / "run"
    (run_dir / "best").mkdir(parents=True)
    (run_dir / "config.gin").write_text(QUADRATIC.read_text())
    (run_dir / "best" / "weights.npz").write_bytes(
        (weights / "dm.npz").read_bytes()
    )
    for flag, training in (
        (f"--weights={weights}/dm.npz", {"weights": f"{weights}/dm.npz"}),
        (f"--run_dir={run_dir}", {"episodes": 12}),
    ):
        code, _, errors = run(flag, f"--output={tmp_path / 'x'}", "--overwrite")
        assert code == 0, errors
        facts = facts_of(tmp_path / "x")
        assert facts["config"]["units"] == [3]
        assert facts["training"] == training
    update = tf.saved_model.load(str(tmp_path / "x")).signatures["update"]
    assert update.structured_outputs["updates"].shape.as_list() == [None]


def test_a_problem_or_shapes_say_what_the_export_is_for(run, tmp_path):
    for flag, layout in (
        ("--optimizee=simple", {"x": []}),
        ("--shapes=w:2x3,s:", {"w": [2, 3], "s": []}),
    ):
        out = tmp_path / "out"
        code, _, errors = run(*ADAM, flag, f"--output={out}", "--overwrite")
        assert code == 0, errors
        found = facts_of(out)["layout"]
        assert list(found.values()) == list(layout.values())


def test_one_update_is_written_as_stablehlo(run, tmp_path):
    file = tmp_path / "deep" / "update.mlir"
    code, output, _ = run(
        *ADAM, f"--stablehlo_update={file}", "--coordinates=3"
    )
    assert code == 0
    assert output.startswith(f"{file}: StableHLO, ")
    text = file.read_text()
    assert parse(text)
    assert entry(text)[1] == 3 * ["float32 [3]"]
    assert not list(tmp_path.glob("*/saved_model.pb"))


def test_a_meta_update_is_written_as_stablehlo(run, tmp_path):
    given, stored = tmp_path / "given.mlir", tmp_path / "stored.mlir"
    code, _, errors = run(
        f"--gin_file={QUADRATIC}",
        "--gin_param=Quadratic.dim = 2",
        f"--stablehlo_meta_step={given}",
    )
    assert code == 0, errors
    text = given.read_text()
    assert parse(text)
    arguments, results = commented(text)
    assert ([t for _, t in arguments], [t for _, t in results]) == entry(text)
    assert results[: len(arguments)] == arguments
    assert ("carry.params", "float32 [4]") in arguments

    (tmp_path / "config.gin").write_text(
        QUADRATIC.read_text() + "\nQuadratic.dim = 2\n"
    )
    code, _, errors = run(
        f"--run_dir={tmp_path}", f"--stablehlo_meta_step={stored}"
    )
    assert code == 0, errors
    assert stored.read_text() == text

    code, _, errors = run(
        f"--run_dir={tmp_path}",
        "--optimizee=simple",
        f"--stablehlo_meta_step={stored}",
    )
    assert code == 0, errors
    assert ("carry.params", "float32 [1]") in commented(stored.read_text())[0]


ENSEMBLE = (
    "--gin_param=Trainer.optimizee = @ensemble()",
    "--gin_param=ensemble.families = ('bowl',)",
    "--gin_param=Trainer.validation_optimizee = @Quadratic()",
)
MISTAKES = [
    ((), "Received: none of them"),
    (
        ("--output=o",),
        "Give one of --run_dir, --weights and --opt.*Received: none of them",
    ),
    ((*ADAM, "--run_dir=r", "--output=o"), "Give one of.*'run_dir': 'r'"),
    (("--optimizer=sgd", "--output=o"), "learning_rate=None"),
    (("--weights=rnprop", "--output=o"), "Did you mean 'rnnprop'"),
    (("--weights=./absent.npz", "--output=o"), "Received: path='absent.npz'"),
    (("--run_dir=absent", "--output=o"), "Received: run_dir='absent'"),
    (("--run_dir=.", "--output=o"), "has no weights yet.*run_dir='.'"),
    ((*ADAM, "--optimizee=simpl", "--output=o"), "Did you mean 'simple'"),
    (
        (*ADAM, "--optimizee=simple", "--shapes=w:2", "--output=o"),
        "Received: --optimizee=simple with --shapes",
    ),
    ((*ADAM, "--shapes=w2", "--output=o"), "Received: 'w2' of --shapes=w2"),
    ((*ADAM, "--shapes=w:2xa", "--output=o"), "Received: 'w:2xa' of"),
    ((*ADAM, "--shapes=w:2,w:3", "--output=o"), "--shapes=w:2,w:3"),
    ((*ADAM, "--shapes=w:0", "--output=o"), "Received: shape=.0,. of 'w'"),
    ((*ADAM, "--coordinates=3", "--output=o"), "coordinates=3 without"),
    (
        (*ADAM, "--output=o", "--stablehlo_update=u"),
        "Received: coordinates=None. Give --coordinates=1000",
    ),
    ((*ADAM, "--gin_file=g", "--output=o"), "gin_file=.'g'.* without"),
    (("--stablehlo_meta_step=m",), "gin_file=.., run_dir=None"),
    (
        ("--stablehlo_meta_step=m", "--gin_file=g", "--run_dir=."),
        "gin_file=.'g'., run_dir='.'",
    ),
    ((*ADAM, "--stablehlo_meta_step=m"), "Received: --optimizer without"),
    (("--stablehlo_meta_step=m", "--gin_file=g"), "--gin_file='g'"),
    (
        ("--stablehlo_meta_step=m", f"--gin_file={QUADRATIC}", *ENSEMBLE),
        "from an ensemble.*Received: optimizee=None",
    ),
    ((*ADAM, "--output=there"), "Received: path='there'.*overwrite"),
    ((*ADAM, "--output=mine", "--overwrite"), "never replaced.*path='mine'"),
]


def test_mistakes_end_in_one_worded_line(run, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.gin").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "saved_model.pb").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    tensors = (f"--weights={weights}/scale.npz", "--output=o")
    for arguments, message in (*MISTAKES, (tensors, "--shapes=w:784x20")):
        code, output, errors = run(*arguments)
        assert (code, output) == (1, ""), arguments
        assert len(errors.splitlines()) == 1
        with pytest.raises(ValueError, match=message):
            raise ValueError(errors)
    assert sorted(tmp_path.rglob("*")) == before


def test_help_shows_examples():
    result = subprocess.run(
        [sys.executable, "-m", "l2o_tf.export", "--help"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "python -m l2o_tf.export --weights=dm_cl_il" in result.stdout
    assert "For example" in result.stdout
