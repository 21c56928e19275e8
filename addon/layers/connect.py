"""Connects to an upstream, and fills in the fields of mitmproxy's `Server`.

mitmweb and addons read these fields. A reused connection gets the values of its first use.
"""

import asyncio
import socket
import ssl
import sys
import time
from contextlib import suppress
from typing import cast

from cryptography import x509
from mitmproxy.certs import Cert
from mitmproxy.connection import Server, TlsVersion

from addon.layers.pool import PoolKey, RawConnection
from addon.layers.tls import ALPN

SERVER_FIELDS = (
    "peername",
    "sockname",
    "timestamp_start",
    "timestamp_tcp_setup",
    "timestamp_tls_setup",
    "alpn",
    "alpn_offers",
    "certificate_list",
    "cipher",
    "cipher_list",
    "tls_version",
)


async def connect(key: PoolKey, server: Server) -> RawConnection:
    """Open a connection and fill in `server`. Raises OSError or ValueError if that fails."""
    server.timestamp_start = time.time()
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: RawConnection(key), *key.address, local_addr=key.local
    )
    writer = connection.writer
    try:
        server.timestamp_tcp_setup = time.time()
        server.peername = writer.get_extra_info("peername")
        server.sockname = writer.get_extra_info("sockname")
        if key.tls:
            await writer.start_tls(key.tls, server_hostname=server.sni)
            _set_tls_info(server, key.tls, writer.get_extra_info("ssl_object"))
    except BaseException:
        connection.close()
        raise
    connection.server_info = {name: getattr(server, name) for name in SERVER_FIELDS}
    return connection


def notice_death(writer: asyncio.StreamWriter, within_s: float) -> None:
    """Make the system close the connection about `within_s` after the network stopped answering.

    Without this a request on a dead connection (another wifi, a VPN, sleep) waits for the read
    timeout. Both mechanisms need only the kernel of the peer, so a slow response is safe:

    - TCP_USER_TIMEOUT (Linux) limits how long sent data may stay unacknowledged.
    - Keepalive probes are sent while nothing is in flight. On Linux TCP_USER_TIMEOUT overrules
      their count, and one lost probe after it would be fatal. So the times have the proportions
      of 10 s, 5 s and 3 probes, and all three probes fit into `within_s`.
    """
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    interval_s = max(1, round(within_s / 5))
    values = {
        "TCP_KEEPIDLE": 2 * interval_s,
        "TCP_KEEPALIVE": 2 * interval_s,  # macOS has this name for it
        "TCP_KEEPINTVL": interval_s,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 5 * interval_s * 1000,
    }
    with suppress(OSError):  # it is closed already, which an event reports
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in values.items():
            if (option := getattr(socket, name, None)) is not None:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)


def copy_server_info(server: Server, connection: RawConnection) -> None:
    """Fill in `server` for a reused connection."""
    for name, value in connection.server_info.items():
        setattr(server, name, value)


def _set_tls_info(server: Server, context: ssl.SSLContext, connection: ssl.SSLObject) -> None:
    server.timestamp_tls_setup = time.time()
    server.alpn_offers = [ALPN.encode()]
    server.alpn = (connection.selected_alpn_protocol() or "").encode()
    server.cipher_list = [each["name"] for each in context.get_ciphers()]
    server.cipher = (connection.cipher() or ("",))[0]
    server.tls_version = cast(TlsVersion, connection.version())
    server.certificate_list = _certificates(connection)


def _certificates(connection: ssl.SSLObject) -> list[Cert]:
    """The chain as the upstream sent it; Python 3.12 gives only its first certificate."""
    if sys.version_info >= (3, 13):
        sent = connection.get_unverified_chain()
    else:
        sent = [connection.getpeercert(binary_form=True) or b""]
    chain = []
    for each in sent:
        try:
            chain.append(Cert(x509.load_der_x509_certificate(each)))
        except ValueError:
            continue  # stock mitmproxy skips those, too
    return chain
