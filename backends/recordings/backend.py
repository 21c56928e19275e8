"""The backend that stands in for all vendors in playback.

The responses are in the client's wire already, so they pass as they are. A server on loopback
sends them; it is asked at `<base_url>/<number of the recording>`.
"""

from dataclasses import dataclass
from typing import Any

from backends import jsonio
from backends.backend import Prompt, UpstreamRequest
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

    def prepare(self, prompt: Prompt, key: Key) -> OpenAiCall:
        return self._call(CHAT, prompt, key, "choices")

    def embed(self, prompt: Prompt, key: Key) -> OpenAiCall:
        return self._call(EMBEDDINGS, prompt, key, "data")

    def _call(self, endpoint: str, prompt: Prompt, key: Key, result: str) -> OpenAiCall:
        """A miss is an answer too, so that it ends a prompt as an upstream's 404 would."""
        try:
            number = self.cassette.find(endpoint, prompt.chat)
        except ApiError as miss:
            return Missed(self._request("none", prompt, key), self.title, miss=miss)
        return OpenAiCall(self._request(str(number), prompt, key), self.title, result)

    def _request(self, path: str, prompt: Prompt, key: Key) -> UpstreamRequest:
        body = prompt.body or jsonio.encode(prompt.chat)
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
