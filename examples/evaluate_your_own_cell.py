"""Compare an optimizer of your own with a tuned Adam, and draw the figure.

    python examples/write_your_own_cell.py
    python examples/evaluate_your_own_cell.py

What one sees: a sweep over optimizers, problems and seeds, in which Adam's
learning rate is chosen from a grid; a table of where the curves end, and
comparison/curves.png. Given once more, the command computes only what is
missing. One minute on two cores.
"""

import argparse

import numpy as np
from write_your_own_cell import FILE, Agreement

from l2o_tf.evaluation.candidates import LearningRateGrid
from l2o_tf.evaluation.comparison import Comparison
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.curves import load_curves
from l2o_tf.evaluation.results import Results
from l2o_tf.evaluation.sweep import Sweep
from l2o_tf.evaluation.sweep_run import run_sweep
from l2o_tf.evaluation.tuning import Tuned
from l2o_tf.optimizers.adam import Adam
from l2o_tf.reporting.figures import draw, save_figure
from l2o_tf.reporting.panels import Drawing
from l2o_tf.reporting.tables import end_table
from l2o_tf.runtime.progress import ProgressBar

FOLDER = "comparison"


def main() -> None:
    """Run the sweep, print the table, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--optimizees", nargs="+", default=["mlp_orig"])
    parser.add_argument("--steps", type=int, default=300, help="of a run")
    args = parser.parse_args()

    cell = Agreement()
    cell.assign_meta_params(np.load(FILE))
    grid = LearningRateGrid(Adam, (0.01, 0.03, 0.1))
    comparison = Comparison(
        optimizers=[
            Fixed("agreement", cell),
            Tuned("adam", grid, steps=args.steps),
        ],
        optimizees=args.optimizees,
        seeds=(0, 1, 2),
        steps=args.steps,
    )
    sweep = Sweep([comparison])
    run_sweep(sweep, Results(FOLDER), ProgressBar(None, unit="update"))
    print(*sweep.notices)

    curves = load_curves([FOLDER])
    print(end_table(curves).plain())
    figure = draw(curves, Drawing(window=max(1, args.steps // 20)))
    print(save_figure(figure, f"{FOLDER}/curves.png"))


if __name__ == "__main__":
    main()
