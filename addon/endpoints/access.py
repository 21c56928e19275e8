"""Access control: client key, proxy password, destinations, credentials of clients."""

import asyncio
import base64
import binascii
import hmac
import re
import socket
from weakref import WeakSet

from mitmproxy import http
from mitmproxy.connection import Client, Server

from addon.endpoints import names
from backends.backend import Headers
from backends.errors import ApiError, bad_request
from backends.keys import Key

# Credentials of a client, for the proxy or for the host that it addresses.
CREDENTIAL_HEADERS = (
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
)
_CREDENTIAL_FIELDS = frozenset(name.encode() for name in CREDENTIAL_HEADERS)
_RESPONSE_CREDENTIALS = ("set-cookie",)
_KEY_IN_QUERY = re.compile(r"([?&](?:key|api[-_]?key|access_token|token)=)[^&#]+", re.IGNORECASE)
_HIDDEN = "(hidden)"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """Checks clients and destinations. Without a `client_key` every client is admitted."""

    def __init__(self, client_key: Key | None) -> None:
        self._secret = client_key.value.encode() if client_key else None
        self._authenticated: WeakSet[Client] = WeakSet()
        self.is_exposed = True
        """The proxy listens on more than loopback. Assumed until mitmproxy's options are known."""
        self.upstreams: frozenset[tuple[str, int]] = frozenset()
        """Host and port of each backend; always allowed as destinations."""

    def check_client_key(self, flow: http.HTTPFlow) -> None:
        """Raises ApiError (401) unless the request or its tunnel has sent the client key."""
        if self._secret is None or flow.client_conn in self._authenticated:
            return
        shown = flow.request.headers.get("authorization")
        scheme, _, value = (shown or "").partition(" ")
        if scheme.lower() == "bearer" and self._is_secret(value.strip()):
            return
        if self._shows_password(flow.request):
            return
        raise ApiError(
            401,
            "Incorrect API key provided: send the proxy's client key as 'Authorization: Bearer "
            "KEY', or as the password in HTTPS_PROXY"
            if shown
            else "You didn't provide an API key: send the proxy's client key in an Authorization "
            "header ('Authorization: Bearer KEY'), or as the password in HTTPS_PROXY",
            type="invalid_request_error",
        )

    def check_proxy_use(self, flow: http.HTTPFlow) -> None:
        """Raises ApiError (407) unless the client may reach other hosts.

        On loopback it may, unless it sends a wrong password. A right one admits all later requests
        on the same connection.
        """
        if self._secret is None or flow.client_conn in self._authenticated:
            return
        if self._shows_password(flow.request):
            self._authenticated.add(flow.client_conn)
        elif self.is_exposed or "proxy-authorization" in flow.request.headers:
            raise ApiError(
                407,
                "Proxy password required: use HTTPS_PROXY=http://x:CLIENT_KEY@host:port",
                code="invalid_api_key",
                headers=[("proxy-authenticate", 'Basic realm="llm-proxy"')],
            )

    async def destination_error(self, host: str, port: int) -> str | None:
        """Return why the proxy must not connect to `host`, or None if it may.

        Other machines' clients must not reach services on the proxy's own machine. Names are
        resolved here, and may resolve differently when connecting: see `connection_error`.
        """
        if not self.is_exposed or (host, port) in self.upstreams:
            return None
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return None  # connecting fails with a better message
        if any(_is_own_address(str(address[0])) for *_, address in found):
            return f"{host}:{port} is on the proxy's own machine"
        return None

    def connection_error(self, server: Server) -> str | None:
        """Return why nothing may be sent on a new connection, or None."""
        address, peer, local = server.address, server.peername, server.sockname
        if not self.is_exposed or not address or address[:2] in self.upstreams:
            return None
        if peer and local and not is_local_peer(peer[0], local[0]):
            return None
        return f"{address[0]}:{address[1]} is on the proxy's own machine"

    def strip_client_key(self, request: http.Request) -> None:
        """Remove the proxy's own credentials from a request that passes through."""
        request.headers.pop("proxy-authorization", None)
        if self._secret is not None:
            secret = self._secret.decode()
            for name in [n for n, value in request.headers.items(multi=True) if secret in value]:
                del request.headers[name]

    def _shows_password(self, request: http.Request) -> bool:
        scheme, _, value = request.headers.get("proxy-authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            decoded = base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return False
        return self._is_secret(decoded.partition(":")[2])

    def _is_secret(self, text: str) -> bool:
        data = text.encode("utf-8", "surrogateescape")
        return self._secret is not None and hmac.compare_digest(data, self._secret)


def client_headers(request: http.Request) -> Headers:
    """The headers of a request without its credentials, names in lower case."""
    return [
        (name.lower().decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
        for name, value in request.headers.fields
        if name.lower() not in _CREDENTIAL_FIELDS
    ]


def drop_credentials(request: http.Request) -> None:
    """Remove all credentials from a claimed request, before it is shown or saved."""
    fields = request.headers.fields
    request.headers.fields = tuple(f for f in fields if f[0].lower() not in _CREDENTIAL_FIELDS)


def hide_credentials(flow: http.HTTPFlow) -> None:
    """Replace the credentials of a finished flow that passed through."""
    for message, fields in (
        (flow.request, CREDENTIAL_HEADERS),
        (flow.response, _RESPONSE_CREDENTIALS),
    ):
        for name in fields:
            if message and name in message.headers:
                message.headers[name] = _HIDDEN
    flow.request.path = _KEY_IN_QUERY.sub(rf"\g<1>{_HIDDEN}", flow.request.path)


def check_host(request: http.Request) -> None:
    """Raises ApiError (400) if servers could disagree about the host of a request."""
    hosts = request.headers.get_all("host")
    if len(hosts) > 1:
        raise bad_request("More than one Host header")
    if hosts and request.authority and (request.is_http2 or request.is_http3):
        named = {names.authority(each, request.scheme) for each in (*hosts, request.authority)}
        if len(named) > 1:
            raise bad_request("The Host header and :authority differ")


def is_own_address(flow: http.HTTPFlow) -> bool:
    """The client addresses the proxy itself. `addon.layers` completes requests without a host."""
    host, port = flow.client_conn.sockname[:2]
    name = names.host_name(flow.request.host)
    return flow.request.port == port and name in {host, *_LOOPBACK_NAMES}


def is_decrypted(flow: http.HTTPFlow) -> bool:
    """The proxy has decrypted the client's TLS connection."""
    return flow.request.scheme == "https" and flow.client_conn.tls_established


def is_local_peer(peer: str, local: str) -> bool:
    """A connection ends on this machine, judged by the addresses of both its ends."""
    ip = names.ip_address(peer)
    return ip is None or ip.is_loopback or ip.is_unspecified or ip == names.ip_address(local)


def _is_own_address(address: str) -> bool:
    """Loopback, unspecified, or one of this machine's interfaces."""
    ip = names.ip_address(address)
    if ip is None:
        return False
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(ip), 9))  # sends nothing; the kernel picks the local address
        except OSError:
            return ip.is_loopback or ip.is_unspecified
        return is_local_peer(str(ip), str(probe.getsockname()[0]))
