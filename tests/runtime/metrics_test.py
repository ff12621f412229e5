"""CSV is the record; TensorBoard shows the same; a rewind loses nothing."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.event_files import histograms, raw_values, read, scalars
from tensorboard.plugins.hparams import metadata

from l2o_tf.runtime.histograms import BINS, Histogram
from l2o_tf.runtime.metrics import MetricsWriter, numbers
from l2o_tf.runtime.tables import MetricsError

TABLES = {
    "train": ("episode", "loss", "stage"),
    "validation": ("episode", "cost", "kept"),
}


def train(episode):
    return {"episode": episode, "loss": 1 / (episode + 1), "stage": "two"}


def validation(episode):
    return {"episode": episode, "cost": float(episode), "kept": episode % 2}


def tables(folder):
    return {p.name: p.read_bytes() for p in folder.glob("*.csv")}


def test_events_equal_the_numeric_columns(tmp_path):
    with MetricsWriter(tmp_path / "new", TABLES) as metrics:
        metrics.write("train", train(3))
        metrics.write("validation", validation(3))
        metrics.write("train", train(7))
        assert metrics.position() == {"train": 2, "validation": 1}
        assert scalars(tmp_path / "new") == {
            "train/loss": [(3, 0.25), (7, 0.125)],
            "validation/cost": [(3, 3.0)],
            "validation/kept": [(3, 1.0)],
        }


def test_a_position_counts_only_rows_that_are_on_the_disk(
    tmp_path, monkeypatch
):
    synced = set()
    with MetricsWriter(tmp_path, TABLES) as metrics:
        monkeypatch.setattr(os, "fsync", lambda d: synced.add(os.fstat(d)[1]))
        metrics.write("train", train(0))
        assert synced == set()
        metrics.position()
    assert synced == {path.stat()[1] for path in tmp_path.glob("*.csv")}


def test_a_reopened_writer_shows_old_and_new_rows_once(tmp_path):
    for episode in range(3):
        with MetricsWriter(tmp_path, TABLES) as metrics:
            metrics.write("train", train(episode))
    steps = [step for step, _ in scalars(tmp_path)["train/loss"]]
    assert steps == [0, 1, 2]


def test_texts_outlive_a_rewind(tmp_path):
    with MetricsWriter(tmp_path, TABLES) as metrics:
        metrics.text("config", "# one")
        metrics.write("train", train(0))
        metrics.rewind({"train": 0, "validation": 0})
        (text,) = read(tmp_path).Tensors("config")
        assert text.tensor_proto.string_val[0] == b"# one"
        assert scalars(tmp_path) == {}


def test_numbers_beyond_float32_are_kept_in_the_table(tmp_path):
    with MetricsWriter(tmp_path, {"t": ("step", "x")}) as metrics:
        for step, x in enumerate([1e300, float("nan"), float("-inf")]):
            metrics.write("t", {"step": step, "x": x})
    assert (tmp_path / "t.csv").read_text() == (
        "step,x\n0,1e+300\n1,nan\n2,-inf\n"
    )
    shown = scalars(tmp_path)["t/x"]
    assert shown[0] == (0, float("inf"))
    assert shown[1][1] != shown[1][1]
    assert shown[2] == (2, float("-inf"))


class Adding:
    """A view that adds losses up, and shows a histogram of each row."""

    def __init__(self):
        self.sum = 0.0

    def __call__(self, table, row):
        if table != "train":
            return numbers(table, row)
        self.sum += float(row["loss"])
        counts = [0] * BINS
        counts[int(row["episode"])] = 5
        return {
            "sum": self.sum,
            "shape": Histogram(0.0, float(BINS), 0, tuple(counts)),
        }


def test_a_view_says_what_is_shown_and_begins_anew_with_the_events(tmp_path):
    sums = [1.0, 1.5, 1.5 + 1 / 3]
    for _ in range(2):  # the second one resumes, after the first row
        with MetricsWriter(tmp_path, TABLES, Adding) as metrics:
            metrics.rewind(
                {"train": metrics.position()["train"] and 1} | {"validation": 0}
            )
            for episode in range(metrics.position()["train"], 3):
                metrics.write("train", train(episode))
            metrics.write("validation", validation(1))
        shown = scalars(tmp_path)
        assert [step for step, _ in shown["sum"]] == [0, 1, 2]
        assert [value for _, value in shown["sum"]] == pytest.approx(sums)
        assert shown["validation/cost"] == [(1, 1.0)]
        assert "train/loss" not in shown
        buckets = histograms(tmp_path)["shape"]
        assert {step: b.tolist() for step, b in buckets.items()} == {
            step: [[step, step + 1, 5]] for step in (0, 1, 2)
        }


def test_a_session_outlives_a_rewind(tmp_path):
    with MetricsWriter(tmp_path, TABLES) as metrics:
        metrics.begin_session({"rate": 0.5}, 7.0)
        metrics.end_session("done", 9.0)
        metrics.rewind({"train": 0, "validation": 0})
        content = {
            value.tag: value.metadata.plugin_data.content
            for _, value in raw_values(tmp_path)
        }
    begun = metadata.parse_session_start_info_plugin_data(
        content["_hparams_/session_start_info"]
    )
    ended = metadata.parse_session_end_info_plugin_data(
        content["_hparams_/session_end_info"]
    )
    assert begun.hparams["rate"].number_value == 0.5
    assert (begun.start_time_secs, ended.end_time_secs) == (7.0, 9.0)


actions = st.lists(st.sampled_from(["train", "validation"]), max_size=12)


def perform(metrics, chosen, start=0):
    for episode, name in enumerate(chosen[start:], start=start):
        make = train if name == "train" else validation
        metrics.write(name, make(episode))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=25,
)
@given(chosen=actions, data=st.data())
def test_rewound_and_repeated_rows_equal_an_uninterrupted_run(
    chosen, data, tmp_path_factory
):
    whole = tmp_path_factory.mktemp("whole")
    with MetricsWriter(whole, TABLES) as metrics:
        perform(metrics, chosen)
    saved_at = data.draw(st.integers(0, len(chosen)))
    killed_at = data.draw(st.integers(saved_at, len(chosen)))
    resumed = tmp_path_factory.mktemp("resumed")
    with MetricsWriter(resumed, TABLES) as metrics:
        perform(metrics, chosen[:saved_at])
        position = metrics.position()
        perform(metrics, chosen[:killed_at], saved_at)
    with MetricsWriter(resumed, TABLES) as metrics:
        metrics.rewind(position)
        assert metrics.position() == position
        perform(metrics, chosen, saved_at)
    assert tables(resumed) == tables(whole)
    assert scalars(resumed) == scalars(whole)


def test_a_table_shorter_than_its_checkpoint_says_cuts_nothing(tmp_path):
    with MetricsWriter(tmp_path, TABLES) as metrics:
        metrics.write("train", train(0))
        before = tables(tmp_path)
        with pytest.raises(MetricsError, match="Received: rows=1"):
            metrics.rewind({"train": 0, "validation": 1})
        assert tables(tmp_path) == before


@pytest.mark.parametrize(
    "position", [{}, {"train": 0}, {"train": 0, "validation": 0, "x": 0}]
)
def test_a_position_must_name_every_table(position, tmp_path):
    with (
        MetricsWriter(tmp_path, TABLES) as metrics,
        pytest.raises(MetricsError, match="Received: tables="),
    ):
        metrics.rewind(position)


def test_an_unknown_table_is_refused(tmp_path):
    with (
        MetricsWriter(tmp_path, TABLES) as metrics,
        pytest.raises(MetricsError, match="Received: table='tran'"),
    ):
        metrics.write("tran", train(0))


@pytest.mark.parametrize("name", ["", "a/b", "a b", ".."])
def test_a_table_is_named_by_a_word(name, tmp_path):
    with pytest.raises(MetricsError, match=f"Received: table={name!r}"):
        MetricsWriter(tmp_path / "new", {name: ("step",)})
    assert not (tmp_path / "new").exists()
