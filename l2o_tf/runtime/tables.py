"""One CSV file that grows by whole rows and can be cut back to a row count.

A row is one line, written by one call to the operating system, so a killed
process loses nothing but the line it was writing. Floats are written with
`repr`, which gives every bit back. Cost: O(1) per row; opening and cutting
read the file once.
"""

from __future__ import annotations

import csv
import errno
import io
import numbers
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from l2o_tf.runtime import atomic

_LARGEST_STEP = 2**63 - 1  # of a TensorBoard event


class MetricsError(ValueError):
    """A table, or a row of one, that is not as it must be."""


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _cell(column: str, value: object) -> str:
    """Write one value so that it can be read back bit for bit."""
    if isinstance(value, str) and value.isprintable():
        return value
    if isinstance(value, (numbers.Integral, np.bool_)):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    raise MetricsError(
        "A cell must be an int, a float or a str of printable characters. "
        f"Received: {column}={value!r}. Convert a tensor with float()."
    )


class Table:
    """Append rows to a CSV file.

    A file that exists is taken up where it ends; a last line without its line
    break, left by a killed process, is cut off.

    Args:
        path: the file; its folder exists.
        columns: tuple of str, unique; the first holds an int, the step.

    Raises:
        MetricsError: if `columns` is empty or repeats a name, or if the file
            has other columns.
        OSError: if the file cannot be written.
    """

    def __init__(self, path: pathlib.Path, columns: tuple[str, ...]) -> None:
        if (
            not columns
            or len(set(columns)) != len(columns)
            or not all(name and name.isprintable() for name in columns)
        ):
            raise MetricsError(
                "A table needs columns with unique, printable names. "
                f"Received: columns={columns!r} for {path}."
            )
        self._path = path
        self._columns = columns
        self._header = _line(columns).encode("utf-8")
        if not path.exists():
            atomic.write_bytes(path, self._header)
        lines = path.read_bytes().splitlines(keepends=True)
        if not lines or lines[0] != self._header:
            raise MetricsError(
                f"The file {path} must have the columns {columns}. Received: "
                f"header={lines[0].decode(errors='replace') if lines else ''!r}"
                ". It was written by another version: use another folder."
            )
        if not lines[-1].endswith(b"\n"):
            os.truncate(path, sum(map(len, lines[:-1])))
            lines.pop()
        self._count = len(lines) - 1
        # Unbuffered: what `append` wrote has left the process.
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._columns

    @property
    def count(self) -> int:
        """Number of rows."""
        return self._count

    def append(self, row: Mapping[str, object]) -> tuple[str, ...]:
        """Write one row and return its cells as written.

        Args:
            row: column to value, exactly the table's columns, in any order.

        Raises:
            MetricsError: if a column is missing or unknown, the first one is
                not an int, or a value cannot be written.
            OSError: if the disk does not take it; the table is as before.
        """
        missing = [name for name in self._columns if name not in row]
        unknown = [name for name in row if name not in self._columns]
        if missing or unknown:
            raise MetricsError(
                f"A row of {self._path.name} must have exactly the columns "
                f"{self._columns}. Received: missing={missing}, "
                f"unknown={unknown}."
            )
        step = row[self._columns[0]]
        if (
            not isinstance(step, numbers.Integral)
            or isinstance(step, bool)
            or abs(int(step)) > _LARGEST_STEP
        ):
            raise MetricsError(
                f"The first column of {self._path.name} must be an int of 64 "
                f"bits. Received: {self._columns[0]}={step!r}."
            )
        cells = tuple(_cell(name, row[name]) for name in self._columns)
        self._write(_line(cells).encode("utf-8"))
        self._count += 1
        return cells

    def _write(self, line: bytes) -> None:
        """Write a line whole, or leave the file as it was."""
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._file.truncate(size)
            raise atomic.write_error(self._path, len(line), error) from error

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the cells of every row, oldest first.

        Raises:
            MetricsError: if a row has not as many cells as there are columns,
                or does not begin with an int.
        """
        with open(self._path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            next(reader)  # the header
            for number, cells in enumerate(reader, start=1):
                if (
                    len(cells) != len(self._columns)
                    or not cells[0].removeprefix("-").isdecimal()
                ):
                    raise MetricsError(
                        f"Row {number} of {self._path} must have "
                        f"{len(self._columns)} cells, the first one an int. "
                        f"Received: row={cells}. "
                        "The file was changed: restore it or delete the line."
                    )
                yield tuple(cells)

    def check_count(self, count: int) -> None:
        """Refuse a number of rows to which the table cannot be cut.

        Raises:
            MetricsError: if it is not an int from 0 to `self.count`.
        """
        if not isinstance(count, int) or not 0 <= count <= self._count:
            raise MetricsError(
                f"{self._path} cannot be cut back: it has {self._count} rows. "
                f"Received: rows={count!r}. Restore the file that belongs to "
                "the checkpoint, or start in another folder."
            )

    def truncate(self, count: int) -> None:
        """Cut the table back to its first `count` rows.

        Raises:
            MetricsError: as `check_count`.
        """
        self.check_count(count)
        lines = self._path.read_bytes().splitlines(keepends=True)
        self._file.truncate(sum(map(len, lines[: count + 1])))
        self._count = count

    def sync(self) -> None:
        """Force the rows to the disk, so that they outlive a power cut.

        Raises:
            OSError: if the disk does not take them.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            size = self._path.stat().st_size
            raise atomic.write_error(self._path, size, error) from error

    def close(self) -> None:
        """Close the file; nothing can be appended afterwards."""
        self._file.close()
