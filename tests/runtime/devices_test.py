"""GPUs are told to be exact; a CPU is left alone. No GPU is needed here."""

import pytest
import tensorflow as tf

from l2o_tf.runtime.devices import has_gpu, prepare_gpus

GPUS = ["GPU:0", "GPU:1"]


@pytest.fixture
def told(monkeypatch):
    """Record what TensorFlow is told, instead of telling it."""
    calls = []
    for name in (
        "set_memory_growth",
        "enable_tensor_float_32_execution",
        "enable_op_determinism",
    ):
        monkeypatch.setattr(
            tf.config.experimental,
            name,
            lambda *args, name=name: calls.append((name, *args)),
        )
    return calls


def pretend(monkeypatch, gpus):
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda kind: gpus if kind == "GPU" else ["CPU:0"],
    )


@pytest.mark.parametrize("deterministic", [True, False])
def test_gpus_share_memory_keep_float32_and_the_order_of_sums(
    deterministic, told, monkeypatch
):
    pretend(monkeypatch, GPUS)
    prepare_gpus(deterministic)
    expected = [
        ("set_memory_growth", "GPU:0", True),
        ("set_memory_growth", "GPU:1", True),
        ("enable_tensor_float_32_execution", False),
    ]
    if deterministic:
        expected.append(("enable_op_determinism",))
    assert told == expected


def test_without_a_gpu_nothing_is_told(told, monkeypatch):
    pretend(monkeypatch, [])
    prepare_gpus()
    assert told == []


def test_whether_there_is_a_gpu(monkeypatch):
    pretend(monkeypatch, GPUS)
    assert has_gpu()
    pretend(monkeypatch, [])
    assert not has_gpu()
