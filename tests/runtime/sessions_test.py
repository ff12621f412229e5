"""Sessions as TensorBoard's HParams plugin parses them."""

import math

import pytest
from tensorboard.plugins.hparams import api_pb2, metadata

from l2o_tf.runtime.sessions import session_end, session_start


def test_hyperparameters_keep_their_kind_and_value():
    content = session_start(
        {"a/B.rate": 0.25, "n": 3, "on": True, "off": False, "kind": "adam"},
        12.5,
    )
    info = metadata.parse_session_start_info_plugin_data(content)
    assert info.start_time_secs == 12.5
    assert {k: v.WhichOneof("kind") for k, v in info.hparams.items()} == {
        "a/B.rate": "number_value",
        "n": "number_value",
        "on": "bool_value",
        "off": "bool_value",
        "kind": "string_value",
    }
    assert info.hparams["a/B.rate"].number_value == 0.25
    assert info.hparams["n"].number_value == 3.0
    assert info.hparams["on"].bool_value is True
    assert info.hparams["off"].bool_value is False
    assert info.hparams["kind"].string_value == "adam"


@pytest.mark.parametrize(
    ("number", "word"),
    [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")],
)
def test_a_number_that_is_not_finite_is_a_word(number, word):
    content = session_start({"bound": number}, 0.0)
    info = metadata.parse_session_start_info_plugin_data(content)
    assert info.hparams["bound"].string_value == word


@pytest.mark.parametrize(
    ("status", "shown"),
    [("done", api_pb2.STATUS_SUCCESS), ("failed", api_pb2.STATUS_FAILURE)],
)
def test_an_end_has_a_status_and_a_time(status, shown):
    content = session_end(status, 99.0)
    info = metadata.parse_session_end_info_plugin_data(content)
    assert (info.status, info.end_time_secs) == (shown, 99.0)


def test_another_status_is_refused():
    with pytest.raises(ValueError, match="Received: status='stopped'"):
        session_end("stopped", 0.0)
