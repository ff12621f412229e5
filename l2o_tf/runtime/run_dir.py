"""The folder of one run: where things lie, whose it is, what it runs.

    <run_dir>/
        config.gin             the configuration, as given; compared on resume
        operative_config.gin   what the run used of it
        metrics/ checkpoints/ best/ curves/
        .lock                  held, and filled in, by the process that trains

The lock is the kernel's (`flock`): it ends with the process, also after
kill -9, so a stale one cannot exist. It works where `flock` does: on Linux and
macOS, on local disks and most network file systems.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import fcntl
import itertools
import json
import os
import pathlib
import socket
from types import TracebackType
from typing import IO

from l2o_tf.runtime import atomic

_DIFF_LINES = 20


class RunDirectoryError(ValueError):
    """A path that cannot be used as this run's directory."""


@dataclasses.dataclass(frozen=True)
class RunPaths:
    """Name the parts of a run directory, without touching them.

    Args:
        path: the run directory.
    """

    path: pathlib.Path

    @property
    def lock(self) -> pathlib.Path:
        """The file that the training process locks."""
        return self.path / ".lock"

    @property
    def config(self) -> pathlib.Path:
        """The configuration that every process of this run must have."""
        return self.path / "config.gin"

    @property
    def operative_config(self) -> pathlib.Path:
        """The configuration as the run used it."""
        return self.path / "operative_config.gin"

    @property
    def metrics(self) -> pathlib.Path:
        """The folder of the CSV tables and TensorBoard events."""
        return self.path / "metrics"

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of the newest states."""
        return self.path / "checkpoints"

    @property
    def best(self) -> pathlib.Path:
        """The folder of the best weights."""
        return self.path / "best"

    @property
    def weights(self) -> pathlib.Path:
        """The best-validated weights."""
        return self.best / "weights.npz"

    def trained_weights(self) -> pathlib.Path:
        """Return the best-validated weights, which exist.

        Raises:
            RunDirectoryError: if they do not yet.
        """
        if self.weights.is_file():
            return self.weights
        raise RunDirectoryError(
            "The run has no weights yet: they come with its first validation "
            "whose cost is a number (metrics/validation.csv has the costs). "
            f"Received: run_dir={str(self.path)!r}. Continue its training."
        )

    @property
    def curves(self) -> pathlib.Path:
        """The folder of evaluations."""
        return self.path / "curves"

    @property
    def folders(self) -> tuple[pathlib.Path, ...]:
        """All folders inside."""
        return self.metrics, self.checkpoints, self.best, self.curves

    def exists(self) -> bool:
        """Whether there is a run directory here."""
        return self.config.is_file() or self.lock.is_file()


def find_run(path: str | os.PathLike[str]) -> RunPaths:
    """Return the paths of an existing run, to read from.

    Raises:
        RunDirectoryError: if there is none.
    """
    paths = RunPaths(pathlib.Path(path))
    if not paths.exists():
        raise RunDirectoryError(
            "Expected the directory of a run, which has a file config.gin. "
            f"Received: run_dir={str(path)!r}."
        )
    return paths


def default_run_dir(config_name: str, now: datetime.datetime) -> pathlib.Path:
    """Return `runs/<config_name>-<YYYYmmdd-HHMMSS>`.

    Raises:
        ValueError: if `config_name` is empty or not a plain name.
    """
    plain = pathlib.PurePath(config_name).name == config_name
    if not plain or config_name.startswith(".") or not config_name:
        raise ValueError(
            "A configuration's name must be a file name without folders. "
            f"Received: config_name={config_name!r}."
        )
    return pathlib.Path("runs") / f"{config_name}-{now:%Y%m%d-%H%M%S}"


def _difference(stored: str, given: str) -> str:
    """Show the lines that differ, the first `_DIFF_LINES` of them."""
    lines = list(
        difflib.unified_diff(
            stored.splitlines(),
            given.splitlines(),
            "stored",
            "given",
            lineterm="",
            n=0,
        )
    )
    more = len(lines) - _DIFF_LINES
    tail = [f"... and {more} more lines"] if more > 0 else []
    return "\n".join(itertools.chain(lines[:_DIFF_LINES], tail))


class RunDirectory:
    """Hold a run directory for this process, as a context manager.

    On entering, the folder is created or recognised, locked, compared with the
    configuration, and cleared of the temporary files of a killed process.

    Args:
        path: the run directory; new, empty, or of an earlier process of the
            same run.
        config: the text of the configuration, stored at the first use.
        description: what this process does, shown to one that comes second.

    Raises:
        RunDirectoryError: on entering, if the path is a file, a folder of
            something else, in use by another process, or of a run with
            another configuration.
        OSError: on entering, if the path cannot be created or written.

    Example:
    >>> import tempfile; folder = tempfile.mkdtemp()
    >>> with RunDirectory(folder, config="DMLSTM.layers = (20, 20)") as run:
    ...     run.paths.checkpoints.is_dir()
    True
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: str,
        description: str = "",
    ) -> None:
        self.paths = RunPaths(pathlib.Path(path))
        self._config = config
        self._description = description
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> RunDirectory:
        self._refuse_foreign()
        atomic.make_folder(self.paths.path)
        self._lock = self._locked()
        try:
            self._compare_config()
            for folder in self.paths.folders:
                atomic.make_folder(folder)
            for folder in (self.paths.path, *self.paths.folders):
                atomic.remove_leftovers(folder)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def write_config(self, text: str) -> None:
        """Store the operative configuration, as gin reports it."""
        atomic.write_text(self.paths.operative_config, text)

    def _refuse_foreign(self) -> None:
        """Refuse a path that holds something else than a run."""
        path = self.paths.path
        try:
            if not path.exists() or self.paths.exists():
                return
            if not path.is_dir():
                found = "a file"
            elif any(path.iterdir()):
                found = "a folder of something else, without config.gin"
            else:
                return
        except OSError as error:
            found = f"unreadable ({error.strerror})"
        raise RunDirectoryError(
            "A run needs a new, empty or earlier run's directory. Received: "
            f"run_dir={str(path)!r}, which is {found}. Choose another "
            "--run_dir."
        )

    def _locked(self) -> IO[bytes]:
        """Open and lock the lock file, and say in it who holds it."""
        path = self.paths.lock
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.datetime.now().isoformat(" ", "seconds"),
            "description": self._description,
        }
        record = json.dumps(holder).encode("utf-8")
        try:
            file = open(path, "ab+", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise atomic.write_error(path, len(record), error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(record)
        except BlockingIOError as error:
            with file:
                raise self._in_use(file) from error
        except OSError as error:
            with file:
                raise RunDirectoryError(
                    "The run directory cannot be locked: "
                    f"{error.strerror}. Received: run_dir="
                    f"{str(self.paths.path)!r}. Choose a folder on a disk "
                    "with file locks and free space."
                ) from error
        return file

    def _in_use(self, file: IO[bytes]) -> RunDirectoryError:
        file.seek(0)
        try:
            holder = json.loads(file.read())
            who = (
                f"process {holder['pid']} on {holder['host']} since "
                f"{holder['since']}"
            )
            if holder["description"]:
                who += f" ({holder['description']})"
        except (ValueError, KeyError, TypeError):
            who = "a process that has not written its number"
        return RunDirectoryError(
            "The run directory is in use. Received: run_dir="
            f"{str(self.paths.path)!r}, held by {who}. Wait for it, stop it, "
            "or choose another --run_dir."
        )

    def _compare_config(self) -> None:
        """Store the configuration, or refuse another than the stored one."""
        path = self.paths.config
        if not path.exists():
            atomic.write_text(path, self._config)
            return
        stored = path.read_text(encoding="utf-8", errors="replace")
        if stored.splitlines() != self._config.splitlines():
            raise RunDirectoryError(
                "The run directory belongs to another configuration. Received: "
                f"run_dir={str(self.paths.path)!r}, with these lines stored "
                f"(-) and given (+):\n{_difference(stored, self._config)}\n"
                "To start another run choose another --run_dir; to continue "
                f"this one give its configuration, {path}."
            )

    def _release(self) -> None:
        """Unlock. The file stays: removing it could hand out two locks."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None
