"""The ways to a server: a base URL with or without TLS, or an HTTPS proxy with TLS inside."""

import asyncio
import base64
import socket
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.messages import CLIENT_KEY

_PASSWORD = base64.b64encode(f"x:{CLIENT_KEY}".encode()).decode()


class WrongAnswer(Exception):
    """An answer was not what the upstream had sent, or there was none."""


@dataclass(frozen=True)
class Address:
    """Where requests go: a port of loopback, which speaks TLS if a file says whom to trust.

    `authority` is the host and port that they are for. If `is_proxy`, a tunnel to there is asked
    for first.
    """

    port: int
    authority: str
    trusted: Path | None = None
    is_proxy: bool = False


async def connected[P: asyncio.Protocol](make: type[P], address: Address, alpn: str) -> P:
    """A new connection; OSError if nobody listens, WrongAnswer if there is no tunnel."""
    connection = socket.create_connection(("127.0.0.1", address.port))  # on loopback: at once
    connection.setblocking(False)
    if address.is_proxy:
        await _dig(connection, address.authority)
    _, protocol = await asyncio.get_running_loop().create_connection(
        make,
        sock=connection,
        ssl=_tls(address.trusted, alpn) if address.trusted else None,
        server_hostname=address.authority.rpartition(":")[0] if address.trusted else None,
    )
    return protocol


async def _dig(connection: socket.socket, authority: str) -> None:
    """Ask for a tunnel, as a client with HTTPS_PROXY does."""
    loop = asyncio.get_running_loop()
    request = (
        f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n"
        f"proxy-authorization: Basic {_PASSWORD}\r\n\r\n"
    )
    await loop.sock_sendall(connection, request.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n") and (data := await loop.sock_recv(connection, 4096)):
        head += data
    if b" 200 " not in head:
        connection.close()
        raise WrongAnswer(f"no tunnel to {authority}: {head.decode('latin-1')}")


@cache
def _tls(trusted: Path, alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols([alpn])
    return context
