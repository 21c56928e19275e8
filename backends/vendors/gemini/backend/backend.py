"""Gemini as a backend: prompts through its native API, and its list of models."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from backends.backend import ModelRequest, UpstreamRequest
from backends.keys import Key
from backends.vendors.gemini.backend import embeddings, models
from backends.vendors.gemini.backend.call import Asker, GeminiCall
from backends.vendors.gemini.backend.embeddings import EmbeddingsCall
from backends.vendors.gemini.backend.retries import lesson_of
from backends.vendors.gemini.generations import find_model
from backends.vendors.gemini.request.request import Manner
from backends.vendors.gemini.signatures import SignatureMemory
from backends.vendors.gemini.wire import credential_of

API_VERSION = "v1beta"
MAX_LESSONS = 256

_VERSIONED = re.compile(r"/v\d+[a-z0-9]*$")


@dataclass(frozen=True, slots=True)
class Gemini:
    """`base_url` may lack the API's version. `clock` gives seconds since the epoch.

    `memory` keeps the thought signatures of all sessions, and `lessons` in what manner a model that
    had refused another one has answered, by its name.
    """

    base_url: str
    clock: Callable[[], float] = time.time
    memory: SignatureMemory = field(default_factory=SignatureMemory)
    lessons: dict[str, Manner] = field(default_factory=dict)

    title = "Google Gemini"

    def prepare(self, prompt: ModelRequest, key: Key) -> GeminiCall:
        model = find_model(prompt.model)
        asker = Asker(
            root=self.root,
            model=model,
            prompt=prompt,
            key=key,
            created=int(self.clock()),
            memory=self.memory,
            learn=lambda manner: self._learn(model.name, manner),
        )
        return asker.put(self.lessons.get(model.name, Manner()))

    def embed(self, prompt: ModelRequest, key: Key) -> EmbeddingsCall:
        return embeddings.prepare(prompt, find_model(prompt.model), self.root, key)

    @property
    def root(self) -> str:
        """The API's address with its version."""
        url = self.base_url.rstrip("/")
        return url if _VERSIONED.search(url) else f"{url}/{API_VERSION}"

    def _learn(self, name: str, manner: Manner) -> None:
        lesson = lesson_of(manner)
        if lesson == self.lessons.get(name, Manner()):
            return
        if len(self.lessons) >= MAX_LESSONS:
            del self.lessons[next(iter(self.lessons))]
        self.lessons[name] = lesson

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        query = urlencode({"pageSize": 1000} | ({"pageToken": page} if page else {}))
        return UpstreamRequest(
            "GET", f"{self.root}/models?{query}", [], credential=credential_of(key)
        )

    def read_models(self, body: bytes) -> tuple[Iterable[dict[str, Any]], str | None]:
        return models.read(body)
