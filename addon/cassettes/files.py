"""Records exchanges to flow files and loads them for playback.

A recorded file also opens in mitmweb, and a file that mitmproxy saved can be played back.
"""

import io
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.exceptions import FlowReadException
from mitmproxy.flow import Flow
from mitmproxy.io import FlowReader, FlowWriter

from addon.exchange import flow_record, private_files
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
    # Prompts are recorded as chat requests, whatever the client's dialect.
    **dict.fromkeys(DIALECTS, openai_wire.read_chat),
}


class Recorder:
    """Appends flows to a file; never overwrites it, because recordings cost money.

    Raises ConfigError if the file cannot be written or its end cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_failed = False
        try:
            private_files.append_to(path).close()
            deque(_flows(path), maxlen=0)
        except OSError as error:
            raise ConfigError(f"{path}: cannot record to it: {error.strerror}") from None
        except FlowReadException:
            raise ConfigError(
                f"{path}: cannot record to it: not a flow file, or its last flow is truncated"
            ) from None

    def add(self, flow: http.HTTPFlow) -> None:
        """Append a flow. The first failure ends the recording, and takes back half a flow.

        Nothing after a truncated flow could be read.
        """
        if self._has_failed:
            return
        data = io.BytesIO()
        FlowWriter(data).add(flow)
        try:
            with private_files.append_to(self._path) as file:
                private_files.write_whole(file, data.getbuffer())
        except OSError as error:
            self._has_failed = True
            logger.error("Recording to %s stopped: %s", self._path, error.strerror)


def load(path: Path, known: Collection[BackendName]) -> Cassette:
    """Load the playable exchanges of a file. Raises ConfigError if there are none."""
    cassette = Cassette(path.name, known)
    try:
        for flow in _flows(path):
            if isinstance(flow, http.HTTPFlow) and (request := _request_of(flow)):
                dialect = DIALECTS.get(flow.metadata["llm_endpoint"])
                kind = CHAT if dialect else EMBEDDINGS
                # Recordings hold chat completions; in playback the client's dialect encodes them.
                to_completion = dialect.from_response if dialect else None
                cassette.add(kind, request, _recording_of(flow, to_completion))
    except OSError as error:
        raise ConfigError(f"{path}: cannot play it back: {error.strerror}") from None
    except FlowReadException as error:
        if not cassette.recordings:
            raise ConfigError(f"{path}: cannot play it back: {error}") from None
        logger.warning(
            "%s is truncated or damaged: playing the requests before that (%d)",
            path,
            len(cassette.recordings),
        )
    if not cassette.recordings:
        raise ConfigError(f"{path}: cannot play it back: it has no response of a model")
    return cassette


def _flows(path: Path) -> Iterator[Flow]:
    """The flows of a file. Raises FlowReadException at the first thing that is not a flow."""
    with path.open("rb") as file:
        if file.peek(4).removeprefix(b"\xef\xbb\xbf").startswith(b"{"):
            raise FlowReadException("a HAR file is not a flow file")
        try:
            yield from FlowReader(file).stream()
        except (LookupError, AssertionError, MemoryError) as error:  # a malformed flow
            raise FlowReadException(f"invalid flow: {error!r}") from error


def _request_of(flow: http.HTTPFlow) -> dict[str, Any] | None:
    """The client's request without commands and secrets; None if it is not a model request."""
    read = _READERS.get(str(flow.metadata.get("llm_endpoint")))
    if read is None or "llm_backend" not in flow.metadata:
        return None
    request = flow_record.load(flow, flow_record.PROMPT) or flow_record.load(
        flow, flow_record.CLIENT_REQUEST
    )
    try:
        return read(request or flow.request.raw_content or b"")
    except ApiError:
        return None


def _recording_of(
    flow: http.HTTPFlow, to_completion: Callable[[bytes], dict[str, Any] | None] | None
) -> Recording:
    response = flow.response or http.Response.make(502)
    status, fields, body = (
        response.status_code,
        from_upstream(response),
        response.raw_content or b"",
    )
    if status == 200 and to_completion:
        completion = _read(to_completion, body)
        status, fields = 200 if completion else 502, [("content-type", "application/json")]
        body = jsonio.encode(completion)
    requested_at = flow.request.timestamp_end or response.timestamp_start
    completed_at = response.timestamp_end or response.timestamp_start
    return Recording(
        status,
        fields,
        body,
        model=flow.metadata.get("llm_model", ""),
        error=flow.metadata.get("llm_error"),
        first_s=flow.metadata.get("llm_ttft_s", response.timestamp_start - requested_at),
        total_s=flow.metadata.get("llm_total_s", completed_at - requested_at),
    )


def _read(read: Callable[[bytes], dict[str, Any] | None], body: bytes) -> dict[str, Any] | None:
    try:
        return read(body)
    except (ApiError, LookupError, TypeError, ValueError):
        return None  # the file may have been edited
