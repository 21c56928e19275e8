"""Dependencies of the endpoints that send a request to an upstream, and their common steps."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from addon.endpoints.model_catalog import ModelCatalog
from addon.exchange import flow_record
from addon.exchange.exchange import Exchange
from addon.exchange.history import SessionLog
from backends import jsonio
from backends.backend import Headers
from backends.dialect import Reader
from backends.model_id import BackendName
from backends.openai_wire import Chat
from backends.redact import Redactor
from backends.vendors.registry import ConfiguredBackends
from commands.language.snapshot import Availability
from commands.routing.target import RoutingInputs
from commands.sessions.session import Sessions
from commands.settings import AvailableBackend, AvailableBackends
from commands.turns.processor import CommandProcessor
from commands.turns.proxy_state import ProxyState

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class EndpointDeps:
    """Made by `assembly`; only `configured` changes afterwards."""

    configured: ConfiguredBackends
    """Replaced while the proxy starts if a local upstream serves the demo or a playback."""
    models: ModelCatalog
    processor: CommandProcessor
    sessions: Sessions
    redactor: Redactor
    readers: Mapping[str, Reader]
    """Read prompts, by the name of the endpoint."""
    read_timeout_s: Mapping[BackendName, float]
    max_body_bytes: int
    is_project_required: bool
    is_sticky: bool
    log: SessionLog | None

    @property
    def proxy_state(self) -> ProxyState:
        return self.processor.proxy_state

    def available_backends(self) -> AvailableBackends:
        return {
            name: AvailableBackend(len(keys), self.models.names_of(name))
            for name, keys in self.configured.keys.items()
        }

    def routing(self) -> RoutingInputs:
        """The routing inputs of a request without a session."""
        availability = Availability(self.available_backends())
        return self.proxy_state.snapshot((), availability).routing()

    def redact_headers(self, headers: Headers) -> Headers:
        """Replace the proxy's own keys in headers that may be forwarded, if redaction is on."""
        is_on = self.proxy_state.settings.redact_api_keys_in_prompts
        return self.redactor.scrub_headers(headers) if is_on else headers

    def redact(self, body: bytes | None, chat: Chat, prompt: str) -> tuple[Chat, str]:
        """Replace the proxy's own keys if redaction is on; log the names of those found.

        `body` is the text that all of `chat` was read from, if there is one.
        """
        is_on = self.proxy_state.settings.redact_api_keys_in_prompts
        if not is_on or (body is not None and not self.redactor.may_be_in(body)):
            return chat, prompt
        chat, names = self.redactor.scrub_chat(chat)
        if names:
            logger.warning("Redacted in a prompt: %s", ", ".join(names))
        return chat, self.redactor.scrub(prompt)

    def capture(self, exchange: Exchange, body: bytes, chat: Chat, *, is_same: bool) -> None:
        """Keep the client's body if the flow is shown or saved, and `chat` where it differs."""
        exchange.requested = chat.get("model")
        if exchange.is_captured:
            is_redacting = self.proxy_state.settings.redact_api_keys_in_prompts
            clean = self.redactor.scrub_bytes(body) if is_redacting else body
            exchange.captures[flow_record.CLIENT_REQUEST] = clean
            if not is_same:
                exchange.captures[flow_record.PROMPT] = jsonio.encode(chat)
