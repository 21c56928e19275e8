"""Requests that the server received, and scripted responses as a sequence of steps.

These are values only; `server` plays them. A script states every byte, so a test can say exactly
what an upstream does wrong, and when.
"""

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, Self

Json = dict[str, Any]
Headers = tuple[tuple[str, str], ...]
Framing = Literal["chunked", "length", "eof", "raw"]


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it arrived. Header names are in lower case, `path` includes the query."""

    connection: int
    method: str
    path: str
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of this (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


class Gate:
    """Holds responses until it is opened, from any thread."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        """Set when a response waits here."""
        self.client_gone = threading.Event()
        """Set when a connection closed while its response waited here."""
        self._opened: Future[None] = Future()

    def open(self) -> None:
        with suppress(InvalidStateError):  # it is open already
            self._opened.set_result(None)

    async def wait(self) -> None:
        """Wait until the gate is open."""
        self.reached.set()
        try:
            # Without the shield one closed connection would cancel the gate for all others.
            await asyncio.shield(asyncio.wrap_future(self._opened))
        except asyncio.CancelledError:
            self.client_gone.set()
            raise


class Peer(Protocol):
    """What a step may do to the connection."""

    async def send(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def reset(self) -> None: ...


class Step(Protocol):
    async def play(self, peer: Peer) -> None: ...


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes of the body in a write by themselves: one chunk if the body is chunked."""

    data: bytes

    async def play(self, peer: Peer) -> None:
        await peer.send(self.data)


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float

    async def play(self, peer: Peer) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Wait:
    gate: Gate

    async def play(self, peer: Peer) -> None:
        await self.gate.wait()


@dataclass(frozen=True, slots=True)
class Hang(Wait):
    """Wait until the client closes the connection."""

    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection (FIN) at this point of the response."""

    async def play(self, peer: Peer) -> None:
        peer.close()


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (RST) at this point of the response."""

    async def play(self, peer: Peer) -> None:
        peer.reset()


def _chunk(data: bytes) -> bytes:
    # An empty chunk would end the body.
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class _Frame(NamedTuple):
    header: tuple[str, str]
    """Its value may contain `{length}`: the size of the whole body."""
    encode: Callable[[bytes], bytes]
    end: tuple[Step, ...]


_FRAMES = {
    "chunked": _Frame(("transfer-encoding", "chunked"), _chunk, (Send(b"0\r\n\r\n"),)),
    "length": _Frame(("content-length", "{length}"), bytes, ()),
    "eof": _Frame(("connection", "close"), bytes, (Cut(),)),
}


@dataclass(frozen=True)
class ScriptedResponse:
    """A response, or a fault in place of one.

    With framing `length` the content-length counts every `Send`, also after a `Cut`. With `raw` the
    steps are sent as they are, without head and framing.
    """

    status: int = 200
    headers: Headers = ()
    steps: tuple[Step, ...] = ()
    framing: Framing = "chunked"

    @classmethod
    def raw(cls, *steps: bytes | Step) -> Self:
        """Bytes as they are on the wire, from the status line on."""
        return cls(
            steps=tuple(Send(step) if isinstance(step, bytes) else step for step in steps),
            framing="raw",
        )

    @classmethod
    def reset_before_headers(cls) -> Self:
        return cls.raw(Reset())

    @classmethod
    def close_before_headers(cls) -> Self:
        return cls.raw(Cut())

    @classmethod
    def hang(cls) -> Self:
        return cls.raw(Hang())

    @cached_property
    def wire_steps(self) -> tuple[Step, ...]:
        """The steps with head and framing; cached, since a response may be sent often."""
        if self.framing == "raw":
            return self.steps
        frame = _FRAMES[self.framing]
        framed = [
            Send(frame.encode(step.data)) if isinstance(step, Send) else step for step in self.steps
        ]
        head = self._head(frame)
        if framed and isinstance(framed[0], Send):
            # One write less for most responses, as real servers do.
            framed[0] = Send(head + framed[0].data)
        else:
            framed.insert(0, Send(head))
        return (*framed, *frame.end)

    def _head(self, frame: _Frame) -> bytes:
        length = sum(len(step.data) for step in self.steps if isinstance(step, Send))
        name, value = frame.header
        reason = http.client.responses.get(self.status, "Unknown")
        lines = [
            f"HTTP/1.1 {self.status} {reason}",
            *(f"{key}: {content}" for key, content in self.headers),
            f"{name}: {value.format(length=length)}",
        ]
        return "\r\n".join((*lines, "", "")).encode("latin-1")


def to_json(value: object) -> bytes:
    """Compact JSON, with raw UTF-8 as vendors send it; a lone surrogate becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def to_event(data: Json | str) -> bytes:
    """One SSE event."""
    payload = data.encode("utf-8", "replace") if isinstance(data, str) else to_json(data)
    return b"data: %b\n\n" % payload


def json_answer(
    value: object, status: int = 200, headers: Iterable[tuple[str, str]] = ()
) -> ScriptedResponse:
    return ScriptedResponse(
        status=status,
        headers=(("content-type", "application/json"), *headers),
        steps=(Send(to_json(value)),),
        framing="length",
    )


def sse_answer(
    *events: Json | str | bytes | Step,
    done: bool = True,
    headers: Iterable[tuple[str, str]] = (),
) -> ScriptedResponse:
    """A stream: objects and texts become events, bytes are sent as they are, steps are played.

    With `done` it ends with `[DONE]`.
    """
    steps = [_to_step(event) for event in (*events, *(("[DONE]",) if done else ()))]
    return ScriptedResponse(
        headers=(("content-type", "text/event-stream"), *headers), steps=tuple(steps)
    )


def _to_step(event: Json | str | bytes | Step) -> Step:
    if isinstance(event, dict | str):
        return Send(to_event(event))
    return Send(event) if isinstance(event, bytes) else event


def half_of(answer: ScriptedResponse) -> ScriptedResponse:
    """The first half of a response's steps; of a single step, the first half of its bytes."""
    match answer.steps:
        case (Send(data),):
            steps: tuple[Step, ...] = (Send(data[: len(data) // 2]),)
        case _:
            steps = answer.steps[: len(answer.steps) // 2]
    return replace(answer, steps=steps, framing="chunked")


def html_answer(status: int, text: str) -> ScriptedResponse:
    """A page as a CDN or gateway in front of a vendor sends it."""
    page = f"<html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>"
    return ScriptedResponse(
        status=status,
        headers=(("content-type", "text/html; charset=utf-8"),),
        steps=(Send(page.encode()),),
        framing="length",
    )
