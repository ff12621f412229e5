"""The benchmark of the Keras optimizer: its programs, arithmetic, refusals."""

import json

import bench_adapter
import numpy as np
import pytest
from bench_adapter import (
    PROGRAMS,
    RUNTIMES,
    make_model,
    make_optimizer,
    make_steps,
    measure_times,
    show,
    summarise,
)

from l2o_tf.interop.keras_optimizer import KerasOptimizer
from l2o_tf.learned.dm import DMLSTM


def test_the_model_has_so_many_numbers():
    variables, gradients = make_model(10)
    assert [tuple(v.shape) for v in variables] == [(3,), (3,), (2,), (2,)]
    for variable, gradient in zip(variables, gradients, strict=True):
        np.testing.assert_allclose(gradient, 0.01 * variable.numpy())


def test_each_row_has_the_optimizer_it_says():
    adapter = make_optimizer("adapter", 7)
    assert isinstance(adapter, KerasOptimizer)
    assert isinstance(adapter.cell, DMLSTM)
    assert adapter.block_size == 7
    assert type(make_optimizer("adam", 7).cell).__name__ == "Adam"
    assert type(make_optimizer("keras", 7)).__module__.startswith("keras")


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_takes_its_steps(name):
    steps = make_steps(name, 12, jit_compile=False, block_size=5)
    samples = measure_times({name: steps}, num_steps=2, repeats=3)
    assert len(samples[name]) == 3
    assert min(samples[name]) > 0.0


def test_ratios_are_of_the_same_round_and_runtime():
    samples = {
        f"{name}/{runtime}": seconds
        for runtime in RUNTIMES
        for name, seconds in {
            "cell": [1.0, 2.0, 4.0],
            "adapter": [2.0, 4.0, 4.0],
            "adam": [1.0, 1.0, 1.0],
            "keras": [0.5, 1.0, 1.0],
        }.items()
    }
    samples["cell/graph"] = [10.0, 10.0, 10.0]
    results = summarise(samples)
    assert results["adapter/xla"]["over_cell"] == 2.0  # of 2, 2 and 1
    assert results["adapter/graph"]["over_cell"] == 0.4
    assert results["adapter/xla"]["over_keras"] == 4.0
    assert results["keras/xla"]["seconds_per_step"]["median"] == 1.0


def test_the_command_writes_what_it_shows(tmp_path, capsys):
    path = tmp_path / "adapter.json"
    arguments = ["--sizes", "8", "--steps=1", "--repeats=1", "--skip_memory"]
    assert bench_adapter.main([*arguments, f"--json={path}"]) == 0
    report = json.loads(path.read_text())
    shown = capsys.readouterr().out
    assert shown == show(report) + "\n"
    assert "8 coordinates" in shown
    assert set(report["sizes"][0]["results"]) == {
        f"{name}/{runtime}" for name in PROGRAMS for runtime in RUNTIMES
    }


def test_memory_of_a_process_that_fails_is_told(monkeypatch, capsys):
    def fail(name, script, arguments):
        raise RuntimeError(f"The memory of {name} could not be measured")

    monkeypatch.setattr(bench_adapter.bench_machine, "measure_in_child", fail)
    assert bench_adapter.main(["--sizes", "8"]) == 1
    assert "The memory of blocks of 8" in capsys.readouterr().err


def test_sizes_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        bench_adapter.main(["--sizes", "0"])
    assert "must be a positive int. Received: '0'" in capsys.readouterr().err
