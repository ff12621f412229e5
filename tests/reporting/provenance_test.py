"""What the numbers are made of, counted."""

from support.curves import ending_at

from l2o_tf.reporting.provenance import provenance_table

FACTS = {
    "packages": {"tensorflow": "2.21.0", "numpy": "2.2"},
    "runtime": "graph",
    "device": "CPU",
    "notice": "not the full set",
}


def test_runs_data_versions_and_devices_are_counted():
    curves = [
        *ending_at([-2.0, -3.0], "dm", **FACTS),
        *ending_at([-1.0, None], "adam", **{**FACTS, "notice": None}),
    ]
    rows = dict(provenance_table(curves).rows)
    assert rows == {
        "runs": "4",
        "diverged": "adam (runs: 1)",
        "optimizers": "2",
        "optimizees": "mlp_orig (runs: 4)",
        "seeds": "0-1",
        "updates": "10 (runs: 4)",
        "split": "test (runs: 4)",
        "data": "not the full set (runs: 2); complete (runs: 2)",
        "versions": "tensorflow 2.21.0, numpy 2.2",
        "device and runtime": "CPU, graph (runs: 4)",
        # Four curves of 1.5 seconds.
        "computing time": "0.1 minutes, compilation included, tuning not",
    }


def test_what_is_not_recorded_is_said():
    rows = dict(provenance_table(ending_at([0.0], split="")).rows)
    assert rows["diverged"] == "none"
    assert rows["versions"] == "not recorded"
    assert rows["split"] == "no data (runs: 1)"
    assert rows["data"] == "complete: no curve carries a notice"
