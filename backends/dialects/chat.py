"""The chat dialect: OpenAI's chat completions. As the internal form, they pass unchanged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends import jsonio, openai_wire, sse
from backends.errors import ApiError
from backends.openai_wire import DONE, Chat

KEEP_ALIVE = sse.comment("keep-alive")


def read_chat(body: bytes) -> "ChatRequest":
    """A `Reader`."""
    return ChatRequest(openai_wire.read_chat(body), body)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request; it passes unchanged."""

    chat: Chat
    body: bytes

    warnings = ()
    typed_from = 0

    def render(self, completion: dict[str, Any]) -> dict[str, Any]:
        return completion

    def encoder(self) -> "ChatEncoder":
        return ChatEncoder()


class ChatEncoder:
    is_identity = True

    def chunk(self, raw: bytes) -> bytes:
        return raw

    def done(self) -> bytes:
        return DONE

    def error(self, error: ApiError) -> bytes:
        return openai_wire.error_event(error)

    def keep_alive(self) -> bytes:
        return KEEP_ALIVE


def map_chunk(block: bytes, encode: Callable[[dict[str, Any]], bytes]) -> bytes:
    """Encode the chunk in a block of a chat's stream. Comments pass, all else is dropped."""
    data = sse.data_of(block)
    if data is None:
        return block
    chunk = jsonio.decode_object(data)
    return b"" if chunk is None else encode(chunk)
