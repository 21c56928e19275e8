"""Builds calls and model list requests for Gemini's native API."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from backends.backend import ModelRequest, UpstreamRequest
from backends.keys import Key
from backends.vendors.gemini.backend import embeddings, models
from backends.vendors.gemini.backend.call import CallFactory, GeminiCall
from backends.vendors.gemini.backend.embeddings import EmbeddingsCall
from backends.vendors.gemini.backend.retries import model_variant
from backends.vendors.gemini.generations import find_model
from backends.vendors.gemini.request.request import RequestVariant
from backends.vendors.gemini.signatures import SignatureMemory
from backends.vendors.gemini.wire import credential_of

API_VERSION = "v1beta"
MAX_VARIANTS = 256

_VERSIONED = re.compile(r"/v\d+[a-z0-9]*$")


@dataclass(frozen=True, slots=True)
class Gemini:
    """Gemini's native API as a `Backend`."""

    base_url: str
    """With or without the API version."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    memory: SignatureMemory = field(default_factory=SignatureMemory)
    """Thought signatures of all sessions."""
    variants: dict[str, RequestVariant] = field(default_factory=dict)
    """By model name: the request variant that a model accepted after it had refused the default."""

    title = "Google Gemini"

    def prepare(self, request: ModelRequest, key: Key) -> GeminiCall:
        model = find_model(request.model)
        factory = CallFactory(
            root=self.root,
            model=model,
            request=request,
            key=key,
            created=int(self.clock()),
            memory=self.memory,
            remember=lambda variant: self._remember(model.name, variant),
        )
        return factory.build(self.variants.get(model.name, RequestVariant()))

    def embed(self, request: ModelRequest, key: Key) -> EmbeddingsCall:
        return embeddings.prepare(request, find_model(request.model), self.root, key)

    @property
    def root(self) -> str:
        """The base URL with the API version."""
        url = self.base_url.rstrip("/")
        return url if _VERSIONED.search(url) else f"{url}/{API_VERSION}"

    def _remember(self, name: str, variant: RequestVariant) -> None:
        learned = model_variant(variant)
        if learned == self.variants.get(name, RequestVariant()):
            return
        if len(self.variants) >= MAX_VARIANTS:
            del self.variants[next(iter(self.variants))]
        self.variants[name] = learned

    def models_request(self, key: Key, page: str | None) -> UpstreamRequest:
        query = urlencode({"pageSize": 1000} | ({"pageToken": page} if page else {}))
        return UpstreamRequest(
            "GET", f"{self.root}/models?{query}", [], credential=credential_of(key)
        )

    def read_models(self, body: bytes) -> tuple[Iterable[dict[str, Any]], str | None]:
        return models.read(body)
