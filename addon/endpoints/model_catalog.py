"""The models on offer: asked of each backend, kept for a while, shown in OpenAI's shape."""

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

# A client that asks for the list waits no longer than this for a slow backend.
TIMEOUT_S = 10.0
# A backend whose list could not be had is asked again after this long at the earliest.
RETRY_S = 30.0
# More pages than any vendor has; stops a server that never ends its list.
MAX_PAGES = 50


class ModelsList:
    """What each backend with a key offers. `sources` maps a backend's name to it and its key."""

    def __init__(self, max_age_s: float) -> None:
        self._max_age_s = max_age_s
        self._sources: Mapping[BackendName, tuple[Backend, Key]] = {}
        self._models: dict[BackendName, list[Model]] = {}
        self._names: dict[BackendName, list[str]] = {}
        self._due: dict[BackendName, float] = {}  # monotonic; when to ask again
        self._lock = asyncio.Lock()

    def use(self, sources: Mapping[BackendName, tuple[Backend, Key]]) -> None:
        """Set whom to ask; what is known of others is dropped."""
        self._sources = sources
        self._models.clear()
        self._names.clear()
        self._due.clear()

    async def all(self) -> list[Model]:
        """All models, ids with the backend's prefix, asked for anew where they are too old.

        A backend that fails keeps its last list.
        """
        async with self._lock:
            now = time.monotonic()
            due = [name for name in self._sources if self._due.get(name, now) <= now]
            if due:
                await asyncio.gather(*map(self._refresh, due))
        return [model for name in self._sources for model in self._models.get(name, ())]

    def names(self, name: BackendName) -> list[str] | None:
        """The vendor's names of a backend's models; None as long as nobody knows."""
        return self._names.get(name)

    async def find(self, model_id: str, default: BackendName) -> Model | None:
        """The entry of one model; an id without prefix is looked for at the default backend."""
        wanted = {model_id, f"{default}:{model_id}"}
        return next((model for model in await self.all() if model["id"] in wanted), None)

    async def _refresh(self, name: BackendName) -> None:
        import httpx  # only here: it would cost a fifth of the start-up

        backend, key = self._sources[name]
        try:
            # HTTPS_PROXY may point at ourselves, hence no settings from the environment.
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
        self._names[name] = [model["id"] for model in models]
        logger.info("%s offers %d models", backend.title, len(models))


def _trust() -> ssl.SSLContext | bool:
    """Whom prompts trust, too; without the layers the authorities that `httpx` knows."""
    if layers.incompatibility():
        return True
    from addon.layers.tls import client_context  # which might not work

    return client_context(ctx.options)


async def _fetch(client: "httpx.AsyncClient", backend: Backend, key: Key) -> list[Model]:
    """Every page of one backend's list; ValueError if it answers with anything but a list."""
    models: list[Model] = []
    page: str | None = None
    for _ in range(MAX_PAGES):
        request = backend.models_request(key, page)
        answer = await client.request(request.method, request.url, headers=request.all_headers())
        if answer.status_code != 200:
            raise ValueError(f"HTTP {answer.status_code}")
        found, page = backend.read_models(answer.content)
        models += found
        if not page:
            break
    return models
