r"""Draw and report loss curves: pictures, tables, an HTML page, TensorBoard.

For example:

  python -m l2o_tf.plot runs/eval_paper
      draws every curve of a folder to curves.png and curves.svg there, and
      what there is of the paper's figures to figures/; prints where the
      curves end, with tables/*.csv; writes report.html and events for
      TensorBoard.

  python -m l2o_tf.plot runs/eval_paper runs/eval_scale \
      --reproduction=REPRODUCTION.md
      takes the curves of both folders, and also writes their numbers beside
      the paper's, with pictures in reproduction/.

  python -m l2o_tf.plot a/curves b/curves/x-mlp_orig-test-seed0.npz \
      --output=figure.svg --smooth=1
      draws folders and single files into one picture, without smoothing, and
      writes nothing else.

  python -m l2o_tf.plot runs/eval_mlps --optimizees=mlp_orig,mlp_relu \
      --reproduction=TEN_SEEDS.md
      takes the curves on these optimizees, and of the papers' figures only
      their panels.

What `evaluate` left in studies/ of a folder is drawn there, beside the curves
or without any.

One panel per optimizee, one line per optimizer: the mean of the raw losses
over seeds, with a band from the lowest to the highest seed. A run whose loss
is not finite is drawn up to there, and counted in the legend.
"""

from __future__ import annotations

import pathlib
import shlex
import sys
from collections.abc import Mapping, Sequence

from absl import flags
from matplotlib.figure import Figure

from l2o_tf.cli import run_command
from l2o_tf.evaluation.curves import Curve, load_curves, write_index
from l2o_tf.evaluation.wall_clock import WallClockRow, in_seconds, read_rows
from l2o_tf.reporting.figures import save_figure
from l2o_tf.reporting.gallery import (
    draw_all,
    draw_curves,
    picture_folder,
    save_all,
    save_beside_text,
)
from l2o_tf.reporting.panels import AGAINST, BANDS, STATISTICS, Drawing
from l2o_tf.reporting.paper import FIGURES, PaperFigure, figures_on
from l2o_tf.reporting.report import report
from l2o_tf.reporting.reproduction import not_measured, reproduction
from l2o_tf.reporting.simple_costs import read_costs
from l2o_tf.reporting.simple_paper import BASE, Cost
from l2o_tf.reporting.study_figures import draw_findings, save_findings
from l2o_tf.reporting.tables import comparison_table, end_table, tuning_table
from l2o_tf.reporting.tensorboard import write_events
from l2o_tf.runtime.arrays import DamagedFileError
from l2o_tf.runtime.atomic import make_folder, write_text
from l2o_tf.studies.store import load_findings

FLAGS = flags.FLAGS
_BASELINE = "adam"
_SMOOTH = 100


def define_flags() -> None:
    """Define the command's flags."""
    flags.DEFINE_string(
        "output",
        None,
        "One picture of all curves, .png, .svg or .pdf, and nothing else.",
    )
    flags.DEFINE_integer(
        "smooth",
        None,
        "Updates of the running mean; 1 for none. Defaults to "
        f"{_SMOOTH}, of short curves to half of the shortest.",
    )
    flags.DEFINE_enum(
        "statistic", "mean", STATISTICS, "What the line is of the seeds."
    )
    flags.DEFINE_enum("band", "minmax", BANDS, "What the band is of the seeds.")
    flags.DEFINE_bool(
        "log_mean",
        False,
        "Lines and bands are of the seeds' ln losses, not of their losses.",
    )
    flags.DEFINE_enum(
        "against",
        "updates",
        AGAINST,
        "The horizontal axis; seconds are those of wall_clock.csv, which "
        "`python -m l2o_tf.evaluate --wall_clock` writes.",
    )
    flags.DEFINE_list(
        "figures",
        None,
        "Figures of the papers, as 2,7 of Chen et al. and simple_2 of "
        "SimpleOptimizer's. Defaults to all of which there is a curve.",
    )
    flags.DEFINE_list(
        "optimizees",
        None,
        "Optimizees whose curves, times and costs to take, as "
        "mlp_orig,mlp_relu: of Chen et al.'s figures only their panels are "
        "drawn and asked for. Defaults to all. Studies have none, and are "
        "taken all the same.",
    )
    flags.DEFINE_string(
        "baseline",
        None,
        "The optimizer that the others are compared with, seed by seed. "
        f"Defaults to {_BASELINE}, if it is there.",
    )
    flags.DEFINE_string(
        "reproduction",
        None,
        "A text to write, as REPRODUCTION.md: the curves beside the paper.",
    )
    flags.DEFINE_bool("tensorboard", True, "Write events for TensorBoard.")


def _configurations(folders: Sequence[pathlib.Path]) -> dict[str, str]:
    """Return the configurations that `evaluate` left beside its results."""
    return {
        str(path): path.read_text("utf-8")
        for folder in folders
        for path in sorted((folder / "configs").glob("*.gin"))
    }


def _is_asked_for(optimizee: str) -> bool:
    return FLAGS.optimizees is None or optimizee in FLAGS.optimizees


def _times(folders: Sequence[pathlib.Path]) -> list[WallClockRow]:
    """Return what updates take on the optimizees that are asked for."""
    return [
        row
        for folder in folders
        for row in read_rows(folder)
        if _is_asked_for(row.optimizee)
    ]


def _costs(folders: Sequence[pathlib.Path]) -> dict[str, Cost]:
    """Return what optimizers cost, as tools/bench_simple.py measured it."""
    found: dict[str, Cost] = {}
    for folder in folders if _is_asked_for(BASE) else ():
        found |= read_costs(folder)
    return found


def _read_curves(paths: Sequence[pathlib.Path]) -> list[Curve]:
    """Read curves, those that are asked for; a damaged one has a way out.

    Raises:
        ValueError: if there is none on an optimizee of --optimizees.
    """
    try:
        return _asked_for(load_curves(paths))
    except DamagedFileError as error:
        raise DamagedFileError(
            f"{error} The command of `python -m l2o_tf.evaluate` that made the "
            "curve computes it anew, given once more."
        ) from error


def _asked_for(curves: list[Curve]) -> list[Curve]:
    """Return the curves on --optimizees."""
    if FLAGS.optimizees is None:
        return curves
    there = {curve.optimizee for curve in curves}
    absent = [name for name in FLAGS.optimizees if name not in there]
    if absent or not FLAGS.optimizees:
        raise ValueError(
            f"There are curves on {', '.join(sorted(there))}. Received: "
            f"--optimizees={','.join(FLAGS.optimizees)}. Name some of these, "
            "or leave the flag out for all."
        )
    return [curve for curve in curves if _is_asked_for(curve.optimizee)]


def _paper_figures() -> tuple[PaperFigure, ...]:
    """Return Chen et al.'s figures, with the panels that are asked for."""
    asked = FLAGS.optimizees
    return FIGURES if asked is None else figures_on(asked)


def _draw_studies(folders: Sequence[pathlib.Path]) -> bool:
    """Draw the studies of each folder there; return whether there are any."""
    drawn = [
        path for f in folders for path in save_findings(f, load_findings(f))
    ]
    for path in drawn:
        print(path)
    return bool(drawn)


def _window(curves: Sequence[Curve]) -> int:
    """Return the updates of the running mean: --smooth, or what fits.

    Raises:
        ValueError: if --smooth is longer than a curve.
    """
    shortest = min(curve.steps for curve in curves)
    if FLAGS.smooth is None:
        return min(_SMOOTH, max(1, shortest // 2))
    if FLAGS.smooth > shortest:
        raise ValueError(
            "The running mean is longer than a curve. Received: "
            f"--smooth={FLAGS.smooth}, steps={shortest}. Give a smaller "
            "--smooth, or none."
        )
    return int(FLAGS.smooth)


def _print_tables(
    folder: pathlib.Path, curves: Sequence[Curve], baseline: str | None
) -> None:
    """Print where the curves end, and what the paper has and they have not.

    The tables, and that of the tuning, are also written to tables/ of the
    folder.
    """
    tables = {"end_values": end_table(curves), "tuning": tuning_table(curves)}
    print(tables["end_values"].plain())
    if baseline is not None:
        tables["comparison"] = comparison_table(curves, baseline)
        print(tables["comparison"].plain())
    make_folder(folder / "tables")
    for name, table in tables.items():
        if table.rows:
            write_text(folder / "tables" / f"{name}.csv", table.csv())
    missing = not_measured(curves, _paper_figures())
    if missing:
        print("Not measured, of what the paper shows:")
    for optimizee, names in missing.items():
        print(f"  {optimizee}: {', '.join(names)}")


def _write_reproduction(
    folders: Sequence[pathlib.Path],
    curves: Sequence[Curve],
    figures: Mapping[str, Figure],
    times: Sequence[WallClockRow],
) -> pathlib.Path:
    """Write the text that --reproduction asks for, its pictures and index."""
    path = pathlib.Path(FLAGS.reproduction)
    folder = make_folder(picture_folder(path))
    findings = [found for f in folders for found in load_findings(f)]
    pictures = save_beside_text(path, {**figures, **draw_findings(findings)})
    write_index(folder, [curve.index_row() for curve in curves])
    command = shlex.join(["python", "-m", "l2o_tf.plot", *sys.argv[1:]])
    text = reproduction(
        curves,
        pictures,
        command,
        _costs(folders),
        findings,
        times,
        _paper_figures(),
    )
    write_text(path, text)
    return path


def _write_everything(
    folder: pathlib.Path,
    folders: Sequence[pathlib.Path],
    curves: Sequence[Curve],
    drawing: Drawing,
    times: Sequence[WallClockRow],
) -> None:
    """Write all that there is of the curves to a folder, and say where."""
    names = {curve.optimizer for curve in curves}
    baseline = FLAGS.baseline or (_BASELINE if _BASELINE in names else None)
    figures = draw_all(curves, drawing, FLAGS.figures, _paper_figures())
    page = report(
        curves,
        figures,
        _configurations(folders),
        drawing.seconds,
        baseline,
        _paper_figures(),
    )
    _print_tables(folder, curves, baseline)
    for path in save_all(folder, figures).values():
        print(path)
    write_text(folder / "report.html", page)
    print(folder / "report.html")
    if FLAGS.reproduction:
        print(_write_reproduction(folders, curves, figures, times))
    if FLAGS.tensorboard:
        print(f"tensorboard --logdir={write_events(folder, curves)}")


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    paths = [pathlib.Path(path) for path in argv[1:]]
    if not paths:
        raise ValueError(
            "Name folders or files of curves. Received: none. "
            "Try `python -m l2o_tf.plot runs/dm_cl/curves`."
        )
    folders = list(dict.fromkeys(p if p.is_dir() else p.parent for p in paths))
    if not FLAGS.output and _draw_studies([p for p in paths if p.is_dir()]):
        # A folder of studies need not have curves.
        paths = [p for p in paths if p.is_file() or any(p.glob("*.npz"))]
        if not paths and FLAGS.reproduction:
            raise ValueError(
                "The text of --reproduction begins with curves. Received: "
                f"{', '.join(argv[1:])}, which have studies alone. Name a "
                "folder of curves first."
            )
        if not paths:
            return 0
    curves = _read_curves(paths)
    times = _times(folders)
    drawing = Drawing(
        _window(curves),
        FLAGS.statistic,
        FLAGS.band,
        FLAGS.against,
        in_seconds(times),
        FLAGS.log_mean,
    )
    if FLAGS.output:
        print(save_figure(draw_curves(curves, drawing), FLAGS.output))
    else:
        first = paths[0] if paths[0].is_dir() else paths[0].parent
        _write_everything(first, folders, curves, drawing, times)
    return 0


if __name__ == "__main__":
    define_flags()
    run_command(main)
