"""The download: given up soon without a network, loud when it breaks."""

import http.server
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
import tensorflow_datasets as tfds

from l2o_tf.datasets import download


class FakeBuilder:
    def __init__(self, error=None):
        self.error = error
        self.config = None

    def download_and_prepare(self, download_config):
        self.config = download_config
        if self.error is not None:
            raise self.error


@pytest.fixture
def answered(monkeypatch):
    monkeypatch.setattr(download, "why_unreachable", lambda url, patience: None)


def use_builder(monkeypatch, builder):
    calls = []

    def make(name, data_dir):
        calls.append((name, data_dir))
        return builder

    monkeypatch.setattr(tfds, "builder", make)
    return calls


@pytest.fixture
def server():
    """Answer "/yes" with 200, all else with 404, on a local port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/yes" else 404)
            self.end_headers()

        def log_message(self, format, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def mute_port():
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_answering_server_is_reachable(server):
    assert download.why_unreachable(server + "/yes", 5.0) is None


def test_refusing_server_is_unreachable(server):
    assert "404" in download.why_unreachable(server + "/no", 5.0)


def test_closed_port_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reason = download.why_unreachable(f"http://127.0.0.1:{port}/", 5.0)
    assert "refused" in reason


def test_mute_server_is_given_up_in_time(mute_port):
    start = time.monotonic()
    assert download.why_unreachable(mute_port, 0.3) is not None
    assert time.monotonic() - start < 2.0


def test_name_resolution_that_hangs_is_given_up_in_time(monkeypatch):
    released = threading.Event()

    def hang(url, timeout):
        released.wait(30.0)
        raise urllib.error.URLError("released")

    monkeypatch.setattr(urllib.request, "urlopen", hang)
    start = time.monotonic()
    reason = download.why_unreachable("https://example.invalid/", 0.2)
    elapsed = time.monotonic() - start
    released.set()
    assert reason == "no answer within 0.2 seconds"
    assert elapsed < 2.0


def test_garbled_answer_is_unreachable(monkeypatch):
    def garbled(url, timeout):
        raise http.client.BadStatusLine("garbage")

    monkeypatch.setattr(urllib.request, "urlopen", garbled)
    reason = download.why_unreachable("https://example.invalid/", 5.0)
    assert reason == "BadStatusLine: garbage"


@pytest.mark.parametrize(
    "name", ["mnist", "cifar10", "cifar100", "imagenet_resized/32x32"]
)
def test_server_asked_is_the_one_of_the_data(monkeypatch, name, tmp_path):
    asked = []

    def no(url, patience):
        asked.append((url, patience))
        return "no network"

    monkeypatch.setattr(download, "why_unreachable", no)
    calls = use_builder(monkeypatch, FakeBuilder())
    with pytest.raises(download.NotDownloadableError, match=": no network"):
        download.download(name, str(tmp_path))
    ((url, patience),) = asked
    assert url in tfds.builder_cls(name.split("/")[0]).url_infos
    assert patience == download.PATIENCE <= 5.0
    assert calls == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("answered")
def test_reachable_data_are_prepared_by_tfds(monkeypatch):
    builder = FakeBuilder()
    calls = use_builder(monkeypatch, builder)
    download.download("mnist", "/some/where")
    assert calls == [("mnist", "/some/where")]
    assert builder.config.try_download_gcs is False


@pytest.mark.usefixtures("answered")
@pytest.mark.parametrize(
    "error",
    [
        tfds.download.DownloadError("HTTP code: 503"),
        OSError("Max retries exceeded"),  # as the HTTP library's are
    ],
)
def test_broken_download_is_not_downloadable(monkeypatch, error):
    use_builder(monkeypatch, FakeBuilder(error))
    with pytest.raises(
        download.NotDownloadableError, match=str(error)
    ) as caught:
        download.download("mnist", "/some/where")
    assert caught.value.__cause__ is error


@pytest.mark.usefixtures("answered")
@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        OSError(28, "No space left on device"),
        ModuleNotFoundError("No module named 'importlib_resources'"),
        ValueError("Checksum mismatch"),
    ],
)
def test_failure_that_is_not_the_networks_is_raised_as_it_is(
    monkeypatch, error
):
    use_builder(monkeypatch, FakeBuilder(error))
    with pytest.raises(type(error)) as caught:
        download.download("mnist", "/some/where")
    assert caught.value is error
