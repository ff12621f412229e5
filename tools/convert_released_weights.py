r"""Turn released weights into weights files of this package.

    python tools/convert_released_weights.py dm/cw.l2l-0 rnnprop/rp.l2l-0 \
        --output_dir=weights

writes weights/dm.npz and weights/rnnprop.npz, each with the name of the cell,
its arguments, and the name and SHA-256 of the file it was made from. It takes
the pickles of Chen et al. (2020), their TensorFlow checkpoint of L2O-Scale
(model.ckpt-0), and plain .npz files with the same arrays; nothing of a pickle
is executed. The result of a pickle or a checkpoint has the name of its folder,
for the released ones are all called cw.l2l-0, rp.l2l-0 or model.ckpt-0. The
package is to be installed, or PYTHONPATH=. to be set.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from l2o_tf.interop.released_checkpoint import (
    checkpoint_files,
    is_released_checkpoint,
    load_released_checkpoint,
)
from l2o_tf.interop.released_weights import (
    is_pickle,
    load_released,
    model_name,
)
from l2o_tf.learned.weights import save_weights
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.arrays import format_of
from l2o_tf.runtime.atomic import make_folder

SOURCE = "converted from the released weights of Chen et al. 2020"
INITIAL = "practically the random initialisation"


def choose_outputs(
    inputs: Sequence[pathlib.Path], folder: pathlib.Path, overwrite: bool
) -> list[pathlib.Path]:
    """Return the file to write for each input.

    Raises:
        ValueError: if two inputs have one output, or an output exists and
            `overwrite` is False.
    """
    outputs = [folder / f"{model_name(path)}.npz" for path in inputs]
    twice = [str(path) for path, n in Counter(outputs).items() if n > 1]
    if twice:
        raise ValueError(
            "Each input needs an output of its own. Received: more than one "
            f"for {', '.join(twice)}. Convert them into different folders."
        )
    there = [str(path) for path in outputs if path.exists()]
    if there and not overwrite:
        raise ValueError(
            "Existing files are only replaced with --overwrite. Received: "
            f"{', '.join(there)}."
        )
    return outputs


def read(path: pathlib.Path) -> tuple[OptimizerCell, dict[str, Any]]:
    """Rebuild the optimizer of a released file.

    Returns:
        `(cell, facts)`, the facts being JSON that says what the weights are.

    Raises:
        ValueError: if it is already a weights file of this package, or as
            `load_released`.
    """
    facts: dict[str, Any] = {"source": SOURCE, "file": path.name}
    if is_pickle(path):
        return load_released(path), facts | _digest([path])
    if is_released_checkpoint(path):
        checkpoint = load_released_checkpoint(path)
        facts |= _digest(checkpoint_files(path))
        facts["global_step"] = checkpoint.global_step
        if checkpoint.is_initial:
            facts["notice"] = (
                f"{INITIAL} after {checkpoint.global_step} meta-updates"
            )
        return checkpoint.cell, facts
    if format_of(path) is not None:
        raise ValueError(
            "The file is one of this package's own, so there is nothing to "
            f"convert. Received: path={str(path)!r}."
        )
    return load_released(path), facts | _digest([path])


def _digest(files: Sequence[pathlib.Path]) -> dict[str, str]:
    """Return the SHA-256 of the files' bytes, one after the other."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return {"sha256": digest.hexdigest()}


def convert(
    inputs: Sequence[pathlib.Path], folder: pathlib.Path, overwrite: bool
) -> list[str]:
    """Write a weights file per input; read all of them before the first.

    Returns:
        What was done, one line per file.

    Raises:
        ValueError: as `choose_outputs` and `read`.
        OSError: if a file cannot be written.
    """
    outputs = choose_outputs(inputs, folder, overwrite)
    contents = [read(path) for path in inputs]
    make_folder(folder)
    lines = []
    for path, (cell, facts), output in zip(
        inputs, contents, outputs, strict=True
    ):
        save_weights(output, cell, cell.meta_params(), facts)
        lines.append(
            f"{path} -> {output}: {type(cell).__name__}, "
            f"{cell.meta_layout.size:,} weights"
            + (f"; {facts['notice']}" if "notice" in facts else "")
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        type=pathlib.Path,
        help=".l2l-0, TensorFlow checkpoint or plain .npz",
    )
    parser.add_argument("--output_dir", required=True, type=pathlib.Path)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace existing files"
    )
    options = parser.parse_args(arguments)
    try:
        lines = convert(options.inputs, options.output_dir, options.overwrite)
    except (ValueError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
