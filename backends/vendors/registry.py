"""The backends there are, and those that there are keys for.

Adding one is a row in `make_backends` and a module or folder beside.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from backends.backend import Backend
from backends.errors import ApiError
from backends.keys import Key
from backends.model_id import BackendName
from backends.vendors.gemini.backend.backend import Gemini
from backends.vendors.openrouter import OpenRouter


def make_backends(
    *, openrouter_url: str, gemini_url: str, site_url: str | None, app_title: str | None
) -> Mapping[BackendName, Backend]:
    """All backends, whether there is a key for them or not."""
    return {
        "openrouter": OpenRouter(openrouter_url, site_url, app_title),
        "gemini": Gemini(gemini_url),
    }


class Upstreams:
    """All backends, and the keys of those that have some.

    `is_recorded`: their answers are what this proxy gave to its clients, its own notes included.
    """

    def __init__(
        self,
        backends: Mapping[BackendName, Backend],
        keys: Mapping[BackendName, Sequence[Key]],
        *,
        is_recorded: bool = False,
    ) -> None:
        self.backends = backends
        self.keys = keys
        self.is_recorded = is_recorded

    def check(self, name: BackendName) -> None:
        """ApiError that tells what to set if there is no key for a backend."""
        if name not in self.keys:
            raise ApiError(
                400,
                f"No API key for {self.backends[name].title}: set {name.upper()}_API_KEY in the "
                "proxy's environment or .env, or try the proxy with --demo",
                param="model",
                code="no_api_key",
            )

    def sources(self) -> dict[BackendName, tuple[Backend, Key]]:
        """Every backend that can be asked, with its first key."""
        return {name: (self.backends[name], keys[0]) for name, keys in self.keys.items()}

    def addresses(self) -> frozenset[tuple[str, int]]:
        """The (host, port) of every upstream that can be asked."""
        requests = (backend.models_request(key, None) for backend, key in self.sources().values())
        return frozenset(address_of(request.url) for request in requests)


def address_of(url: str) -> tuple[str, int]:
    """The (host, port) that a URL leads to."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
