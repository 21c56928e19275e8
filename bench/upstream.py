"""The upstream of the benchmark: fixed bytes, and as little work for them as asyncio allows.

Runs as a process of its own (`python -m bench.upstream CONFDIR`), which makes a certificate
authority there and prints its ports: without TLS, and with TLS and HTTP/2 for who wants it.
"""

import asyncio
import re
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from mitmproxy.certs import CertStore

from bench.messages import ANSWERS, BODIES, MODEL, STAMP, Body

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NAME = re.compile(MODEL.encode() + rb"(\w+)")


def _answer(path: bytes, body: bytes) -> tuple[Body, float]:
    """The answer to a request, and the pause between its pieces in seconds."""
    vendor = "gemini" if b"/v1beta/" in path else "openrouter"
    found = _NAME.search(path) or _NAME.search(body)
    name = found[1].decode() if found else "models"
    return BODIES[vendor, name], ANSWERS[name].pause_s if found else 0.0


def _play(pieces: Iterator[bytes], pause_s: float, write: Callable[[bytes], None]) -> None:
    """Write all pieces; if there is a pause between them, each gets the time as its stamp."""
    for piece in pieces:
        if not pause_s:
            write(piece)
            continue
        write(STAMP.sub(b"@%016d" % (time.perf_counter_ns() // 1000), piece))
        asyncio.get_running_loop().call_later(pause_s, _play, pieces, pause_s, write)
        return


class _Http1(asyncio.Protocol):
    """One connection, one request at a time: nobody pipelines here."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls and tls.selected_alpn_protocol() == "h2":
            transport.set_protocol(_Http2(transport))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return
        length = _LENGTH.search(self._received, 0, head_end)
        if len(self._received) < head_end + int(length[1] if length else 0):
            return
        path = bytes(self._received[: self._received.find(b"\r\n")])
        body, pause_s = _answer(path, bytes(self._received[head_end:]))
        self._received.clear()
        _play(_framed(body), pause_s, self._transport.write)


def _framed(body: Body) -> Iterator[bytes]:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {body.content_type}\r\n".encode()
    if len(body.pieces) == 1:
        yield head + b"content-length: %d\r\n\r\n" % len(body.whole) + body.whole
        return
    head += b"transfer-encoding: chunked\r\n\r\n"
    for piece in body.pieces[:-1]:
        yield head + b"%x\r\n%b\r\n" % (len(piece), piece)
        head = b""
    yield b"%x\r\n%b\r\n0\r\n\r\n" % (len(body.pieces[-1]), body.pieces[-1])


class _Http2(asyncio.Protocol):
    """One connection; its answers are small enough never to wait for the client's window."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._http2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._requests: dict[int, tuple[bytes, bytearray]] = {}
        self._http2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._http2.receive_data(data):
            match event:
                case RequestReceived(stream_id=int(number), headers=list(fields)):
                    path = next(bytes(value) for name, value in fields if name == b":path")
                    self._requests[number] = (path, bytearray())
                case DataReceived(stream_id=int(number), data=bytes(piece)):
                    self._requests[number][1].extend(piece)
                    self._http2.acknowledge_received_data(event.flow_controlled_length, number)
                case StreamEnded(stream_id=int(number)):
                    path, body = self._requests.pop(number)
                    self._begin(number, *_answer(path, bytes(body)))
        self._flush()

    def _begin(self, number: int, body: Body, pause_s: float) -> None:
        fields = [(":status", "200"), ("content-type", body.content_type)]
        self._http2.send_headers(number, fields)

        def write(piece: bytes) -> None:
            self._http2.send_data(number, piece, end_stream=not piece)
            self._flush()

        pieces = body.pieces if pause_s else (body.whole,)
        _play(iter([*pieces, b""]), pause_s, write)

    def _flush(self) -> None:
        self._transport.write(self._http2.data_to_send())


def _tls(store: CertStore) -> ssl.SSLContext:
    entry = store.get_cert("127.0.0.1", [x509.IPAddress(ip_address("127.0.0.1"))])
    key = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with NamedTemporaryFile(suffix=".pem") as file:
        file.write(key + entry.cert.to_pem())
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def _serve(confdir: Path) -> None:
    store = CertStore.from_store(confdir, "mitmproxy", 2048)
    loop = asyncio.get_running_loop()
    contexts = None, _tls(store)
    servers = [await loop.create_server(_Http1, "127.0.0.1", ssl=each) for each in contexts]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
