"""The content views: chat, the client's bytes, the upstream's bytes, editable text."""

import functools
import logging
import re
from collections.abc import Callable
from typing import NamedTuple

from mitmproxy import http
from mitmproxy.contentviews import (
    Contentview,
    InteractiveContentview,
    Metadata,
    SyntaxHighlight,
    add,
    registry,
)
from mitmproxy.flow import Flow

from addon.exchange import flow_record
from addon.exchange.facts import PREFIX
from addon.inspect.views.editing import from_editable, to_editable
from addon.inspect.views.events import may_be_readable
from addon.inspect.views.facts import facts_text
from addon.inspect.views.json_text import pretty_source, printable
from addon.inspect.views.parse import Clean, read
from addon.inspect.views.transcript import to_text
from backends.dialects.registry import DIALECTS

logger = logging.getLogger(__name__)

ABOVE_JSON, NEVER = 2, -1

_OTHER_PATHS = (
    "/embeddings",
    ":generateContent",
    ":streamGenerateContent",
    ":embedContent",
    ":batchEmbedContents",
)
_LLM_PATHS = (*(dialect.path for dialect in DIALECTS.values()), *_OTHER_PATHS)
_IS_LLM_PATH = re.compile(rf"(?:{'|'.join(_LLM_PATHS)})\Z")

MAX_RAW_BYTES = 2**20
UNREADABLE = "This cannot be read as a conversation."


def guarded[V](
    prettify: Callable[[V, bytes, Metadata], str],
) -> Callable[[V, bytes, Metadata], str]:
    """Show the raw body if a view raises."""

    @functools.wraps(prettify)
    def total(self: V, data: bytes, metadata: Metadata) -> str:
        try:
            return printable(prettify(self, data, metadata))
        except Exception:
            # A body can hold anything; mitmproxy would show a traceback.
            logger.debug("A view cannot show a body", exc_info=True)
            return f"{UNREADABLE}\n\n{_raw(data)}"

    return total


def _raw(data: bytes) -> str:
    text = data[:MAX_RAW_BYTES].decode("utf-8", "replace")
    more = len(data) - MAX_RAW_BYTES
    return f"{text}\n… {more:,} more bytes" if more > 0 else text


class _ConversationView(Contentview):
    clean: Clean = staticmethod(str)


class ChatView(_ConversationView):
    """The facts about the exchange, then the conversation."""

    name = "LLM chat"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        return ABOVE_JSON if _is_llm(metadata.flow) and may_be_readable(data) else NEVER

    @guarded
    def prettify(self, data: bytes, metadata: Metadata) -> str:
        facts = facts_text(metadata.flow.metadata) if metadata.flow else ""
        conversation = read(data, self.clean)
        chat = (
            to_text(conversation, "view 'LLM edit' shows all")
            if conversation
            else _unreadable(data)
        )
        return "\n\n".join(filter(None, (facts, chat)))


def _is_llm(flow: Flow | None) -> bool:
    """Whether the proxy has annotated the flow, or its path belongs to a model API."""
    if flow is None:
        return False
    if any(isinstance(name, str) and name.startswith(PREFIX) for name in flow.metadata):
        return True
    if not isinstance(flow, http.HTTPFlow):
        return False
    return _IS_LLM_PATH.search(flow.request.path.partition("?")[0]) is not None


def _unreadable(data: bytes) -> str:
    """The body, indented if it is JSON, as mitmproxy's own view does."""
    text = _raw(data)
    return f"{UNREADABLE}\n\n{pretty_source(text) if len(data) <= MAX_RAW_BYTES else text}"


class Side(NamedTuple):
    """A message as the client or the upstream has it."""

    title: str
    capture: str | None = None
    """Its name among the captured bodies; None if the flow itself holds it."""


class _SideView(_ConversationView):
    """The conversation, and below it the bytes that it was read from."""

    request: Side
    response: Side

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        return NEVER

    @guarded
    def prettify(self, data: bytes, metadata: Metadata) -> str:
        is_request = isinstance(metadata.http_message, http.Request)
        side = self.request if is_request else self.response
        if side.capture and isinstance(metadata.flow, http.HTTPFlow):
            data = flow_record.load(metadata.flow, side.capture) or data
        conversation = read(data, self.clean)
        chat = to_text(conversation, "all of it is below") if conversation else UNREADABLE
        return f"{chat}\n\n--- {side.title}, {len(data):,} bytes ---\n{_raw(data)}"


class ClientView(_SideView):
    name = "LLM client"
    request = Side("as sent by the client", flow_record.CLIENT_REQUEST)
    response = Side("as received by the client")


class UpstreamView(_SideView):
    name = "LLM upstream"
    request = Side("as sent to the upstream")
    response = Side("as received from the upstream", flow_record.UPSTREAM_RESPONSE)


class EditView(InteractiveContentview):
    """The body as YAML or JSON text, converted back when saved."""

    name = "LLM edit"
    syntax_highlight: SyntaxHighlight = "yaml"

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        return NEVER

    @guarded
    def prettify(self, data: bytes, metadata: Metadata) -> str:
        return to_editable(data)

    def reencode(self, prettified: str, metadata: Metadata) -> bytes:
        return from_editable(prettified, _original(metadata))


def _original(metadata: Metadata) -> bytes | None:
    """The body that was shown. mitmproxy declares a field for it, but leaves it empty."""
    if metadata.original_data is not None or metadata.http_message is None:
        return metadata.original_data
    return metadata.http_message.get_content(strict=False)


VIEWS: tuple[Contentview, ...] = (ChatView(), ClientView(), UpstreamView(), EditView())


def register(clean: Clean) -> None:
    """Add the views to mitmproxy, once: it logs an error for a name it knows."""
    for view in VIEWS:
        if isinstance(view, _ConversationView):
            view.clean = clean
        if view.name not in registry:
            add(view)
