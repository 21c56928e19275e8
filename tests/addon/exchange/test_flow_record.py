"""The sides of an exchange in a flow's metadata."""

import copy
import io
import zlib

from mitmproxy import flowfilter
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test.tflow import tflow

from addon.exchange import flow_record


def saved_and_loaded(flow: HTTPFlow) -> HTTPFlow:
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    file.seek(0)
    loaded = next(iter(FlowReader(file).stream()))
    assert isinstance(loaded, HTTPFlow)
    return loaded


def test_a_side_survives_saving_and_copying() -> None:
    flow = tflow()
    flow_record.save(flow, flow_record.CLIENT_REQUEST, b"hello" * 100)
    for other in (flow, saved_and_loaded(flow), flow.copy(), copy.deepcopy(flow)):
        assert flow_record.load(other, flow_record.CLIENT_REQUEST) == b"hello" * 100
        assert flow_record.load(other, flow_record.PROMPT) is None


def test_a_side_shows_as_its_size_to_filters_and_views() -> None:
    flow = tflow()
    flow_record.save(flow, flow_record.CLIENT_REQUEST, b"hello")
    assert (
        repr(flow.metadata)
        == f"{{'llm_client_request': <{len(zlib.compress(b'hello', 1))} bytes, compressed>}}"
    )
    loaded = saved_and_loaded(flow)
    flow_record.restore(loaded)
    assert str(loaded.metadata) == str(flow.metadata)
    assert flowfilter.match("~meta compressed", loaded)


def test_what_is_kept_is_bounded() -> None:
    flow = tflow()
    flow_record.save(flow, flow_record.CLIENT_REQUEST, bytes(flow_record.MAX_BYTES + 1))
    assert len(flow_record.load(flow, flow_record.CLIENT_REQUEST) or b"") == flow_record.MAX_BYTES
    # A file from somebody else may claim anything.
    flow.metadata[flow_record.CLIENT_REQUEST] = zlib.compress(bytes(2 * flow_record.MAX_BYTES))
    assert len(flow_record.load(flow, flow_record.CLIENT_REQUEST) or b"") == flow_record.MAX_BYTES


def test_foreign_metadata_is_no_side() -> None:
    for value in (b"not compressed", "text", 1, None, [b"x"]):
        flow = tflow()
        flow.metadata[flow_record.PROMPT] = value
        assert not flow_record.load(flow, flow_record.PROMPT)
        flow_record.restore(flow)
