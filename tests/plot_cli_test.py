"""What `plot` writes and prints; tests/evaluate_cli_test.py types it too."""

import html
import json

import pytest
from absl import flags
from support.curves import ending_at

from l2o_tf import plot
from l2o_tf.cli import fail_in_words
from l2o_tf.evaluation.curves import load_curves, save_curve
from l2o_tf.evaluation.wall_clock import WallClockRow, write_wall_clock

CURVES = [
    *ending_at([-2.0, -3.0], "dm", steps=30, optimizee="mlp_orig"),
    *ending_at([-1.0, None], "adam", steps=30, optimizee="mlp_orig"),
    *ending_at([-1.0], "dm_100@1000", steps=30, optimizee="mlp_orig"),
]
BARE = ("--smooth=5", "--figures=", "--notensorboard")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "results"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "eval.gin").write_text("a.b = 'of the gin file'\n")
    for curve in CURVES:
        save_curve(folder, curve)
    return folder


@pytest.fixture
def run(capsys):
    """Give the command, run in this process, as (code, output, errors)."""
    before = set(flags.FLAGS)
    plot.define_flags()

    def run_plot(*arguments):
        rest = flags.FLAGS(["plot", *map(str, arguments)])
        code = fail_in_words(plot.main, rest)
        return code, *capsys.readouterr()

    yield run_plot
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()


def files_of(folder):
    """Return the paths of what was written, recorded curves left out."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".npz" and path.suffix != ".gin"
    )


def test_a_folder_is_drawn_reported_and_printed(run, folder):
    code, output, _ = run(folder, "--smooth=5", "--figures=4,6,7")
    assert code == 0
    events = [name for name in files_of(folder) if "tfevents" in name]
    assert len(events) == len(CURVES)
    assert set(files_of(folder)) - set(events) == {
        "curves.png",
        "curves.svg",
        "figures/figure_4.png",
        "figures/figure_4.svg",
        "figures/figure_7.png",
        "figures/figure_7.svg",
        "report.html",
        "tables/comparison.csv",
        "tables/end_values.csv",
    }
    rows = (folder / "tables/end_values.csv").read_text().splitlines()
    assert len(rows) == 4
    assert rows[1].startswith("mlp_orig,")
    assert "std of loss" in rows[0].split(",")
    page = (folder / "report.html").read_text()
    assert "of the gin file" in page
    assert page.count("<svg ") == 3
    lines = output.splitlines()
    assert lines[0] == "End values, natural logarithms"
    assert any(line.startswith("mlp_orig   dm ") for line in lines)
    assert "ln of the end value minus that of adam" in lines
    assert "Not measured, of what the paper shows:" in lines
    assert str(folder / "figures" / "figure_7.png") in lines
    assert lines[-1] == f"tensorboard --logdir={folder / 'tensorboard'}"


def test_the_text_has_its_pictures_and_index_beside_it(run, folder, tmp_path):
    text = tmp_path / "docs" / "REPRODUCTION.md"
    code, output, errors = run(
        folder,
        "--smooth=5",
        "--figures=7",
        "--notensorboard",
        f"--reproduction={text}",
    )
    assert (code, errors) == (0, "")
    assert files_of(text.parent) == [
        "REPRODUCTION.md",
        "reproduction/figure_7.png",
        "reproduction/index.csv",
    ]
    assert "![Figure 7](reproduction/figure_7.png)" in text.read_text()
    rows = (text.parent / "reproduction/index.csv").read_text().splitlines()
    assert len(rows) == 1 + len(CURVES)
    assert output.splitlines()[-1] == str(text)


def test_some_optimizees_are_asked_for(run, folder, tmp_path):
    for name in ("nas", "zoo"):
        for curve in ending_at([-1.0], "dm", steps=30, optimizee=name):
            save_curve(folder, curve)
    times = [
        WallClockRow("dm", name, "xla", "CPU", 100, 2.0, 1.0, 3.0)
        for name in ("mlp_orig", "nas")
    ]
    write_wall_clock(folder, times)
    costs = {"simple": {"weights": 132, "median_ms": 4.0}}
    (folder / "table_1.json").write_text(
        json.dumps({"optimizee": {"name": "base_mlp"}, "optimizers": costs})
    )
    text = tmp_path / "docs" / "some.md"
    code, output, errors = run(
        folder,
        "--smooth=5",
        "--figures=7",
        "--notensorboard",
        "--optimizees=nas,zoo",
        f"--reproduction={text}",
    )
    assert (code, errors) == (0, "")
    written = text.read_text()
    for said, there in (
        ("| optimizees | nas (runs: 1); zoo (runs: 1) |", True),
        ("| optimizer | NAS-CIFAR |", True),
        ("(`mlp_orig`)", False),
        ("MLP-orig |", False),
        ("Conv-MNIST |", False),
        ("SimpleOptimizer", False),
    ):
        assert (said in written) == there, said
    page = (folder / "report.html").read_text()
    for said, there in (
        ("<td>NAS-CIFAR", True),
        ("mlp_orig", False),
        ("<td>MLP-orig", False),
        ("<td>Conv-MNIST", False),
    ):
        assert (said in page.split("<h2>Configurations")[0]) == there, said
    assert "  nas: " in output
    assert "  mnist_conv: " not in output
    rows = (text.parent / "some/index.csv").read_text().splitlines()
    assert len(rows) == 3


@pytest.mark.parametrize("asked", ["nas", "mlp_orig,nas", ""])
def test_an_optimizee_without_curves_is_refused(run, folder, asked):
    code, _, errors = run(folder, *BARE, f"--optimizees={asked}")
    assert code == 1
    assert "There are curves on mlp_orig. Received: --optimizees=" in errors


def test_one_picture_is_asked_for_and_nothing_else_is_written(
    run, folder, tmp_path
):
    target = tmp_path / "new" / "x.svg"
    code, output, _ = run(folder, f"--output={target}", "--smooth=1")
    assert code == 0
    assert output == f"{target}\n"
    assert target.read_bytes().startswith(b"<?xml")
    assert files_of(folder) == []


def test_the_text_says_what_an_update_takes(run, folder, tmp_path):
    rows = [WallClockRow("dm", "mlp_orig", "xla", "CPU", 100, 2.0, 1.0, 3.0)]
    write_wall_clock(folder, rows)
    text = tmp_path / "text.md"
    assert run(folder, *BARE, f"--reproduction={text}")[0] == 0
    assert "| L2O-DM | 2.00 |" in text.read_text().splitlines()


def test_a_figure_against_seconds_needs_wall_clock(run, folder):
    arguments = (*BARE, "--against=seconds")
    code, _, errors = run(folder, *arguments)
    assert code == 1
    assert "was not measured. Received: optimizer=" in errors
    rows = [
        WallClockRow(name, "mlp_orig", "graph", "CPU", 100, 2.0, 1.0, 3.0)
        for name in ("dm", "adam")
    ]
    write_wall_clock(folder, rows)
    assert run(folder, *arguments)[0] == 0
    assert "seconds (measured alone" in (folder / "report.html").read_text()


def test_the_baseline_can_be_another(run, folder):
    _, output, _ = run(folder, *BARE, "--baseline=dm")
    assert "ln of the end value minus that of dm\n" in output


def test_without_adam_nothing_is_compared(run, tmp_path):
    for curve in CURVES[:2]:
        save_curve(tmp_path, curve)
    code, output, _ = run(tmp_path, *BARE)
    assert code == 0
    assert "minus that of" not in output
    assert files_of(tmp_path / "tables") == ["end_values.csv"]


def test_the_grid_of_a_tuned_optimizer_is_written(run, tmp_path):
    tuning = {
        "by": "final",
        "steps": 30,
        "seeds": [1000],
        "candidates": [{"name": "adam_0.1", "config": {}, "score": -2.5}],
        "chosen": 0,
        "at_edge": True,
    }
    (curve,) = ending_at([-1.0], "adam", steps=30, tuning=tuning)
    save_curve(tmp_path, curve)
    assert run(tmp_path, *BARE)[0] == 0
    rows = (tmp_path / "tables" / "tuning.csv").read_text().splitlines()
    assert rows[1] == (
        'mlp_orig,adam,adam_0.1,-2.5,"chosen, at the edge",final,30,1000'
    )


@pytest.mark.parametrize(("steps", "window"), [(30, 15), (1, 1), (400, 100)])
def test_the_default_smoothing_fits_the_shortest_curve(
    run, tmp_path, steps, window
):
    for curve in (
        *ending_at([-1.0], "dm", steps=steps),
        *ending_at([-1.0], "adam", steps=500),
    ):
        save_curve(tmp_path, curve)
    code, _, errors = run(tmp_path, "--figures=", "--notensorboard")
    assert (code, errors) == (0, "")
    page = (tmp_path / "report.html").read_text()
    words = f"running mean over {window} updates"
    assert (words in page) == (window > 1)


def test_the_line_can_be_of_logarithms(run, folder):
    assert run(folder, *BARE, "--log_mean")[0] == 0
    page = (folder / "report.html").read_text()
    assert "line: mean of the seeds' ln losses" in html.unescape(page)


def test_a_damaged_curve_has_a_way_out(run, folder):
    path = sorted(folder.glob("*.npz"))[0]
    path.write_bytes(path.read_bytes()[:-50])
    code, _, errors = run(folder, *BARE)
    assert code == 1
    assert path.name in errors
    assert "`python -m l2o_tf.evaluate` that made the curve computes" in errors
    assert files_of(folder) == []


def test_folders_and_files_are_taken_together(run, folder, tmp_path):
    (other,) = ending_at([-4.0], "sgd", steps=30)
    file = save_curve(tmp_path, other)
    _, output, _ = run(folder, file, *BARE)
    assert "sgd" in output
    assert (folder / "curves.png").exists()
    assert len(load_curves([folder])) == len(CURVES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--figures=9",), "Received: figures=['9']"),
        (("--baseline=lion",), "Received: baseline='lion'"),
        (("--smooth=0",), "Received: window=0"),
        (("--smooth=31",), "Received: --smooth=31, steps=30"),
        (("--output=x.nothing", "--smooth=1"), "not supported"),
    ],
)
def test_mistakes_end_in_words_and_write_nothing(
    run, folder, arguments, message
):
    code, _, errors = run(folder, *BARE, *arguments)
    assert code == 1
    assert message in errors
    assert files_of(folder) == []


def test_nothing_to_plot_is_refused(run):
    code, _, errors = run()
    assert code == 1
    assert "Received: none" in errors
