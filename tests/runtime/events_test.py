"""What TensorBoard reads back."""

import os

import pytest
import tensorflow as tf
from support.event_files import histograms, raw_values, read

from l2o_tf.runtime.events import EventFile
from l2o_tf.runtime.histograms import BINS, Histogram


def test_scalars_and_texts_are_read_back_by_tensorboard(tmp_path):
    events = EventFile(tmp_path)
    events.text("config", "# Title")
    events.scalars(3, {"train/loss": 0.5, "train/lr": 2.0})
    events.scalars(4, {"train/loss": 0.25})
    events.flush()
    found = read(tmp_path)
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [
        (3, 0.5),
        (4, 0.25),
    ]
    assert [(e.step, e.value) for e in found.Scalars("train/lr")] == [(3, 2.0)]
    (text,) = found.Tensors("config")
    assert text.tensor_proto.string_val[0] == b"# Title"
    plugin = found.SummaryMetadata("config").plugin_data.plugin_name
    assert plugin == "text"
    events.close()


def test_a_restart_leaves_one_empty_file_and_no_other_files_touched(tmp_path):
    (tmp_path / "train.csv").write_text("kept")
    events = EventFile(tmp_path)
    events.scalars(1, {"a": 1.0})
    events.flush()
    (old,) = tmp_path.glob("*tfevents*")
    events.restart()
    events.flush()
    (new,) = tmp_path.glob("*tfevents*")
    assert old.name < new.name
    assert read(tmp_path).Tags()["scalars"] == []
    assert (tmp_path / "train.csv").read_text() == "kept"
    events.close()


def test_a_tensorboard_that_is_watching_forgets_what_was_rewound(tmp_path):
    events = EventFile(tmp_path)
    for step in (1, 2, 3):
        events.scalars(step, {"a": float(step)})
    events.flush()
    watching = read(tmp_path)
    assert len(watching.Scalars("a")) == 3
    events.restart()
    events.scalars(1, {"a": 1.0})
    events.flush()
    assert [e.step for e in watching.Reload().Scalars("a")] == [1]
    events.close()


def test_histograms_are_read_back_by_tensorboard(tmp_path):
    counts = [0] * BINS
    counts[3], counts[5] = 7, 2
    events = EventFile(tmp_path)
    events.histogram(4, "gates/a", Histogram(0.0, BINS, 0, tuple(counts)))
    events.histogram(8, "gates/a", Histogram(0.0, BINS, 9, (0,) * BINS))
    events.flush()
    found = histograms(tmp_path)
    assert list(found) == ["gates/a"]
    # Of step 8 there is nothing to draw.
    assert {step: b.tolist() for step, b in found["gates/a"].items()} == {
        4: [[3, 4, 7], [4, 5, 0], [5, 6, 2]]
    }
    events.close()


def test_what_a_plugin_reads_is_kept_as_it_is(tmp_path):
    events = EventFile(tmp_path)
    events.content("a/tag", "hparams", b"any bytes")
    events.flush()
    ((step, value),) = raw_values(tmp_path)
    assert (step, value.tag) == (0, "a/tag")
    assert value.metadata.plugin_data.plugin_name == "hparams"
    assert value.metadata.plugin_data.content == b"any bytes"
    assert tf.make_ndarray(value.tensor).shape == (0,)
    events.close()


class FullDisk:
    def refuse(self, *arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    write = flush = refuse


def test_a_full_disk_is_worded(tmp_path):
    events = EventFile(tmp_path)
    writer, events._writer = events._writer, FullDisk()
    with pytest.raises(OSError, match="No space left.*made anew") as caught:
        events.scalars(1, {"a": 1.0})
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(OSError, match="Free some space"):
        events.flush()
    writer.close()
    assert len(os.listdir(tmp_path)) == 1
