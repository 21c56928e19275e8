"""A chat request to Gemini: builds it, reads its response, and builds its retries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends import jsonio
from backends.backend import ModelRequest, UpstreamRequest
from backends.errors import ApiError
from backends.jsonio import objects, string
from backends.keys import Key
from backends.openai_wire import Chat, wants_usage
from backends.vendors.gemini.backend import retries
from backends.vendors.gemini.generations import Model
from backends.vendors.gemini.request.request import RequestVariant, Translation, translate
from backends.vendors.gemini.response import errors, stream
from backends.vendors.gemini.response.response import ResponseContext
from backends.vendors.gemini.response.stream import StreamDecoder
from backends.vendors.gemini.signatures import SignatureMemory
from backends.vendors.gemini.wire import credential_of


@dataclass(frozen=True, slots=True)
class CallFactory:
    """Builds the calls of one prompt. Holds the parts that its retries share."""

    root: str
    """The base URL with the API version."""
    model: Model
    request: ModelRequest
    key: Key
    created: int
    """When the prompt came, in seconds since the epoch."""
    memory: SignatureMemory
    remember: Callable[[RequestVariant], None]
    """Called with the variant of a request once Gemini answers it."""

    def build(self, variant: RequestVariant, applied_rules: tuple[str, ...] = ()) -> "GeminiCall":
        """Build the call. Raises ApiError (400) if Gemini has no equivalent for a part of it."""
        chat = self.request.chat
        translation = translate(chat, self.model, variant, self.memory, self.request.session)
        # Every request streams, even if the client does not. Otherwise Gemini 4 stops at 32768
        # tokens, and sends nothing for minutes (API documentation).
        upstream_request = UpstreamRequest(
            "POST",
            f"{self.root}/{self.model.resource}:streamGenerateContent?alt=sse",
            [("content-type", "application/json")],
            jsonio.encode(translation.body),
            credential_of(self.key),
        )
        context = self._context(chat, translation, variant, upstream_request.body)
        return GeminiCall(
            upstream_request, translation.warnings, self, variant, applied_rules, context
        )

    def _context(
        self, chat: Chat, translation: Translation, variant: RequestVariant, body: bytes
    ) -> ResponseContext:
        is_legacy = bool(chat.get("functions")) and not chat.get("tools")
        return ResponseContext(
            model=chat.get("model") or self.model.name,
            created=self.created,
            seed=body,
            toolbox=translation.toolbox,
            memory=self.memory,
            session=self.request.session,
            generation=self.model.generation.name,
            used_ids=_call_ids(chat),
            is_legacy=is_legacy,
            # Gemini has no option for this, so all calls after the first are dropped.
            is_single=is_legacy or chat.get("parallel_tool_calls") is False,
            wants_usage=wants_usage(chat),
            on_answered=lambda: self.remember(variant),
        )


@dataclass(frozen=True, slots=True)
class GeminiCall:
    """One attempt at a chat completion."""

    request: UpstreamRequest
    warnings: tuple[str, ...]
    factory: CallFactory
    variant: RequestVariant
    applied_rules: tuple[str, ...]
    """The names of the retry rules that led to this call."""
    context: ResponseContext

    speaks_openai = False

    def decoder(self) -> StreamDecoder:
        return StreamDecoder(self.context)

    def read_response(self, body: bytes) -> dict[str, Any]:
        return stream.read_response(self.context, body)

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        return errors.read(status, content_type, body)

    def retry_for(self, error: ApiError) -> "GeminiCall | None":
        """The next call to try after `error`, or None if no rule applies.

        Valid only while the client has received nothing. Terminates, as every rule has a maximum
        number of uses.
        """
        for rule in retries.RETRY_RULES:
            if self.applied_rules.count(rule.name) >= rule.max_uses:
                continue
            if not rule.applies_to(error, self.context.toolbox.mode):
                continue
            call = self.factory.build(rule.change(self.variant), (*self.applied_rules, rule.name))
            if rule.resends or call.request.body != self.request.body:
                return call
        return None


def _call_ids(chat: Chat) -> frozenset[str]:
    """The ids of all tool calls in the history."""
    return frozenset(
        id
        for message in chat["messages"]
        for call in objects(message.get("tool_calls"))
        if (id := string(call.get("id")))
    )
