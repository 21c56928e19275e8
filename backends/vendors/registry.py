"""Lists the vendors, makes their backends, and knows which have keys.

To add a vendor, add a row to `VENDORS` and a module or folder here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from backends.backend import Backend
from backends.errors import ApiError
from backends.keys import Key
from backends.model_id import BackendName
from backends.vendors.gemini.backend.backend import Gemini
from backends.vendors.openrouter import OpenRouter


class Vendor(NamedTuple):
    """A vendor, and how to make its backend."""

    name: BackendName
    title: str
    make: Callable[[str, str | None, str | None], Backend]
    """Called with base URL, site URL and application title; these two are for attribution."""
    base_url: str
    """The vendor's own; the configuration may name another."""
    key_variable: str
    key_path: str = ""
    """Where a key can be checked, after the base URL; empty if the model list needs a valid key."""


_ROWS = (
    Vendor(
        "openrouter",
        OpenRouter.title,
        OpenRouter,
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        key_path="/key",
    ),
    Vendor(
        "gemini",
        Gemini.title,
        lambda base_url, site_url, app_title: Gemini(base_url),
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
    ),
)
VENDORS: Mapping[BackendName, Vendor] = {row.name: row for row in _ROWS}
"""All vendors by name. No other place lists them; the first is the default."""

KEY_VARIABLES = " or ".join(row.key_variable for row in _ROWS)
"""What to set, for people: each variable gives a backend its key."""


def make_backends(
    base_urls: Mapping[BackendName, str],
    site_url: str | None = None,
    app_title: str | None = None,
) -> Mapping[BackendName, Backend]:
    """The backends of the vendors that have a base URL, with or without keys."""
    return {
        name: VENDORS[name].make(base_url, site_url, app_title)
        for name, base_url in base_urls.items()
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
                f"No API key for {self.backends[name].title}: set {VENDORS[name].key_variable} in "
                "the proxy's environment or .env, or try the proxy with --demo",
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
