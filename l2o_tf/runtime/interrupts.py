"""Stopping at a convenient moment instead of at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Protocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop(Protocol):
    """What a loop asks whether it is to end."""

    @property
    def requested(self) -> bool:
        """Return whether to stop."""

    @property
    def signal_name(self) -> str:
        """Return why, such as "SIGTERM"; "" as long as there is no reason."""


class GracefulStop:
    """Turn the first SIGINT (Ctrl-C) or SIGTERM into a request.

    The loop inside looks at `requested` between two pieces of work and saves.
    A second SIGINT raises KeyboardInterrupt at once. Python runs handlers
    between two of its own instructions, so a long call into TensorFlow ends
    first; signals of one kind that come during it count as one.

    Attributes:
        requested: bool, whether to stop.
        signal_name: str, the first signal, such as "SIGTERM"; "" before it.

    Raises:
        RuntimeError: on entering, outside of the main thread.

    Example:
    >>> with GracefulStop() as stop:
    ...     while not stop.requested:
    ...         signal.raise_signal(signal.SIGTERM)  # or train an episode
    >>> stop.signal_name
    'SIGTERM'
    """

    def __init__(self) -> None:
        self.requested = False
        self.signal_name = ""
        self._interrupted = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> GracefulStop:
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            raise RuntimeError(
                "Signals reach the main thread only: use GracefulStop there. "
                f"Received: thread={thread.name!r}."
            )
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        name = signal.Signals(number).name
        if name == "SIGINT":
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
        if not self.requested:
            self.requested = True
            self.signal_name = name

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
