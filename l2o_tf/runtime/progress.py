"""How far a run is: a bar on a terminal, plain lines in a log file."""

from __future__ import annotations

import datetime
import math
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

import tqdm

from l2o_tf.core import checks

_UNEVEN = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Write as h:mm:ss, with days before it where there are any."""
    return str(datetime.timedelta(seconds=round(seconds)))


class ProgressBar:
    """Show units done, their rate, the time left, and named values.

    On a terminal this is a tqdm bar. If `quiet`, or if the stream is not a
    terminal, it is a line of text, at most every `log_every_s` seconds and at
    the end; its rate is that since the previous line.

    Args:
        total: int >= 1, units of the whole run, or None if nobody knows.
        initial: int >= 0, units done before, by an earlier process.
        quiet: whether to write lines even on a terminal.
        description: what is counted, at the left.
        unit: the word for one unit, in the singular.
        log_every_s: seconds between two lines. Defaults to 30.
        even: whether all units cost about the same, so that their rate tells
            the time left. If not, it is for the caller to name.
        stream: where to write; standard error if None.
        clock: returns seconds, for tests.

    Raises:
        ValueError: if a number is outside its range.
    """

    def __init__(
        self,
        total: int | None,
        initial: int = 0,
        quiet: bool = False,
        description: str = "",
        unit: str = "episode",
        log_every_s: float = 30.0,
        even: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = (
            None if total is None else checks.positive_int("total", total)
        )
        if not isinstance(initial, int) or initial < 0:
            raise ValueError(
                f"`initial` must be an int >= 0. Received: initial={initial!r}."
            )
        self._log_every_s = checks.real("log_every_s", log_every_s, 0.0)
        self._stream = sys.stderr if stream is None else stream
        self._description = description
        self._unit = unit
        self._even = even
        self._clock = clock
        self._done = self._begun_at = self._logged = initial
        self._begun = self._logged_at = clock()
        self._postfix: dict[str, object] = {}
        self._closed = False
        self._bar: Any = None
        if not quiet and self._stream.isatty():
            self._bar = tqdm.tqdm(
                total=total,
                initial=initial,
                desc=description or None,
                unit=f" {unit}s",
                file=self._stream,
                dynamic_ncols=True,
                bar_format=None if even else _UNEVEN,
            )

    def update(self, n: int, **postfix: object) -> None:
        """Count `n` more units, and show the named values beside them.

        Raises:
            ValueError: if `n` is not an int >= 0.
        """
        if not isinstance(n, int) or n < 0:
            raise ValueError(f"`n` must be an int >= 0. Received: n={n!r}.")
        self._done += n
        self._postfix = postfix
        if self._bar is not None:
            self._bar.set_postfix(
                {name: _short(value) for name, value in postfix.items()},
                refresh=False,
            )
            self._bar.update(n)
        elif self._clock() - self._logged_at >= self._log_every_s:
            self._log()

    def catch_up(self, remaining: int) -> None:
        """Count what others have done meanwhile: `remaining` units are left.

        Nothing is counted back where more are left than before.
        """
        if self._total is not None:
            self.update(
                max(0, self._total - remaining - self._done), **self._postfix
            )

    def write(self, line: str) -> None:
        """Write a line of its own, above the bar where there is one."""
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def _head(self) -> str:
        of = "" if self._total is None else f"/{self._total}"
        name = f"{self._description}: " if self._description else ""
        return f"{name}{self._done}{of} {self._unit}s"

    def _values(self) -> list[str]:
        return [f"{name}={_short(v)}" for name, v in self._postfix.items()]

    def _log(self) -> None:
        """Write one line: done, rate since the last one, time left, values."""
        now = self._clock()
        seconds = now - self._logged_at
        rate = (self._done - self._logged) / seconds if seconds else math.nan
        parts = [self._head(), f"{rate:.3g} {self._unit}s/s"]
        if self._total is not None and rate > 0 and self._even:
            left = max(0, self._total - self._done) / rate
            parts.append(f"{duration(left)} left")
        self.write(", ".join(parts + self._values()))
        self._logged, self._logged_at = self._done, now

    def close(self) -> None:
        """End the bar, or write the last line; once."""
        if self._closed:
            return
        self._closed = True
        if self._bar is not None:
            self._bar.close()
            return
        seconds = self._clock() - self._begun
        count = self._done - self._begun_at
        parts = [self._head(), f"{count} in {duration(seconds)}"]
        self.write(", ".join(parts + self._values()))

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
