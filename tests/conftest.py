"""The environment of every test: two devices, no network, a clean gin."""

import os
import pathlib
import socket

# Before TensorFlow is imported: it reads them once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["AUTOGRAPH_STRICT_CONVERSION"] = "1"

import gin
import pytest
import tensorflow as tf

ROOT = pathlib.Path(__file__).resolve().parents[1]

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
# Equivalence to 1e-5 needs the full float32 of a GPU.
tf.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture(autouse=True)
def _clean_gin():
    yield
    gin.clear_config()


def _refuse(address):
    # Not an `Exception`: code under test that falls back when the network
    # fails must not take this for such a failure.
    pytest.fail(f"A test reached for the network: {address!r}.")


def _is_local(host):
    name = host.decode() if isinstance(host, bytes) else host
    return name in (None, "", "localhost", "::1") or name.startswith("127.")


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    originals = {
        name: getattr(socket.socket, name) for name in ("connect", "connect_ex")
    }
    look_up = socket.getaddrinfo

    def guarded(name):
        def connect(self, address):
            is_internet = self.family in (socket.AF_INET, socket.AF_INET6)
            if is_internet and not _is_local(address[0]):
                _refuse(address)
            return originals[name](self, address)

        return connect

    def guarded_look_up(host, *args, **kwargs):
        if not _is_local(host):
            _refuse(host)
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in originals:
            patch.setattr(socket.socket, name, guarded(name))
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


@pytest.fixture(scope="session")
def shared_dir():
    """The folder of released weights, data and recorded vectors."""
    path = pathlib.Path(
        os.environ.get("L2O_TF_SHARED", ROOT.parent / "shared")
    ).resolve()
    if not path.is_dir():
        pytest.skip(f"no released data: {path} (L2O_TF_SHARED) is absent")
    return path
