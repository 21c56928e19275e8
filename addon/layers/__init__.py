"""HTTP layers for claimed flows: the only place that leans on mitmproxy's private layer API.

Hooks cannot do what is done here: answer a broken upstream in OpenAI's shape instead of
mitmproxy's HTML, give up on a silent upstream, keep a waiting client's connection alive, end a
stream that broke half-way with an error event, limit the size of a body while it arrives, add the
credential to the bytes on the wire but not to the flow, and keep an upstream connection warm for
the next client.

Flows without an exchange behave as in stock mitmproxy, but for what `http1` says about reading.
"""

import importlib
from importlib.metadata import version

# What the layers override or reach into, beyond mitmproxy's documented API.
USED = {
    "mitmproxy.proxy.layer": ("Layer.handle_event", "Layer._handle_event", "NextLayer"),
    "mitmproxy.proxy.layers.http": (
        "HttpLayer.make_stream",
        "HttpLayer.event_to_child",
        "HttpLayer.get_connection",
        "HttpLayer.register_connection",
        "HttpStream.state_wait_for_request_headers",
        "HttpStream.state_consume_request_body",
        "HttpStream.state_wait_for_response_headers",
        "HttpStream.state_consume_response_body",
        "HttpStream.state_stream_response_body",
        "HttpStream.start_response_stream",
        "HttpStream.make_server_connection",
        "HttpStream.handle_protocol_error",
        "HttpStream.send_response",
        "GetHttpConnection.connection_spec_matches",
        "GetHttpConnectionCompleted",
        "HttpClient",
        "RegisterHttpConnection",
        "SendHttp",
    ),
    "mitmproxy.proxy.layers.http._base": ("HttpEvent", "ReceiveHttp"),
    "mitmproxy.proxy.layers.http._http1": (
        "Http1Client.read_headers",
        "Http1Client.send",
        "Http1Connection._handle_event",
        "Http1Connection.done",
        "Http1Connection.read_body",
        "Http1Connection.request",
        "Http1Connection.response",
        "Http1Connection.stream_id",
        "Http1Server.send",
        "make_body_reader",
    ),
    "mitmproxy.proxy.layers.http._http2": ("Http2Client",),
    "mitmproxy.proxy.layers.http._events": (
        "ErrorCode.CANCEL",
        "ErrorCode.CONNECT_FAILED",
        "ErrorCode.GENERIC_CLIENT_ERROR",
        "ErrorCode.GENERIC_SERVER_ERROR",
        "RequestTrailers",
        "ResponseTrailers",
    ),
    "mitmproxy.proxy.server": (
        "ConnectionHandler.drain_writers",
        "ConnectionHandler.handle_hook",
        "ConnectionHandler.server_event",
        "ConnectionIO",
    ),
    "mitmproxy.proxy.tunnel": ("TunnelLayer",),
    "mitmproxy.addons.proxyserver": ("Proxyserver.register_connection",),
    "mitmproxy.addons.tlsconfig": ("_default_ciphers",),
    "mitmproxy.net.http.http1": (
        "assemble_response",
        "expected_http_body_size",
        "read_request_head",
        "read_response_head",
    ),
    "mitmproxy.net.tls": ("Version.UNBOUNDED",),
    "h11._readers": ("ChunkedReader",),
    "h11._receivebuffer": ("ReceiveBuffer.maybe_extract_lines",),
}


def missing(used: dict[str, tuple[str, ...]] = USED) -> str | None:
    """What this mitmproxy lacks of the API that the layers need, in one line for the user."""
    lacking = [
        f"{module}.{name}"
        for module, names in used.items()
        for name in names
        if not _has(module, name)
    ]
    if not lacking:
        return None
    return f"mitmproxy {version('mitmproxy')} does not fit: it lacks {', '.join(lacking)}"


def _has(module: str, name: str) -> bool:
    try:
        value: object = importlib.import_module(module)
    except ImportError:
        return False
    for part in name.split("."):
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True
