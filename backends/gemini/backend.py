"""Gemini as a backend: so far its list of models; prompts are refused with a clear answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from backends.errors import ApiError, bad_request
from backends.gemini import models
from backends.keys import Key
from backends.protocol import Prompt, UpstreamRequest
from backends.stream import Decoder


@dataclass(frozen=True, slots=True)
class Gemini:
    """`base_url` ends in the API's version, `/v1beta`."""

    base_url: str

    title = "Google Gemini"

    def prepare(self, prompt: Prompt, key: Key) -> UpstreamRequest:
        raise bad_request(
            "Chat with Gemini is not supported yet; use an openrouter: model", "model"
        )

    def decoder(self) -> Decoder:
        raise NotImplementedError("no prompt is ever sent to Gemini")

    def read_whole(self, body: bytes) -> dict[str, Any]:
        raise NotImplementedError("no prompt is ever sent to Gemini")

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        raise NotImplementedError("no prompt is ever sent to Gemini")

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        query = urlencode({"pageSize": 1000} | ({"pageToken": page} if page else {}))
        # Header, never `?key=`: addresses end up in logs.
        return UpstreamRequest(
            "GET", f"{self.base_url}/models?{query}", [], credential=("x-goog-api-key", key.value)
        )

    def read_models(self, body: bytes) -> tuple[Iterable[dict[str, Any]], str | None]:
        return models.read(body)
