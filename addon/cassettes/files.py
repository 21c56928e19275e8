"""Cassettes: files of mitmproxy's flows that exchanges are recorded in, and read from to be played.

Such a file also opens in mitmweb; one that mitmproxy itself has saved can be played as well.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.exceptions import FlowReadException
from mitmproxy.flow import Flow
from mitmproxy.io import FlowReader, FlowWriter

from addon.exchange import flow_record
from addon.exchange.response_headers import from_upstream
from backends import jsonio, openai_wire
from backends.dialects.registry import DIALECTS
from backends.errors import ApiError
from backends.model_id import BackendName
from backends.recordings.cassette import CHAT, EMBEDDINGS, Cassette, Recording
from commands.config.levels import ConfigError

logger = logging.getLogger(__name__)

_READERS: Mapping[str, Callable[[bytes], dict[str, Any]]] = {
    EMBEDDINGS: openai_wire.read_embeddings,
    # A prompt is kept as a chat, whatever dialect the client speaks.
    **dict.fromkeys(DIALECTS, openai_wire.read_chat),
}


class Recorder:
    """Appends flows to a file: what is in it has cost money, and is never overwritten.

    Raises ConfigError if the file cannot be written, or nothing could be read behind what it has.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_failed = False
        try:
            path.open("ab").close()
            deque(_flows(path), maxlen=0)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be recorded to: {error.strerror}") from None
        except FlowReadException:
            raise ConfigError(
                f"{path}: cannot be recorded to: it is no file of flows, or the last is cut off"
            ) from None

    def add(self, flow: http.HTTPFlow) -> None:
        """Append a flow, which is on disk then. What cannot be written ends the recording.

        Behind half a flow no other could be read.
        """
        if self._has_failed:
            return
        try:
            with self._path.open("ab") as file:
                FlowWriter(file).add(flow)
        except OSError as error:
            self._has_failed = True
            logger.error("Nothing is recorded to %s any more: %s", self._path, error.strerror)


def load(path: Path, known: Collection[BackendName]) -> Cassette:
    """What can be played of a file. Raises ConfigError if that is nothing."""
    cassette = Cassette(path.name, known)
    try:
        for flow in _flows(path):
            if isinstance(flow, http.HTTPFlow) and (request := _request_of(flow)):
                dialect = DIALECTS.get(flow.metadata["llm_endpoint"])
                kind = CHAT if dialect else EMBEDDINGS
                # An answer is kept as a chat's: in playback the client's dialect writes it anew.
                to_completion = dialect.from_response if dialect else None
                cassette.add(kind, request, _recording_of(flow, to_completion))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be played back: {error.strerror}") from None
    except FlowReadException as error:
        if not cassette.recordings:
            raise ConfigError(f"{path}: cannot be played back: {error}") from None
        logger.warning(
            "%s is cut off or broken: only what is before is played (requests: %d)",
            path,
            len(cassette.recordings),
        )
    if not cassette.recordings:
        raise ConfigError(f"{path}: cannot be played back: no answer of a model is in it")
    return cassette


def _flows(path: Path) -> Iterator[Flow]:
    """The flows of a file; FlowReadException where it goes on with something else."""
    with path.open("rb") as file:
        if file.peek(4).removeprefix(b"\xef\xbb\xbf").startswith(b"{"):
            raise FlowReadException("it is a HAR file")
        try:
            yield from FlowReader(file).stream()
        except (LookupError, AssertionError, MemoryError) as error:  # of a flow gone wrong
            raise FlowReadException(f"invalid flow: {error!r}") from error


def _request_of(flow: http.HTTPFlow) -> dict[str, Any] | None:
    """What the client asked a model, without commands and secrets; None if this is no such flow."""
    read = _READERS.get(str(flow.metadata.get("llm_endpoint")))
    if read is None or "llm_backend" not in flow.metadata:
        return None
    asked = flow_record.load(flow, flow_record.PROMPT) or flow_record.load(
        flow, flow_record.CLIENT_REQUEST
    )
    try:
        return read(asked or flow.request.raw_content or b"")
    except ApiError:
        return None


def _recording_of(
    flow: http.HTTPFlow, to_completion: Callable[[bytes], dict[str, Any] | None] | None
) -> Recording:
    answer = flow.response or http.Response.make(502)
    status, fields, body = answer.status_code, from_upstream(answer), answer.raw_content or b""
    if status == 200 and to_completion:
        completion = _read(to_completion, body)
        status, fields = 200 if completion else 502, [("content-type", "application/json")]
        body = jsonio.encode(completion)
    asked_at = flow.request.timestamp_end or answer.timestamp_start
    answered_at = answer.timestamp_end or answer.timestamp_start
    return Recording(
        status,
        fields,
        body,
        model=flow.metadata.get("llm_model", ""),
        error=flow.metadata.get("llm_error"),
        first_s=flow.metadata.get("llm_ttft_s", answer.timestamp_start - asked_at),
        total_s=flow.metadata.get("llm_total_s", answered_at - asked_at),
    )


def _read(read: Callable[[bytes], dict[str, Any] | None], body: bytes) -> dict[str, Any] | None:
    try:
        return read(body)
    except (ApiError, LookupError, TypeError, ValueError):
        return None  # from a file that somebody has changed
