"""What a run measured: CSV tables, and TensorBoard events made from them.

The CSV files are the record. A checkpoint stores `position()`, the number of
rows of every table; after a kill, `rewind` cuts what was written beyond it, so
that a resumed run gives the same files, byte for byte, as one that was never
stopped. The events are written anew from the rows whenever a writer is made or
rewound: no step is doubled or lost. Cost: about 20 microseconds per row, some
times that for a histogram.

What a row shows is said by a view. A view may remember the rows before, such
as to add them up; it is made anew with the events. Rows of one table come to it
in their order, but an earlier table's rows may come before a later one's or
between them: it must show the same either way.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from types import TracebackType

from l2o_tf.runtime import atomic, sessions
from l2o_tf.runtime.events import EventFile
from l2o_tf.runtime.histograms import Histogram
from l2o_tf.runtime.tables import MetricsError, Table

Shown = Mapping[str, float | Histogram]
"""What TensorBoard shows of a row, by tag."""

View = Callable[[str, Mapping[str, str]], Shown]
"""Takes a table's name and a row's cells as text, column to cell."""

_NAME = re.compile(r"[A-Za-z0-9_]+")


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def numbers(table: str, row: Mapping[str, str]) -> dict[str, float]:
    """Show the numbers of a row as `<table>/<column>`; its step is none."""
    return {
        f"{table}/{column}": number
        for column, cell in list(row.items())[1:]
        if (number := _number(cell)) is not None
    }


def _plain() -> View:
    return numbers


class MetricsWriter:
    """Write rows to `<folder>/<table>.csv` and to TensorBoard.

    Whatever depends on the clock belongs into a table of its own, such as
    "timing": it is cut back like the others, and left out when the files of
    two runs are compared.

    Args:
        folder: created if it does not exist.
        tables: name to columns; the first column holds an int, the step of
            the events. Names are of letters, digits and underscores.
        new_view: returns a view that has seen no row. Defaults to one that
            shows the `numbers`.

    Raises:
        MetricsError: if a name or the columns cannot be used, or an existing
            file has other columns.
        OSError: if the folder cannot be written.

    Example:
    >>> import tempfile; folder = tempfile.mkdtemp()
    >>> columns = {"train": ("episode", "meta_loss")}
    >>> with MetricsWriter(folder, columns) as metrics:
    ...     metrics.write("train", {"episode": 1, "meta_loss": 0.5})
    ...     metrics.position()
    {'train': 1}
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        tables: Mapping[str, tuple[str, ...]],
        new_view: Callable[[], View] = _plain,
    ) -> None:
        for name in tables:
            if not _NAME.fullmatch(name):
                raise MetricsError(
                    "A table's name must be letters, digits and underscores. "
                    f"Received: table={name!r}."
                )
        path = atomic.make_folder(folder)
        self._tables: dict[str, Table] = {}
        self._texts: dict[str, str] = {}
        self._session: dict[str, bytes] = {}
        self._new_view = new_view
        with contextlib.ExitStack() as opened:
            for name, columns in tables.items():
                table = Table(path / f"{name}.csv", columns)
                opened.callback(table.close)
                self._tables[name] = table
            self._events = EventFile(path)
            opened.callback(self._events.close)
            self._replay()
            self._opened = opened.pop_all()

    def _replay(self) -> None:
        """Write all there is to the event file, which is empty."""
        self._view = self._new_view()
        for tag, content in self._session.items():
            self._events.content(tag, sessions.PLUGIN, content)
        for name, markdown in self._texts.items():
            self._events.text(name, markdown)
        for name, table in self._tables.items():
            for cells in table.rows():
                self._event(name, cells)
        self._events.flush()

    def _event(self, name: str, cells: tuple[str, ...]) -> None:
        """Write what a row shows, from its text, as a replay would."""
        columns = self._tables[name].columns
        row = dict(zip(columns, cells, strict=True))
        step, scalars = int(cells[0]), {}
        for tag, value in self._view(name, row).items():
            if isinstance(value, Histogram):
                self._events.histogram(step, tag, value)
            else:
                scalars[tag] = value
        if scalars:
            self._events.scalars(step, scalars)

    def write(self, table: str, row: Mapping[str, object]) -> None:
        """Append one row; it outlives the process from here on.

        Args:
            table: one of the tables.
            row: column to int, float or str, exactly the table's columns. NaN
                and infinities are written as such.

        Raises:
            MetricsError: if there is no such table, or the row does not fit.
            OSError: if the disk does not take it; the table is as before.
        """
        if table not in self._tables:
            raise MetricsError(
                f"There is no such table. Received: table={table!r}. "
                f"Known: {', '.join(self._tables)}."
            )
        self._event(table, self._tables[table].append(row))
        self._events.flush()

    def position(self) -> dict[str, int]:
        """Return the number of rows of every table, to go into a checkpoint.

        The rows are forced to the disk first, so that a checkpoint never
        counts rows that a power cut takes away.
        """
        for table in self._tables.values():
            table.sync()
        return {name: table.count for name, table in self._tables.items()}

    def rewind(self, position: Mapping[str, int]) -> None:
        """Cut every table back to the rows it had at `position`.

        Args:
            position: as `position()` returned it; all zeros for a fresh start.

        Raises:
            MetricsError: if the tables are not the writer's, or one has fewer
                rows than that. Nothing is cut then.
        """
        if set(position) != set(self._tables):
            raise MetricsError(
                f"A position must name the tables {sorted(self._tables)}. "
                f"Received: tables={sorted(position)}."
            )
        for name, count in position.items():
            self._tables[name].check_count(count)
        for name, count in position.items():
            self._tables[name].truncate(count)
        self._events.restart()
        self._replay()

    def text(self, name: str, markdown: str) -> None:
        """Show a text in TensorBoard, as the configuration of the run."""
        self._texts[name] = markdown
        self._events.text(name, markdown)
        self._events.flush()

    def begin_session(
        self,
        hyperparameters: Mapping[str, bool | int | float | str],
        seconds: float,
    ) -> None:
        """Show the run among others on TensorBoard's HParams page.

        Args:
            hyperparameters: name to value.
            seconds: when the run began, since 1970.
        """
        content = sessions.session_start(hyperparameters, seconds)
        self._tell(sessions.START_TAG, content)

    def end_session(self, status: str, seconds: float) -> None:
        """Show on the same page how the run ended; until then it is open.

        Args:
            status: "done" or "failed".
            seconds: when the run ended, since 1970.

        Raises:
            ValueError: if the status is another.
        """
        content = sessions.session_end(status, seconds)
        self._tell(sessions.END_TAG, content)

    def _tell(self, tag: str, content: bytes) -> None:
        self._session[tag] = content
        self._events.content(tag, sessions.PLUGIN, content)
        self._events.flush()

    def close(self) -> None:
        """Close all files."""
        self._opened.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
