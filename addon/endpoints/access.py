"""Access control: client key, proxy password, destinations, credentials of clients."""

import asyncio
import base64
import binascii
import hmac
import socket
from urllib.parse import unquote_to_bytes
from weakref import WeakSet

from mitmproxy import http
from mitmproxy.connection import Client, Server

from addon.endpoints import names
from addon.exchange.credentials import HIDDEN, ClientCredentials
from backends.errors import ApiError, bad_request
from backends.keys import Key

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """Checks clients and destinations. Without a `client_key` every client is admitted."""

    def __init__(self, client_key: Key | None) -> None:
        self._secret = client_key.value.encode() if client_key else None
        self._forms = _forms(self._secret) if self._secret else frozenset[bytes]()
        self._authenticated: WeakSet[Client] = WeakSet()
        self.is_exposed = True
        """The proxy listens on more than loopback. Assumed until mitmproxy's options are known."""
        self.upstreams: frozenset[tuple[str, int]] = frozenset()
        """Host and port of each backend; always allowed as destinations."""

    def check_client_key(self, client: Client, credentials: ClientCredentials) -> None:
        """Raises ApiError (401) unless the request or its tunnel has sent the client key."""
        if self._secret is None or client in self._authenticated:
            return
        shown = credentials.header("authorization")
        scheme, _, value = (shown or "").partition(" ")
        if scheme.lower() == "bearer" and self._is_secret(value.strip()):
            return
        if self._is_password(credentials.header("proxy-authorization")):
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

    def check_proxy_use(self, client: Client, credentials: ClientCredentials) -> None:
        """Raises ApiError (407) unless the client may reach other hosts.

        On loopback it may, unless it sends a wrong password. A right one admits all later requests
        on the same connection.
        """
        if self._secret is None or client in self._authenticated:
            return
        shown = credentials.header("proxy-authorization")
        if self._is_password(shown):
            self._authenticated.add(client)
        elif self.is_exposed or shown is not None:
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

    def strip_client_key(
        self, request: http.Request, credentials: ClientCredentials
    ) -> ClientCredentials:
        """Remove the proxy's own credentials from a request that passes through.

        Returns the client's others. Raises ApiError (400) if the URL holds the client key.
        """
        credentials.restore(request)
        request.headers.pop("proxy-authorization", None)
        fields = request.headers.fields
        request.headers.fields = tuple(each for each in fields if not self._is_in(each[1]))
        if self._is_in(request.data.path):
            request.data.path = b"/" + HIDDEN
            ClientCredentials.take(request)
            raise bad_request("The URL holds the proxy's client key, which is only for the proxy")
        return ClientCredentials.take(request)

    def _is_in(self, text: bytes) -> bool:
        """The text holds the client key: as it is, in base64 (as Basic does), or percent-coded."""
        decoded = unquote_to_bytes(text)
        texts = (text, decoded, unquote_to_bytes(decoded))
        return any(form in each for form in self._forms for each in texts)

    def _is_password(self, shown: str | None) -> bool:
        scheme, _, value = (shown or "").partition(" ")
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


def _forms(secret: bytes) -> frozenset[bytes]:
    """The secret, and what any base64 text that encodes it contains."""
    forms = {secret}
    for offset in range(3):
        # A character holds 6 bits. Those that hold bits of other bytes may be any.
        start, end = (0, 2, 3)[offset], 8 * (offset + len(secret)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(bytes(offset) + secret)[start:end])
    return frozenset(forms)


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
