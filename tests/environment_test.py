"""What conftest.py promises to every test."""

import os
import socket

import gin
import pytest
import tensorflow as tf


@gin.configurable(module="tests")
def asked(answer=0):
    return answer


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("name", ["connect", "connect_ex"])
def test_the_network_is_out_of_reach(family, name):
    host = "192.0.2.1" if family == socket.AF_INET else "2001:db8::1"
    with (
        socket.socket(family) as connection,
        pytest.raises(pytest.fail.Exception, match="reached for the network"),
    ):
        getattr(connection, name)((host, 80))


def test_names_of_the_network_are_not_looked_up():
    with pytest.raises(pytest.fail.Exception, match=r"'example\.org'"):
        socket.create_connection(("example.org", 80), timeout=1)


def test_this_machine_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address, timeout=5) as connection:
            assert connection.getpeername() == address


def test_there_are_two_devices():
    assert len(tf.config.list_logical_devices("CPU")) == 2


def test_autograph_is_strict():
    assert os.environ["AUTOGRAPH_STRICT_CONVERSION"] == "1"


@pytest.mark.parametrize("answer", [1, 2])
def test_no_binding_of_another_test_is_left(answer):
    assert asked() == 0
    gin.parse_config(f"asked.answer = {answer}")
    gin.finalize()
    assert asked() == answer
