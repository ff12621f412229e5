"""What a GPU must be told before it computes what a CPU would."""

from __future__ import annotations

import tensorflow as tf


def has_gpu() -> bool:
    """Return whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def prepare_gpus(deterministic: bool = True) -> None:
    """Make the GPUs of this process exact, repeatable and shared.

    * Products of matrices in float32. On recent GPUs TensorFlow's default is
      TF32, with 10 bits of mantissa: an error of 1e-3 in every gradient.
    * If `deterministic`: sums in one order and no choice of kernels by their
      time, in TensorFlow's operations and in what XLA compiles. Without it two
      runs differ in the last bits, and so does one that was resumed.
    * Memory as it is needed, so that the learner and the workers of a cluster,
      or two runs, fit on one GPU.

    Nothing happens where there is no GPU: a CPU does all this by itself.

    Args:
        deterministic: whether the same run must give the same bits.

    Raises:
        RuntimeError: if a GPU is in use already: call this first.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        tf.config.experimental.enable_tensor_float_32_execution(False)
    if gpus and deterministic:
        tf.config.experimental.enable_op_determinism()
