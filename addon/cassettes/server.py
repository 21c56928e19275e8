"""Serves a cassette's responses: in playback the upstream of every request."""

import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Iterator

from addon.loopback.script import (
    Framing,
    Pause,
    ReceivedRequest,
    ScriptedResponse,
    Send,
    Step,
    json_answer,
)
from addon.loopback.server import Server
from backends import sse
from backends.keys import Key
from backends.recordings.backend import Playback
from backends.recordings.cassette import Cassette, Recording
from backends.vendors.openai_compatible import credential_of
from backends.vendors.registry import ConfiguredBackends

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def upstreams(cassette: Cassette, is_timed: bool) -> AsyncIterator[ConfiguredBackends]:
    """Run a server that replaces all upstreams; configured keys are not used.

    With `is_timed` responses take as long as when they were recorded.
    """
    key = Key("CASSETTE", secrets.token_urlsafe(24))
    cassette_server = CassetteServer(cassette, key, is_timed)
    server = Server(cassette_server.respond)
    await server.listen()
    try:
        logger.info(
            "Playing back %s (recorded requests: %d)", cassette.name, len(cassette.recordings)
        )
        backends = {name: Playback(f"{server.url}/{name}", cassette) for name in cassette.backends}
        yield ConfiguredBackends(backends, {name: [key] for name in backends}, is_playback=True)
    finally:
        await server.close()


class CassetteServer:
    """Responds to requests for a recording, by its number, and for the models of a backend."""

    def __init__(self, cassette: Cassette, key: Key, is_timed: bool) -> None:
        self._credential = credential_of(key)
        self._is_timed = is_timed
        self._recordings = cassette.recordings
        self._models = {
            f"/{backend}/models": [_model(name) for name in cassette.models(backend)]
            for backend in cassette.backends
        }

    def respond(self, request: ReceivedRequest) -> ScriptedResponse:
        if self._credential not in request.headers:
            return json_answer({}, 401)
        if request.path in self._models:
            return json_answer({"object": "list", "data": self._models[request.path]})
        number = request.path.rpartition("/")[2]
        if number.isdecimal() and int(number) < len(self._recordings):
            return self._answer(self._recordings[int(number)])
        return json_answer({}, 404)

    def _answer(self, recording: Recording) -> ScriptedResponse:
        steps = _timed(recording) if self._is_timed else [Send(recording.body)]
        # Header bytes outside ASCII pass unchanged.
        headers = (
            (name, value.encode("utf-8", "surrogateescape").decode("latin-1"))
            for name, value in recording.headers
        )
        framing: Framing = "chunked" if recording.is_stream else "length"
        return ScriptedResponse(200, tuple(headers), tuple(steps), framing)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "cassette"}


def _timed(recording: Recording) -> Iterator[Step]:
    """Send a whole response at its recorded end, the events of a stream evenly before theirs."""
    if not recording.is_stream:
        yield Pause(recording.total_s)
        yield Send(recording.body)
        return
    events = sse.Splitter().feed(recording.body)
    pause_s = recording.first_s
    for event in events:
        yield Pause(pause_s)
        yield Send(event)
        pause_s = (recording.total_s - recording.first_s) / max(1, len(events) - 1)
