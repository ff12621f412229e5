"""What TensorBoard reads from a folder, by its own readers."""

from __future__ import annotations

import tensorflow as tf
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import (
    MultiplexerDataProvider,
)
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.backend.event_processing.plugin_event_multiplexer import (
    EventMultiplexer,
)
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import (
    api_pb2,
    backend_context,
    get_experiment,
    list_session_groups,
)


def read(folder):
    """Return everything in a folder of events."""
    guidance = {"scalars": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=guidance).Reload()


def scalars(folder):
    """Return tag to [(step, value), ...]."""
    found = read(folder)
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def histograms(folder):
    """Return tag to {step: buckets [k, 3]}."""
    found = read(folder)
    return {
        tag: {
            event.step: tf.make_ndarray(event.tensor_proto)
            for event in found.Tensors(tag)
        }
        for tag in found.Tags()["tensors"]
        if found.SummaryMetadata(tag).plugin_data.plugin_name == "histograms"
    }


def raw_values(folder):
    """Return (step, value) of every summary of the event files, unread."""
    files = sorted(str(path) for path in folder.glob("events.*"))
    return [
        (event.step, value)
        for record in tf.data.TFRecordDataset(files)
        for event in [tf.compat.v1.Event.FromString(record.numpy())]
        for value in event.summary.value
    ]


def hparams_page(folder):
    """Return (experiment, session groups) as the HParams page gets them."""
    runs = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    provider = MultiplexerDataProvider(runs, str(folder))
    page = backend_context.Context(
        base_plugin.TBContext(data_provider=provider, logdir=str(folder))
    )
    asked = context.RequestContext()
    experiment = get_experiment.Handler(
        asked, page, "", api_pb2.GetExperimentRequest()
    ).run()
    # All statuses, all columns, as the page asks at its beginning.
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        allowed_statuses=list(api_pb2.Status.values()),
    )
    for info in experiment.hparam_infos:
        request.col_params.add(hparam=info.name)
    groups = list_session_groups.Handler(asked, page, "", request).run()
    return experiment, list(groups.session_groups)
