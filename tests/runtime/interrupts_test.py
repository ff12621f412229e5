"""The first signal asks, the second insists."""

import os
import signal
import threading

import pytest

from l2o_tf.runtime.interrupts import GracefulStop


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers():
    """Handlers of the caller's own, which must be there again afterwards."""
    received = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [
        signal.signal(number, lambda n, frame: received.append(n))
        for number in numbers
    ]
    yield received
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_nothing_is_requested_before_a_signal():
    with GracefulStop() as stop:
        assert not stop.requested
        assert stop.signal_name == ""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_is_a_request_that_stays(name, handlers):
    with GracefulStop() as stop:
        send(signal.Signals[name])
        assert stop.requested
        assert stop.signal_name == name
    assert stop.requested
    assert handlers == []


def test_a_second_interrupt_is_raised_at_once():
    with GracefulStop() as stop:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert stop.signal_name == "SIGINT"


def test_terminations_never_raise_and_the_first_signal_is_named():
    with GracefulStop() as stop:
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        send(signal.SIGINT)
        assert stop.signal_name == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_the_previous_handlers_are_restored_also_after_an_error(handlers):
    with pytest.raises(KeyError), GracefulStop():
        raise KeyError
    send(signal.SIGTERM)
    send(signal.SIGINT)
    assert handlers == [signal.SIGTERM, signal.SIGINT]


def test_another_thread_is_refused():
    caught = []

    def enter():
        try:
            GracefulStop().__enter__()
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=enter, name="worker-7")
    thread.start()
    thread.join()
    (message,) = caught
    assert "Received: thread='worker-7'" in message
