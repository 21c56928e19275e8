"""Gemini as a backend: so far its list of models; prompts are refused with a clear answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from backends.errors import bad_request
from backends.gemini import models
from backends.keys import Key
from backends.protocol import Call, Prompt, UpstreamRequest


@dataclass(frozen=True, slots=True)
class Gemini:
    """`base_url` ends in the API's version, `/v1beta`."""

    base_url: str

    title = "Google Gemini"

    def prepare(self, prompt: Prompt, key: Key) -> Call:
        raise bad_request(
            "Chat with Gemini is not supported yet; use an openrouter: model", "model"
        )

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        query = urlencode({"pageSize": 1000} | ({"pageToken": page} if page else {}))
        # Header, never `?key=`: addresses end up in logs.
        return UpstreamRequest(
            "GET", f"{self.base_url}/models?{query}", [], credential=("x-goog-api-key", key.value)
        )

    def read_models(self, body: bytes) -> tuple[Iterable[dict[str, Any]], str | None]:
        return models.read(body)
