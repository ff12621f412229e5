"""What TensorBoard's HParams page asks of a run: hyperparameters and status.

A run tells its own hyperparameters and no list of all there are: the page
gathers them from the runs it finds, and takes every scalar for a metric. A
list of one run would hide what only other runs have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

START_TAG = metadata.SESSION_START_INFO_TAG
END_TAG = metadata.SESSION_END_INFO_TAG
PLUGIN = metadata.PLUGIN_NAME
_STATUS = {
    "done": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
}


def _content(data: plugin_data_pb2.HParamsPluginData) -> bytes:
    made = metadata.create_summary_metadata(data)
    return made.plugin_data.content


def session_start(
    hyperparameters: Mapping[str, bool | int | float | str], seconds: float
) -> bytes:
    """Return the content of the summary `START_TAG`.

    Args:
        hyperparameters: name to value. Numbers that are not finite are written
            as words, which is all that the page can show of them.
        seconds: when the run began, since 1970.
    """
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=seconds)
    for name, value in hyperparameters.items():
        cell = info.hparams[name]
        if isinstance(value, bool):
            cell.bool_value = value
        elif isinstance(value, (int, float)) and math.isfinite(value):
            cell.number_value = value
        else:
            cell.string_value = str(value)
    return _content(plugin_data_pb2.HParamsPluginData(session_start_info=info))


def session_end(status: str, seconds: float) -> bytes:
    """Return the content of the summary `END_TAG`.

    Args:
        status: "done" or "failed".
        seconds: when the run ended, since 1970.

    Raises:
        ValueError: if the status is another.
    """
    if status not in _STATUS:
        raise ValueError(
            f"A run's end is one of {tuple(_STATUS)}. "
            f"Received: status={status!r}."
        )
    info = plugin_data_pb2.SessionEndInfo(
        status=_STATUS[status], end_time_secs=seconds
    )
    return _content(plugin_data_pb2.HParamsPluginData(session_end_info=info))
