"""Who may use the proxy, and for what: client key, tunnels, destinations."""

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

# What a client may show as its credential, to us or to the vendor it believes to talk to.
CREDENTIAL_HEADERS = (
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
)
_CREDENTIAL_FIELDS = frozenset(name.encode() for name in CREDENTIAL_HEADERS)
_ANSWERED_CREDENTIALS = ("set-cookie",)
_KEY_IN_QUERY = re.compile(r"([?&](?:key|api[-_]?key|access_token|token)=)[^&#]+", re.IGNORECASE)
_HIDDEN = "(hidden)"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """The rules of admission. `client_key` None: everybody on this machine is let in.

    `is_exposed`: we listen on more than loopback; until that is known, the stricter rule holds.
    `upstreams` are the (host, port) that we ourselves connect to.
    """

    def __init__(self, client_key: Key | None) -> None:
        self._secret = client_key.value.encode() if client_key else None
        self._authenticated: WeakSet[Client] = WeakSet()
        self.is_exposed = True
        self.upstreams: frozenset[tuple[str, int]] = frozenset()

    def check_client_key(self, flow: http.HTTPFlow) -> None:
        """ApiError 401 unless the request, or the tunnel it came through, shows the client key."""
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
        """ApiError 407 unless the client may go to other hosts through us.

        On loopback it may, as long as it shows no wrong password; a right one admits everything
        that comes over the same connection.
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

    async def refused_destination(self, host: str, port: int) -> str | None:
        """Why a tunnel or unclaimed request may not go to `host`, if so.

        For strangers the proxy must be no door to the services of its own machine. Resolves names;
        as they may resolve otherwise a moment later, `refused_connection` has the last word.
        """
        if not self.is_exposed or (host, port) in self.upstreams:
            return None
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return None  # connecting will fail with a better message
        if any(_is_own_address(str(address[0])) for *_, address in found):
            return f"{host}:{port} is on the proxy's own machine"
        return None

    def refused_connection(self, server: Server) -> str | None:
        """Why nothing may be sent over a connection that has just been made, if so."""
        address, peer, local = server.address, server.peername, server.sockname
        if not self.is_exposed or not address or address[:2] in self.upstreams:
            return None
        if peer and local and not leads_home(peer[0], local[0]):
            return None
        return f"{address[0]}:{address[1]} is on the proxy's own machine"

    def forget_own_key(self, request: http.Request) -> None:
        """Take what is meant for us off a request that goes on to somebody else."""
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
        given = text.encode("utf-8", "surrogateescape")
        return self._secret is not None and hmac.compare_digest(given, self._secret)


def client_headers(request: http.Request) -> Headers:
    """The headers of a request without its credentials, names in lower case."""
    return [
        (name.lower().decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
        for name, value in request.headers.fields
        if name.lower() not in _CREDENTIAL_FIELDS
    ]


def drop_credentials(request: http.Request) -> None:
    """Take every credential off a claimed request, before anything can see or save it."""
    fields = request.headers.fields
    request.headers.fields = tuple(f for f in fields if f[0].lower() not in _CREDENTIAL_FIELDS)


def hide_credentials(flow: http.HTTPFlow) -> None:
    """Of a request that went on to somebody else, and is over, the record shows no credential."""
    for message, fields in (
        (flow.request, CREDENTIAL_HEADERS),
        (flow.response, _ANSWERED_CREDENTIALS),
    ):
        for name in fields:
            if message and name in message.headers:
                message.headers[name] = _HIDDEN
    flow.request.path = _KEY_IN_QUERY.sub(rf"\g<1>{_HIDDEN}", flow.request.path)


def check_host(request: http.Request) -> None:
    """ApiError 400 if a request names more than one host, as seen by different servers."""
    given = request.headers.get_all("host")
    if len(given) > 1:
        raise bad_request("More than one Host header")
    if given and request.authority and (request.is_http2 or request.is_http3):
        hosts = {names.authority(each, request.scheme) for each in (*given, request.authority)}
        if len(hosts) > 1:
            raise bad_request("The Host header and :authority differ")


def is_own_address(flow: http.HTTPFlow) -> bool:
    """Whether the client speaks to the proxy itself; `addon.layers` fills in the address."""
    host, port = flow.client_conn.sockname[:2]
    name = names.host_name(flow.request.host)
    return flow.request.port == port and name in {host, *_LOOPBACK_NAMES}


def is_decrypted(flow: http.HTTPFlow) -> bool:
    """Whether we have opened the TLS between the client and the host it believes to talk to."""
    return flow.request.scheme == "https" and flow.client_conn.tls_established


def leads_home(peer: str, local: str) -> bool:
    """Whether a connection's far end is on this machine, by the addresses of both its ends."""
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
        return leads_home(str(ip), str(probe.getsockname()[0]))
