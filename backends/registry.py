"""The backends there are: name to maker. Adding one is a row here and a module or folder beside."""

from collections.abc import Mapping

from backends.gemini.backend import Gemini
from backends.model_id import BackendName
from backends.openrouter import OpenRouter
from backends.protocol import Backend


def make_backends(
    *, openrouter_url: str, gemini_url: str, site_url: str | None, app_title: str | None
) -> Mapping[BackendName, Backend]:
    """All backends, whether there is a key for them or not."""
    return {
        "openrouter": OpenRouter(openrouter_url, site_url, app_title),
        "gemini": Gemini(gemini_url),
    }
