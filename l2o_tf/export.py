r"""Export an optimizer: as a SavedModel, and as StableHLO text.

For example:

  python -m l2o_tf.export --weights=dm_cl_il --output=dm_cl_il_saved_model
      writes a learned optimizer of the package (or of a weights file) as a
      SavedModel that any TensorFlow runs, without this package: for any number
      of coordinates, with the signatures initial_state and update. The command
      shows how to call them.

  python -m l2o_tf.export --run_dir=runs/dm_cl --output=saved/dm_cl
      the best weights of a training run.

  python -m l2o_tf.export --optimizer=adam --learning_rate=0.003 \
      --output=saved/adam
      a hand-designed optimizer.

  python -m l2o_tf.export --weights=scale.npz --shapes=w:784x10,b:10 \
      --output=saved/scale
      an optimizer that sees tensors as such, as those of L2O-Scale, for these
      tensors, in their order; or --optimizee=mlp_orig for those of a problem.

  python -m l2o_tf.export --weights=dm_cl_il --coordinates=1000 \
      --stablehlo_update=update.mlir
      one update of 1,000 coordinates, as StableHLO.

  python -m l2o_tf.export --gin_file=gin/dm_cl.gin \
      --stablehlo_meta_step=meta_step.mlir
      one meta-update of a training, or of a run with --run_dir: the unrolled
      window, its meta-gradient and the step of the meta-optimizer.
"""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Mapping

import tensorflow as tf
from absl import app, flags

from l2o_tf import config
from l2o_tf.cli import data_dir_flag, gin_flags, run_command
from l2o_tf.core.layout import Layout
from l2o_tf.interop.saved_model import MARKER, Export
from l2o_tf.interop.stablehlo import stablehlo_text
from l2o_tf.meta_training.meta_step import meta_step, meta_step_arguments
from l2o_tf.meta_training.root import train
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.collection import OPTIMIZEES, named_optimizee
from l2o_tf.optimizer_choice import chosen_optimizer, optimizer_flags
from l2o_tf.runtime.atomic import make_folder, write_text
from l2o_tf.runtime.atomic_folder import check_new_folder
from l2o_tf.runtime.run_dir import find_run

FLAGS = flags.FLAGS
_OUTPUTS = ("output", "stablehlo_update", "stablehlo_meta_step")


def define_flags() -> None:
    """Define the command's flags."""
    optimizer_flags("exported")
    flags.DEFINE_string("output", None, "The folder of the SavedModel.")
    flags.DEFINE_bool("overwrite", False, "Replace a SavedModel that is there.")
    flags.DEFINE_string(
        "optimizee",
        None,
        "The problem whose tensors the export is for, or on which the "
        f"meta-update is: {', '.join(OPTIMIZEES)}.",
    )
    flags.DEFINE_list(
        "shapes",
        None,
        "The tensors that the export is for, as w:784x20,b:20 (a scalar: s:), "
        "in place of those of --optimizee.",
    )
    flags.DEFINE_string(
        "stablehlo_update",
        None,
        "A file to write one update to, as StableHLO text.",
    )
    flags.DEFINE_integer(
        "coordinates",
        None,
        "The number of coordinates of --stablehlo_update, unless the export is "
        "for given tensors.",
    )
    flags.DEFINE_string(
        "stablehlo_meta_step",
        None,
        "A file to write one meta-update to, as StableHLO text: that of a "
        "training which --gin_file or --run_dir describes.",
    )
    gin_flags()
    data_dir_flag()


def _layout() -> Layout | None:
    """Return the tensors that the export is for, None for any number."""
    if FLAGS.shapes is None:
        if FLAGS.optimizee is None:
            return None
        return named_optimizee(FLAGS.optimizee, "train").layout
    if FLAGS.optimizee is not None:
        raise ValueError(
            "The tensors are those of a problem or given one by one. Received: "
            f"--optimizee={FLAGS.optimizee} with --shapes. Give one of them."
        )
    shapes = {}
    for part in FLAGS.shapes:
        name, colon, sizes = part.partition(":")
        dims = sizes.split("x") if sizes else []
        if not colon or not name or not all(d.isdecimal() for d in dims):
            raise ValueError(
                "A tensor is given by name and shape, as w:784x20 or b:20. "
                f"Received: {part!r} of --shapes={','.join(FLAGS.shapes)}."
            )
        shapes[name] = [int(d) for d in dims]
    if len(shapes) != len(FLAGS.shapes):
        raise ValueError(
            "Every tensor has a name of its own. "
            f"Received: --shapes={','.join(FLAGS.shapes)}."
        )
    return Layout.from_shapes(shapes)


def example_commands(path: str, export: Export) -> list[str]:
    """Return command lines that run an exported optimizer.

    The first makes a state in the folder state, the second makes one update
    with it and leaves the new state there.

    Args:
        path: the SavedModel's folder.
        export: what is in it.
    """
    size = 2 if export.layout is None else export.layout.size
    vector, exprs, files = "[0.5, -0.1]", {}, {}
    for name, spec in export.inputs["update"].items():
        if name in export.names:
            files[name] = f"state/{name}.npy"
        elif spec.shape.rank == 0:
            exprs[name] = "1"
        elif export.layout is None:
            exprs[name] = vector
        else:
            files[name] = f"{name}.npy"
    first = {"coordinates": str(size), "seed": "0"}
    first = {name: first[name] for name in export.inputs["initial_state"]}
    return [
        _command(path, "initial_state", first, {}),
        _command(path, "update", exprs, files) + " --overwrite",
    ]


def _command(
    path: str,
    signature: str,
    exprs: Mapping[str, str],
    files: Mapping[str, str],
) -> str:
    words = ["saved_model_cli", "run", "--dir", path, "--tag_set", "serve"]
    words += ["--signature_def", signature]
    for flag, values in (("--input_exprs", exprs), ("--inputs", files)):
        if values:
            words += [flag, ";".join(f"{k}={v}" for k, v in values.items())]
    return shlex.join([*words, "--outdir", "state"])


def _described() -> tuple[Trainer, Optimizee]:
    """Return the trainer of --gin_file or --run_dir, and a problem of its.

    Raises:
        ValueError: unless exactly one of them is given, or if the trainer has
            an ensemble and no problem of it is named.
    """
    if bool(FLAGS.gin_file) == bool(FLAGS.run_dir):
        raise ValueError(
            "A meta-update belongs to a training: give one of --gin_file and "
            f"--run_dir. Received: gin_file={FLAGS.gin_file}, "
            f"run_dir={FLAGS.run_dir!r}."
        )
    files = FLAGS.gin_file or [str(find_run(FLAGS.run_dir).config)]
    config.load(files, FLAGS.gin_param)
    trainer = config.build(train)
    config.check_all_used()
    if FLAGS.optimizee is not None:
        return trainer, named_optimizee(FLAGS.optimizee, "train")
    if trainer.problems.is_ensemble:
        raise ValueError(
            "The training draws its problems from an ensemble, and a "
            "meta-update is on one. Received: optimizee=None. Name one, as "
            "--optimizee=mlp_orig."
        )
    return trainer, trainer.problems.member(0)


def _meta_step_text() -> str:
    """Return the meta-update of the described training as StableHLO."""
    trainer, optimizee = _described()
    if optimizee.notice:
        print(optimizee.notice)
    parts = (
        trainer.cell,
        optimizee,
        trainer.estimator,
        trainer.meta_optimizer,
    )
    state, carry = meta_step_arguments(*parts)
    specs = tf.nest.map_structure(
        lambda t: tf.TensorSpec(t.shape, t.dtype),
        {"state": state, "carry": carry},
    )
    return stablehlo_text(
        "meta_step",
        lambda *arguments: meta_step(*parts, *arguments)._asdict(),
        {"state": specs["state"], "carry": specs["carry"]},
    )


def _check_flags() -> None:
    """Refuse flags that do not go together.

    Raises:
        ValueError: for the first such.
    """
    if not any(FLAGS[name].value for name in _OUTPUTS):
        raise ValueError(
            f"Say what to write: --{', --'.join(_OUTPUTS)}. Received: none of "
            "them."
        )
    exported = FLAGS.output or FLAGS.stablehlo_update
    asked = [k for k in ("weights", "optimizer", "shapes") if FLAGS[k].value]
    if asked and not exported:
        raise ValueError(
            "A meta-update is of the optimizer that a training describes, on "
            f"a problem. Received: --{', --'.join(asked)} without --output or "
            "--stablehlo_update."
        )
    if FLAGS.coordinates is not None and not FLAGS.stablehlo_update:
        raise ValueError(
            "A SavedModel takes any number of coordinates. Received: "
            f"coordinates={FLAGS.coordinates} without --stablehlo_update."
        )
    if (FLAGS.gin_file or FLAGS.gin_param) and not FLAGS.stablehlo_meta_step:
        raise ValueError(
            "A configuration describes a training, of which a meta-update is "
            f"exported. Received: gin_file={FLAGS.gin_file}, "
            f"gin_param={FLAGS.gin_param} without --stablehlo_meta_step."
        )


def _texts(export: Export | None) -> dict[str, str]:
    """Return the StableHLO texts that are asked for, path to text.

    Raises:
        ValueError: if a number of coordinates is missing.
        OSError: if there can be no file at one of the paths.
    """
    texts = {}
    if FLAGS.stablehlo_update and export:
        if export.layout is None and FLAGS.coordinates is None:
            raise ValueError(
                "The text of an update is for one number of coordinates. "
                "Received: coordinates=None. Give --coordinates=1000, or the "
                "tensors by --optimizee or --shapes."
            )
        text = export.update_stablehlo(FLAGS.coordinates)
        texts[FLAGS.stablehlo_update] = text
    if FLAGS.stablehlo_meta_step:
        texts[FLAGS.stablehlo_meta_step] = _meta_step_text()
    for path in map(pathlib.Path, texts):
        make_folder(path.parent)
        if path.is_dir():
            raise IsADirectoryError(
                "A StableHLO text is one file. Received: the folder "
                f"{str(path)!r}."
            )
    return texts


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    _check_flags()
    chosen, export = None, None
    if FLAGS.output or FLAGS.stablehlo_update:
        chosen, layout = chosen_optimizer(), _layout()
        if FLAGS.output:
            check_new_folder(FLAGS.output, FLAGS.overwrite, MARKER)
        export = Export(chosen.cell, layout)
    texts = _texts(export)  # What can fail comes before any file.
    if FLAGS.output and chosen and export:
        export.save(FLAGS.output, chosen.training, FLAGS.overwrite)
        _report(export)
    for path, text in texts.items():
        write_text(pathlib.Path(path), text)
        print(f"{path}: StableHLO, {len(text):,} bytes")
    return 0


def _report(export: Export) -> None:
    """Say what was written, and how to use it."""
    layout = export.layout
    size = "any number of" if layout is None else f"{layout.size:,}"
    print(
        f"{FLAGS.output}: {type(export.cell).__name__} for {size} coordinates, "
        f"with the signatures {', '.join(export.signatures)}.\nTo try it:"
    )
    for command in example_commands(FLAGS.output, export):
        print(f"  {command}")


if __name__ == "__main__":
    define_flags()
    run_command(main)
