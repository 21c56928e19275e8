"""Where a credential may go: only to the destination of the backend's request."""

import pytest
from mitmproxy.connection import Server
from mitmproxy.test import tflow

from addon.exchange.upstream_request import is_bound, leads_to, set_upstream_request
from backends.backend import UpstreamRequest

REQUEST = UpstreamRequest("POST", "https://vendor.example/api/v1/chat", [], b"{}")
PLAIN = UpstreamRequest("POST", "http://127.0.0.1:8080/v1/chat", [], b"{}")


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2.0"])
@pytest.mark.parametrize("request_", [REQUEST, PLAIN], ids=["https", "http"])
def test_a_request_as_it_was_prepared_is_bound(request_: UpstreamRequest, version: str) -> None:
    flow = tflow.tflow()
    flow.request.http_version = version
    set_upstream_request(flow, request_, "KEY")
    assert is_bound(flow, request_)
    flow.request.path = "/elsewhere"
    assert is_bound(flow, request_)


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2.0"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("host", "evil.example"), ("port", 8443), ("scheme", "http"), ("host_header", "evil.example")],
)
def test_another_destination_is_not(name: str, value: object, version: str) -> None:
    flow = tflow.tflow()
    flow.request.http_version = version
    set_upstream_request(flow, REQUEST, "KEY")
    setattr(flow.request, name, value)
    assert not is_bound(flow, REQUEST)


@pytest.mark.parametrize(
    ("address", "tls", "sni", "request_", "expected"),
    [
        (("vendor.example", 443), True, "vendor.example", REQUEST, True),
        (("vendor.example", 443), True, "evil.example", REQUEST, False),
        (("vendor.example", 443), True, None, REQUEST, False),
        (("vendor.example", 443), False, None, REQUEST, False),
        (("vendor.example", 8443), True, "vendor.example", REQUEST, False),
        (("evil.example", 443), True, "vendor.example", REQUEST, False),
        (("127.0.0.1", 8080), False, None, PLAIN, True),
        (("127.0.0.2", 8080), False, None, PLAIN, False),
        (None, False, None, PLAIN, False),
    ],
)
def test_connections(
    address: tuple[str, int] | None,
    tls: bool,
    sni: str | None,
    request_: UpstreamRequest,
    expected: bool,
) -> None:
    server = Server(address=address)
    server.tls, server.sni = tls, sni
    assert leads_to(server, request_) is expected
