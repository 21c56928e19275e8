"""OpenRouter: the client's own wire, with attribution and a project's name put to it.

Facts marked "docs" are from OpenRouter's API reference, state of August 2026.
"""

from dataclasses import dataclass

from backends.backend import Headers, ModelRequest
from backends.openai_wire import Chat
from backends.vendors.openai_compatible import OpenAiCompatible

# Client headers with a meaning to OpenRouter (docs). All others stay here: credentials, hop-by-hop
# headers, and what SDKs and agents tell their own vendor.
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
    """`site_url` and `app_title` name the application towards OpenRouter, if configured."""

    site_url: str | None = None
    app_title: str | None = None

    title = "OpenRouter"
    # Descriptions alone would be half a megabyte.
    model_facts = (
        "name",
        "context_length",
        "architecture",
        "pricing",
        "top_provider",
        "supported_parameters",
    )

    def _adapted(
        self, request: ModelRequest, chat: Chat, body: bytes | None
    ) -> tuple[Chat, bytes | None]:
        metadata = chat.get("metadata", {})
        if not request.project or not isinstance(metadata, dict):
            return chat, body
        return {**chat, "metadata": {**metadata, "project": request.project}}, None

    def _headers(self, client_headers: Headers) -> Headers:
        """The client's own attribution holds unless one is configured."""
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
