"""Draw loss curves: log scale, mean and spread over seeds.

For example:

  python -m l2o_tf.plot runs/dm_cl/curves
      draws every curve of a folder to runs/dm_cl/curves/curves.png.

  python -m l2o_tf.plot a/curves b/curves/x-mlp_orig-test-seed0.npz \
      --output=figure.svg --smooth=1
      draws folders and single files into one figure, without smoothing.

One panel per optimizee, one line per optimizer: the mean of the raw losses
over seeds, with a band from the lowest to the highest seed. Runs whose loss
is not finite are counted in the legend.
"""

from __future__ import annotations

import pathlib

from absl import flags

from l2o_tf.cli import run_command
from l2o_tf.evaluation.curves import load_curves
from l2o_tf.evaluation.figures import draw, save_figure

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Define the command's flags."""
    flags.DEFINE_string(
        "output",
        None,
        "The picture, .png, .svg or .pdf. Defaults to curves.png in the first "
        "folder.",
    )
    flags.DEFINE_integer(
        "smooth", 100, "Updates of the running mean; 1 for none."
    )


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    paths = argv[1:]
    if not paths:
        raise ValueError(
            "Name folders or files of curves. Received: none. "
            "Try `python -m l2o_tf.plot runs/dm_cl/curves`."
        )
    curves = load_curves(paths)
    first = pathlib.Path(paths[0])
    folder = first if first.is_dir() else first.parent
    output = FLAGS.output or folder / "curves.png"
    print(save_figure(draw(curves, FLAGS.smooth), output))
    return 0


if __name__ == "__main__":
    define_flags()
    run_command(main)
