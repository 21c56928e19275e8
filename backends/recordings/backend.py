"""The backend that replaces all vendors in playback.

A server on loopback sends recording N for a request to `<base_url>/<N>`. Recordings are chat
completions, so they pass unchanged.
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
    """Serves every request from a cassette."""

    base_url: str
    cassette: Cassette

    title = "The cassette"

    def prepare(self, request: ModelRequest, key: Key) -> OpenAiCall:
        return self._call(CHAT, request, key, "choices")

    def embed(self, request: ModelRequest, key: Key) -> OpenAiCall:
        return self._call(EMBEDDINGS, request, key, "data")

    def _call(self, endpoint: str, request: ModelRequest, key: Key, result: str) -> OpenAiCall:
        """The call for a recording. A miss is a response too: it ends a prompt like a 404."""
        try:
            number = self.cassette.find(endpoint, request.chat)
        except ApiError as miss:
            return CassetteMiss(self._request("none", request, key), self.title, miss=miss)
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
class CassetteMiss(OpenAiCall):
    """A request without a recorded response."""

    miss: ApiError

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        return self.miss
