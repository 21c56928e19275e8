"""Caches the model lists of the backends, in OpenAI's format."""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mitmproxy import ctx

from addon import layers
from backends.backend import Backend
from backends.keys import Key
from backends.model_id import BackendName

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

Model = dict[str, Any]

# Limits how long a client waits for a slow backend.
TIMEOUT_S = 10.0
# The pause after a failed request for a list.
RETRY_S = 30.0
# More than any vendor has; stops a list without end.
MAX_PAGES = 50


class ModelCatalog:
    """The models of each backend that has a key."""

    def __init__(self, max_age_s: float) -> None:
        self._max_age_s = max_age_s
        self._sources: Mapping[BackendName, tuple[Backend, Key]] = {}
        self._models: dict[BackendName, list[Model]] = {}
        self._names: dict[BackendName, tuple[str, ...]] = {}
        self._due: dict[BackendName, float] = {}  # when to request the list again; monotonic
        self._lock = asyncio.Lock()

    def set_sources(self, sources: Mapping[BackendName, tuple[Backend, Key]]) -> None:
        """Set the backends and their keys; forget all cached lists."""
        self._sources = sources
        self._models.clear()
        self._names.clear()
        self._due.clear()

    async def list_all(self) -> list[Model]:
        """All models, each id prefixed with its backend. Refreshes lists that are too old.

        A backend that fails keeps its last list.
        """
        async with self._lock:
            now = time.monotonic()
            due = [name for name in self._sources if self._due.get(name, now) <= now]
            if due:
                await asyncio.gather(*map(self._refresh, due))
        return [model for name in self._sources for model in self._models.get(name, ())]

    def names_of(self, name: BackendName) -> tuple[str, ...] | None:
        """The vendor's names of a backend's models; None until a list has arrived."""
        return self._names.get(name)

    async def _refresh(self, name: BackendName) -> None:
        import httpx  # only here: importing it takes a fifth of the start

        backend, key = self._sources[name]
        try:
            # Settings of the environment are ignored: HTTPS_PROXY may name this proxy.
            async with (
                httpx.AsyncClient(verify=_trust(), trust_env=False, timeout=TIMEOUT_S) as client,
                asyncio.timeout(TIMEOUT_S),
            ):
                models = await _fetch(client, backend, key)
        except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
            self._due[name] = time.monotonic() + RETRY_S
            reason = str(error) or type(error).__name__
            logger.warning("Cannot list the models of %s: %s", backend.title, reason)
            return
        self._due[name] = time.monotonic() + self._max_age_s
        self._models[name] = [{**model, "id": f"{name}:{model['id']}"} for model in models]
        self._names[name] = tuple(model["id"] for model in models)
        logger.info("%s offers %d models", backend.title, len(models))


def _trust() -> ssl.SSLContext | bool:
    """Whom prompts trust, too; without the layers the authorities that `httpx` knows."""
    if layers.incompatibility():
        return True
    from addon.layers.tls import client_context  # which might not work

    return client_context(ctx.options)


async def _fetch(client: "httpx.AsyncClient", backend: Backend, key: Key) -> list[Model]:
    """Fetch all pages of one backend's list. Raises ValueError if a response is not a list."""
    models: list[Model] = []
    page: str | None = None
    for _ in range(MAX_PAGES):
        request = backend.models_request(key, page)
        response = await client.request(request.method, request.url, headers=request.all_headers())
        if response.status_code != 200:
            raise ValueError(f"HTTP {response.status_code}")
        found, page = backend.read_models(response.content)
        models += found
        if not page:
            break
    return models
