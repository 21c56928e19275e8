"""All backends, and those that have keys.

To add a backend, add a row to `make_backends` and a module or folder here.
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
    """All backends, with or without keys."""
    return {
        "openrouter": OpenRouter(openrouter_url, site_url, app_title),
        "gemini": Gemini(gemini_url),
    }


class ConfiguredBackends:
    """All backends, and the keys of those that have any."""

    def __init__(
        self,
        backends: Mapping[BackendName, Backend],
        keys: Mapping[BackendName, Sequence[Key]],
        *,
        is_playback: bool = False,
    ) -> None:
        self.backends = backends
        self.keys = keys
        self.is_playback = is_playback
        """Whether responses come from a cassette. These include the proxy's notes already."""

    def check(self, name: BackendName) -> None:
        """Raises ApiError (400), which names the variable to set, if a backend has no key."""
        if name not in self.keys:
            raise ApiError(
                400,
                f"No API key for {self.backends[name].title}: set {name.upper()}_API_KEY in the "
                "proxy's environment or .env, or try the proxy with --demo",
                param="model",
                code="no_api_key",
            )

    def with_first_key(self) -> dict[BackendName, tuple[Backend, Key]]:
        """Every backend that has keys, with its first one."""
        return {name: (self.backends[name], keys[0]) for name, keys in self.keys.items()}

    def addresses(self) -> frozenset[tuple[str, int]]:
        """The (host, port) of every backend that has keys."""
        backends = self.with_first_key().values()
        return frozenset(address_of(each.models_request(key, None).url) for each, key in backends)


def address_of(url: str) -> tuple[str, int]:
    """The (host, port) of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
