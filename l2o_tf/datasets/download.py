"""Let tensorflow-datasets download a data set, but find out soon if it cannot.

Without a network tensorflow-datasets retries for more than three minutes and
then dies. One request is made first, to the same server, with a time limit.
"""

from __future__ import annotations

import http.client
import threading
import urllib.parse
import urllib.request

import tensorflow_datasets as tfds

PATIENCE = 5.0
"""Seconds to wait for the server's first answer."""


class NotDownloadableError(Exception):
    """The data set's server cannot be reached, or breaks off."""


def download(name: str, data_dir: str) -> None:
    """Download a data set and prepare it in `data_dir`, with tfds' own bars.

    Args:
        name: what tensorflow-datasets calls it, "name" or "name/config".
        data_dir: where the prepared files go.

    Raises:
        NotDownloadableError: if the network does not give it, within
            `PATIENCE` seconds if there is no network at all. Other failures,
            such as a folder without write permission, a full disk or a wrong
            checksum, are raised as they are.
    """
    files = tfds.builder_cls(name.partition("/")[0]).url_infos
    url = min(files, key=lambda url: files[url].size)
    reason = why_unreachable(url, PATIENCE)
    if reason is not None:
        host = urllib.parse.urlsplit(url).netloc
        raise NotDownloadableError(f"{host}: {reason}")
    builder = tfds.builder(name, data_dir=data_dir)
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )
    except tfds.download.DownloadError as error:
        raise NotDownloadableError(str(error)) from error
    except OSError as error:
        # tfds lets the errors of its HTTP library through: they are OSErrors
        # that carry no number. Those of the file system do.
        if error.errno is not None:
            raise
        raise NotDownloadableError(str(error)) from error


def why_unreachable(url: str, patience: float) -> str | None:
    """Ask for a URL once; return what went wrong, None if it was answered.

    The request follows the environment's proxy settings. It runs in a thread,
    because no timeout of a socket covers the resolution of the host's name.

    Args:
        url: what to ask for. The answer's body is not read.
        patience: float, seconds after which to give up.
    """
    answers: list[str | None] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=patience):
                answers.append(None)
        except (OSError, http.client.HTTPException) as error:
            answers.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return answers[0] if answers else f"no answer within {patience:g} seconds"
