"""What a benchmark asks of the machine: time, memory, its rate, its name."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from l2o_tf.core.compile import compiled
from l2o_tf.version import __version__

T = TypeVar("T")

SIZE = 1024
"""The rate is that of products of two matrices of this size."""

_PROC = pathlib.Path("/proc/self")
_GPU = "GPU:0"


def seconds_of(function: Callable[[], T]) -> tuple[float, T]:
    """Call a function that waits for its result; return `(seconds, result)`."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def quartiles(samples: Sequence[float]) -> dict[str, float]:
    """Return the `median` and the quartiles `q1` and `q3`."""
    q1, median, q3 = np.percentile(samples, [25.0, 50.0, 75.0])
    return {"median": float(median), "q1": float(q1), "q3": float(q3)}


def matrix_product() -> Callable[[], float]:
    """Make a function that measures the seconds of one float32 product.

    A chain of products in one call: 10, or 200 on a GPU, where one is short.
    """
    length = 200 if tf.config.list_physical_devices("GPU") else 10
    numbers = np.random.default_rng(0).standard_normal((2, SIZE, SIZE))
    a, b = (tf.constant(m / SIZE**0.5, tf.float32) for m in numbers)

    def chain(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        # b keeps the size of what it multiplies: nothing over- or underflows.
        for _ in range(length):
            a = tf.matmul(a, b)
        return a[0, 0]

    product = compiled(chain, jit_compile=False)
    return lambda: seconds_of(lambda: product(a, b).numpy())[0] / length


def product_rate(seconds: Sequence[float]) -> float:
    """Return the FLOP/s of the median product."""
    return 2.0 * SIZE**3 / statistics.median(seconds)


def _reset_peaks() -> None:
    # 5: set the peak of the resident set to its present size, proc(5).
    (_PROC / "clear_refs").write_text("5")
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.reset_memory_stats(_GPU)


def _peaks() -> tuple[int, int]:
    """Return bytes, `(peak of the resident set, peak on the first GPU)`.

    Not getrusage's ru_maxrss: a new program inherits its parent's.
    """
    status = (_PROC / "status").read_text(encoding="utf-8")
    resident = status.partition("VmHWM:")[2].split()[0]
    on_gpu = 0
    if tf.config.list_physical_devices("GPU"):
        on_gpu = tf.config.experimental.get_memory_info(_GPU)["peak"]
    return int(resident) * 1024, on_gpu


def memory_growth(make: Callable[[], Callable[[], Any]]) -> dict[str, int]:
    """Measure by how much a function makes this process grow.

    Args:
        make: builds the function; what it needs and the measure is not to
            contain (the data) was loaded before.

    Returns:
        Bytes over the present size, of building and one call:
        `peak_rss_bytes`, and `gpu_bytes` if there is a GPU.

    Raises:
        OSError: if the operating system has no such numbers.
    """
    tf.zeros([]).numpy()  # TensorFlow's own start is not to be counted
    try:
        _reset_peaks()
        resident, on_gpu = _peaks()
    except OSError as error:
        raise OSError(
            error.errno,
            "Peak memory is read from Linux' /proc, which is not here or not "
            f"open: {error}. Leave it out with --skip_memory.",
        ) from error
    make()()
    peaks = _peaks()
    growth = {"peak_rss_bytes": peaks[0] - resident}
    if tf.config.list_physical_devices("GPU"):
        growth["gpu_bytes"] = peaks[1] - on_gpu
    return growth


def measure_in_child(
    name: str, script: str, arguments: Sequence[str]
) -> dict[str, int]:
    """Let a fresh process measure its memory.

    Args:
        name: what is measured, for the message.
        script: the path of a program that prints `memory_growth` last, as JSON.
        arguments: its command line.

    Returns:
        What it printed.

    Raises:
        RuntimeError: if that process fails, with what it said.
    """
    command = [sys.executable, str(pathlib.Path(script).resolve()), *arguments]
    # The child finds the package where this process did.
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run(
        command, env=os.environ | paths, capture_output=True, text=True
    )
    if child.returncode:
        raise RuntimeError(
            f"The memory of {name} could not be measured: the process ended "
            f"with code {child.returncode}, saying\n{child.stderr[-2000:]}"
        )
    return json.loads(child.stdout.splitlines()[-1])


def facts() -> dict[str, Any]:
    """Describe the machine and the versions in use."""
    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details
    return {
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cpu_count": os.cpu_count(),
            "load_average": os.getloadavg(),
            "devices": [
                device.name for device in tf.config.list_physical_devices()
            ],
            "gpus": [details(gpu).get("device_name", gpu.name) for gpu in gpus],
            "tensor_float_32": bool(gpus)
            and tf.config.experimental.tensor_float_32_execution_enabled(),
        },
        "versions": {
            "l2o_tf": __version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }
