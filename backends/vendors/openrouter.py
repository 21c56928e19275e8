"""The OpenRouter backend: an OpenAI-compatible vendor with attribution and project names.

Facts marked "docs" are from OpenRouter's API reference of August 2026.
"""

from dataclasses import dataclass

from backends.backend import Headers, ModelRequest
from backends.vendors.openai_compatible import OpenAiCompatible

# Client headers that OpenRouter reads (docs). All others are dropped: credentials, hop-by-hop
# headers, and headers for the agent's own vendor.
FORWARDED = frozenset(
    {
        "user-agent",
        "http-referer",
        "x-title",
        "x-session-id",
        "x-anthropic-beta",
        "anthropic-beta",
        "idempotency-key",
    }
)
FORWARDED_PREFIX = "x-openrouter-"
TITLE_HEADERS = frozenset({"x-title", "x-openrouter-title"})


@dataclass(frozen=True, slots=True)
class OpenRouter(OpenAiCompatible):
    """OpenRouter. `site_url` and `app_title` attribute requests to an application."""

    site_url: str | None = None
    app_title: str | None = None

    title = "OpenRouter"
    # Without descriptions: they are half a megabyte.
    model_facts = (
        "name",
        "context_length",
        "architecture",
        "pricing",
        "top_provider",
        "supported_parameters",
    )

    def _adapted(self, request: ModelRequest) -> ModelRequest:
        metadata = request.chat.get("metadata", {})
        if not request.project or not isinstance(metadata, dict):
            return request
        metadata = {**metadata, "project": request.project}
        return request._replace(chat={**request.chat, "metadata": metadata}, body=None)

    def _headers(self, client_headers: Headers) -> Headers:
        """Configured attribution replaces the client's."""
        ours: Headers = []
        replaced: set[str] = set()
        if self.site_url:
            ours.append(("http-referer", self.site_url))
            replaced.add("http-referer")
        if self.app_title:
            ours.append(("x-openrouter-title", self.app_title))
            replaced |= TITLE_HEADERS
        passed = [
            (name, value)
            for name, value in client_headers
            if (name in FORWARDED or name.startswith(FORWARDED_PREFIX)) and name not in replaced
        ]
        return passed + ours
