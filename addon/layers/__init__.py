"""HTTP layers for claimed flows: the only place that uses mitmproxy's private layer API.

Hooks cannot do what the layers do: retry in the same flow, apply timeouts, send comments to a
waiting client, end a broken stream with an error event, limit a body while it arrives, keep the
credential out of the flow, and reuse an upstream connection for the next client. Flows that are
not claimed behave as in stock mitmproxy, but their HTTP/1.1 is read more strictly (`http1`).

Theory of operation
-------------------

mitmproxy is sans-I/O: a layer gets an event and yields commands, and a `ConnectionHandler` per
client connection does the I/O. The layers of a claimed request, from the client to the upstream:

    Http1Server or Http2Server   bytes <-> HTTP events; `http1.ClientHttp1` replaces the first
            |
    LlmHttpLayer                 one a client connection (`http_layer`)
            |
    LlmHttpStream                one a request (`http_stream`, its states in `stream_state`)
            |
    UpstreamLayer                one an upstream connection (`upstream_layer`)
            |
    UpstreamHttp1 or Http2Client HTTP events <-> bytes

1. `install` replaces each stock HTTP layer that mitmproxy chooses by an `LlmHttpLayer`. The layer
   makes an `LlmHttpStream` for each request. A stream without an exchange acts as its base class.
2. The addon's `request` hook puts the first attempt into the flow. The stream then asks the HTTP
   layer for a connection. The layer gives it one that is idle, waits if `max_connections` are in
   use, or opens one with a `PooledServer`. Where asyncio cannot do the TLS (`tls`), or there is a
   parent proxy, mitmproxy opens its own connection.
3. A `PooledServer` (`pooled_server`) takes a `RawConnection` from the `Pool` (`pool`), or makes one
   (`connect`). It fires the usual server hooks, passes data on as events, and returns the
   connection to the pool when the client leaves it idle. While the client is slow it does not read.
4. `UpstreamLayer` adds the credential to the copy of the request head that is sent. It knows which
   streams wait for a response, so that an upstream that breaks becomes an error of each.
5. The stream handles the response. It translates a complete one at its end, and a stream piece by
   piece. A failure before the client has content starts the next attempt in the same flow: the
   stream detaches from its upstream connection, gets another, and sends the new request. Later the
   failure becomes an error event. A reused connection that closes without a byte is replaced once,
   which does not count as an attempt.
6. While a claimed stream runs, a `Tick` comes at least each second. It checks the timeouts for
   connecting, for a silent upstream, and for a client without a byte.

`fallback` serves claimed flows if this mitmproxy lacks any name of `USED`.
"""

import importlib
from importlib.metadata import version

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
    "mitmproxy.proxy.layers.http._http2": ("Http2Client", "Http2Server"),
    "mitmproxy.proxy.layers.http._http_h2": ("BufferedH2Connection",),
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
"""What the layers override or use beyond mitmproxy's documented API."""


def incompatibility(used: dict[str, tuple[str, ...]] = USED) -> str | None:
    """Which names of the API that the layers use this mitmproxy lacks; None if it has all."""
    missing = [
        f"{module}.{name}"
        for module, names in used.items()
        for name in names
        if not _has(module, name)
    ]
    if not missing:
        return None
    return f"mitmproxy {version('mitmproxy')} does not fit: it lacks {', '.join(missing)}"


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
