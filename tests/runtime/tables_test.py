"""A CSV file that keeps whole rows and every bit."""

import contextlib
import csv
import errno
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l2o_tf.runtime.tables import MetricsError, Table

COLUMNS = ("step", "loss", "note")
SAME_FOLDER = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
cells = st.fixed_dictionaries(
    {
        "step": st.integers(-(2**63) + 1, 2**63 - 1),
        "loss": st.one_of(
            st.floats(), st.integers(), st.floats(width=32).map(np.float32)
        ),
        "note": st.text().filter(str.isprintable),
    }
)


def row(step, loss=0.5, note=""):
    return {"step": step, "loss": loss, "note": note}


def same_number(first, second):
    return first == second or (first != first and second != second)


@SAME_FOLDER
@given(rows=st.lists(cells, max_size=6), data=st.data())
def test_rows_come_back_and_are_cut_back_exactly(rows, data, tmp_path):
    path = tmp_path / "t.csv"
    path.unlink(missing_ok=True)
    with contextlib.closing(Table(path, COLUMNS)) as table:
        sizes = [path.stat().st_size]
        for values in rows:
            table.append(values)
            sizes.append(path.stat().st_size)
        for values, read in zip(rows, table.rows(), strict=True):
            assert int(read[0]) == values["step"]
            kind = type(values["loss"])
            assert same_number(kind(read[1]), values["loss"])
            assert read[2] == values["note"]
        whole = path.read_bytes()
        count = data.draw(st.integers(0, len(rows)))
        table.truncate(count)
        assert table.count == count
        assert path.read_bytes() == whole[: sizes[count]]
        for values in rows[count:]:
            table.append(values)
        assert path.read_bytes() == whole


@SAME_FOLDER
@given(rows=st.lists(cells, min_size=1, max_size=4), data=st.data())
def test_a_table_cut_anywhere_reopens_with_its_whole_rows(rows, data, tmp_path):
    path = tmp_path / "t.csv"
    path.unlink(missing_ok=True)
    table = Table(path, COLUMNS)
    header = path.stat().st_size
    for values in rows:
        table.append(values)
    table.close()
    whole = path.read_bytes()
    size = data.draw(st.integers(header, len(whole)))
    path.write_bytes(whole[:size])
    reopened = Table(path, COLUMNS)
    assert reopened.count == whole[:size].count(b"\n") - 1
    for values in rows[reopened.count :]:
        reopened.append(values)
    reopened.close()
    assert path.read_bytes() == whole


def test_a_row_is_with_the_operating_system_at_once(tmp_path):
    table = Table(tmp_path / "t.csv", COLUMNS)
    table.append(row(3, 0.1, 'a,"b'))
    with open(tmp_path / "t.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            list(COLUMNS),
            ["3", "0.1", 'a,"b'],
        ]
    table.close()


def test_the_order_of_a_row_does_not_matter(tmp_path):
    table = Table(tmp_path / "t.csv", COLUMNS)
    written = table.append({"note": "n", "loss": True, "step": np.int32(4)})
    assert written == ("4", "1", "n")
    table.close()


def test_rows_written_after_reopening_follow_the_old_ones(tmp_path):
    for step in range(3):
        table = Table(tmp_path / "t.csv", COLUMNS)
        assert table.count == step
        table.append(row(step))
        table.close()
    assert (tmp_path / "t.csv").read_text() == (
        "step,loss,note\n0,0.5,\n1,0.5,\n2,0.5,\n"
    )


@pytest.mark.parametrize(
    ("values", "received"),
    [
        ({"step": 1, "loss": 2.0}, r"missing=\['note'\], unknown=\[\]"),
        (row(1) | {"x": 1}, r"Received: missing=\[\], unknown=\['x'\]"),
        (row(1.0), "Received: step=1.0"),
        (row(True), "Received: step=True"),
        (row(2**63), "Received: step=9223372036854775808"),
        (row(1, note="a\nb"), r"Received: note='a\\nb'"),
        (row(1, loss=None), "Received: loss=None"),
        (row(1, loss=np.zeros(2)), "Received: loss=array"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_not_written(
    values, received, tmp_path
):
    table = Table(tmp_path / "t.csv", COLUMNS)
    with pytest.raises(MetricsError, match=received):
        table.append(values)
    assert table.count == 0
    assert (tmp_path / "t.csv").read_text() == "step,loss,note\n"
    table.close()


@pytest.mark.parametrize("columns", [(), ("a", "a"), ("a", ""), ("a\n",)])
def test_columns_must_be_unique_and_printable(columns, tmp_path):
    with pytest.raises(MetricsError, match="Received: columns="):
        Table(tmp_path / "t.csv", columns)


@pytest.mark.parametrize("content", ["", "step,loss\n", "step,loss,note"])
def test_a_file_with_other_columns_is_refused_and_kept(content, tmp_path):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(MetricsError, match="Received: header="):
        Table(tmp_path / "t.csv", COLUMNS)
    assert (tmp_path / "t.csv").read_text() == content


@pytest.mark.parametrize("count", [2, -1, 0.0])
def test_a_table_cannot_be_cut_to_rows_it_does_not_have(count, tmp_path):
    table = Table(tmp_path / "t.csv", COLUMNS)
    table.append(row(1))
    with pytest.raises(MetricsError, match=f"Received: rows={count}"):
        table.truncate(count)
    assert table.count == 1
    table.close()


@pytest.mark.parametrize("line", ["1,2", "x,0.5,", "1,2,3,4"])
def test_a_changed_row_is_refused_when_read(line, tmp_path):
    (tmp_path / "t.csv").write_text(f"step,loss,note\n0,0.5,\n{line}\n")
    table = Table(tmp_path / "t.csv", COLUMNS)
    with pytest.raises(MetricsError, match="Row 2 .* Received: row="):
        list(table.rows())
    table.close()


class FullDisk:
    """A file that takes three more bytes, then none."""

    def __init__(self, file, error):
        self.file, self.error = file, error

    def write(self, line):
        written = self.file.write(line[:3])
        if self.error:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("error", [True, False])
def test_a_full_disk_leaves_whole_rows_only(error, tmp_path):
    table = Table(tmp_path / "t.csv", COLUMNS)
    table.append(row(1))
    before = (tmp_path / "t.csv").read_bytes()
    disk = table._file
    table._file = FullDisk(disk, error)
    with pytest.raises(OSError, match="Free some space") as caught:
        table.append(row(2))
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "t.csv").read_bytes() == before
    assert table.count == 1
    table._file = disk
    table.append(row(2))
    assert [cells[0] for cells in table.rows()] == ["1", "2"]
    table.close()


def test_a_disk_that_does_not_take_the_rows_is_told_with_the_file(
    tmp_path, monkeypatch
):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "t.csv"
    with contextlib.closing(Table(path, COLUMNS)) as table:
        table.append(row(1))
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=f"Could not write {path}") as raised:
            table.sync()
    assert raised.value.errno == errno.ENOSPC
