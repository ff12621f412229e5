"""`evaluate` computes studies, once, and `plot` draws them."""

import gin
import pytest
from absl import flags
from support.curves import ending_at

from l2o_tf import evaluate, plot
from l2o_tf.cli import fail_in_words
from l2o_tf.evaluation.curves import save_curve
from l2o_tf.runtime.file_lock import file_lock
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.studies.store import load_findings

STUDY = """
evaluate.studies = [@MomentumStudy()]
MomentumStudy.num_momenta = 20
MomentumStudy.lengths = (3, 5)
MomentumStudy.shown = (0.5,)
"""

SWEEP = """
evaluate.sweep = @Sweep()
Sweep.comparisons = [@Comparison()]
Comparison.optimizers = [@Fixed()]
Fixed.name = 'sgd'
Fixed.cell = @SGD()
Comparison.optimizees = ('simple',)
"""


@pytest.fixture
def command(capsys):
    """Give a command, run in this process, as (code, output, errors)."""
    before = set(flags.FLAGS)

    def run(module, *arguments):
        module.define_flags()
        rest = flags.FLAGS(["command", *map(str, arguments)])
        try:
            code = fail_in_words(module.main, rest)
        finally:
            for name in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, name)
        return code, *capsys.readouterr()

    yield run
    flags.FLAGS.unparse_flags()


@pytest.fixture
def compute(command, tmp_path):
    """Give `evaluate` of a configuration into tmp_path/out."""

    def run(text, *arguments):
        gin.clear_config()  # each command is a process of its own
        file = tmp_path / "mine.gin"
        file.write_text(text)
        return command(
            evaluate,
            f"--gin_file={file}",
            f"--output_dir={tmp_path / 'out'}",
            "--quiet",
            *arguments,
        )

    return run


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_a_study_is_computed_once_and_drawn(compute, command, out):
    code, output, _ = compute(STUDY)
    assert code == 0
    assert f"1 study in {out / 'studies'}" in output
    (found,) = load_findings(out)
    assert found.arrays["losses"].shape == (2, 20)
    (config,) = (out / "configs").glob("mine-*.gin")
    assert "MomentumStudy.num_momenta = 20" in config.read_text()

    stamp = (out / "studies" / "momentum.npz").stat().st_mtime_ns
    assert compute(STUDY)[0] == 0
    assert (out / "studies" / "momentum.npz").stat().st_mtime_ns == stamp

    code, output, _ = command(plot, out)
    assert (code, output) == (0, f"{out / 'studies' / 'momentum.png'}\n")
    assert (out / "studies" / "momentum.svg").exists()


def test_curves_beside_studies_are_drawn_too(compute, command, out):
    compute(STUDY)
    for curve in ending_at([-2.0, -3.0], "dm", steps=30):
        save_curve(out, curve)
    code, output, _ = command(plot, out, "--notensorboard", "--figures=")
    assert code == 0
    assert (out / "studies" / "momentum.png").exists()
    assert (out / "curves.png").exists()
    lines = output.splitlines()
    assert lines[0] == str(out / "studies" / "momentum.png")
    assert str(out / "curves.png") in lines


def test_the_text_of_a_reproduction_has_the_studies(
    compute, command, out, tmp_path
):
    compute(STUDY)
    curves = tmp_path / "curves"
    curves.mkdir()
    for curve in ending_at([-2.0, -3.0], "dm", steps=30):
        save_curve(curves, curve)
    text = tmp_path / "REPRODUCTION.md"
    options = ("--notensorboard", "--figures=", f"--reproduction={text}")
    assert command(plot, curves, out, *options)[0] == 0
    assert "figure_momentum.png)" in text.read_text()
    assert (curves / "curves.png").exists()
    text.unlink()
    code, _, errors = command(plot, out, *options)
    assert code == 1
    assert "which have studies alone" in errors
    assert not text.exists()


def test_another_configuration_is_refused_before_any_work(compute, out):
    compute(STUDY)
    other = STUDY.replace("20", "30")
    code, _, errors = compute(other)
    assert code == 1
    assert "Received: path=" in errors
    assert load_findings(out)[0].config["num_momenta"] == 20
    assert compute(other, "--overwrite")[0] == 0
    assert load_findings(out)[0].config["num_momenta"] == 30


def test_what_another_process_computes_is_not_waited_for(compute, out):
    with file_lock(out / "studies" / ".locks" / "momentum.lock"):
        code, output, _ = compute(STUDY)
    assert code == 0
    assert "momentum is computed by another process." in output
    assert "Not finished here: momentum." in output
    assert load_findings(out) == []


def test_a_stopped_command_says_how_to_go_on(compute, out, monkeypatch):
    original = GracefulStop.__enter__

    def stopped(self):
        entered = original(self)
        self.requested, self.signal_name = True, "SIGTERM"
        return entered

    monkeypatch.setattr(GracefulStop, "__enter__", stopped)
    code, output, _ = compute(STUDY)
    assert code == 128 + 15
    assert "Stopped by SIGTERM; finished studies are kept." in output
    assert load_findings(out) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        STUDY + SWEEP,
    ],
)
def test_a_configuration_without_one_root_is_refused(compute, text):
    code, _, errors = compute(text)
    assert code == 1
    assert "one of the two. Received: sweep=" in errors


def test_two_studies_of_one_name_are_refused(compute):
    twice = "evaluate.studies = [@MomentumStudy(), @MomentumStudy()]"
    code, _, errors = compute(twice)
    assert code == 1
    assert "Received: names=['momentum', 'momentum']" in errors


def test_a_binding_that_nothing_uses_is_refused(compute):
    code, _, errors = compute(STUDY + "PlaneStudy.points = 3\n")
    assert code == 1
    assert "Received: PlaneStudy.points" in errors


def test_steps_of_studies_are_not_timed(compute):
    code, _, errors = compute(STUDY, "--wall_clock")
    assert code == 1
    assert "Received: --wall_clock with a configuration of studies" in errors


def test_a_folder_with_neither_curves_nor_studies_is_refused(command, tmp_path):
    code, _, errors = command(plot, tmp_path)
    assert code == 1
    assert "There is no loss curve there. Received: path=" in errors
