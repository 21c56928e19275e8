"""The backend that stands in for all vendors in playback.

The responses are in the client's wire already, so they pass as they are. A server on loopback
sends them; it is asked at `<base_url>/<number of the recording>`.
"""

from dataclasses import dataclass
from typing import Any

from backends import jsonio
from backends.backend import ModelRequest, UpstreamRequest
from backends.errors import ApiError
from backends.keys import Key
from backends.recordings.cassette import CHAT, EMBEDDINGS, Cassette
from backends.vendors.openai_compatible import OpenAiCall, credential_of


@dataclass(frozen=True, slots=True)
class Playback:
    """A backend whose every answer is recorded."""

    base_url: str
    cassette: Cassette

    title = "The cassette"

    def prepare(self, request: ModelRequest, key: Key) -> OpenAiCall:
        return self._call(CHAT, request, key, "choices")

    def embed(self, request: ModelRequest, key: Key) -> OpenAiCall:
        return self._call(EMBEDDINGS, request, key, "data")

    def _call(self, endpoint: str, request: ModelRequest, key: Key, result: str) -> OpenAiCall:
        """A miss is an answer too, so that it ends a prompt as an upstream's 404 would."""
        try:
            number = self.cassette.find(endpoint, request.chat)
        except ApiError as miss:
            return Missed(self._request("none", request, key), self.title, miss=miss)
        return OpenAiCall(self._request(str(number), request, key), self.title, result)

    def _request(self, path: str, request: ModelRequest, key: Key) -> UpstreamRequest:
        body = request.body or jsonio.encode(request.chat)
        headers = [("content-type", "application/json")]
        return UpstreamRequest("POST", f"{self.base_url}/{path}", headers, body, credential_of(key))

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        return UpstreamRequest("GET", f"{self.base_url}/models", [], credential=credential_of(key))

    def read_models(self, body: bytes) -> tuple[list[dict[str, Any]], None]:
        return jsonio.decode(body)["data"], None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(OpenAiCall):
    """A prompt that has no recorded answer."""

    miss: ApiError

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        return self.miss
