"""The legacy completions dialect: sends a prompt without roles as a chat.

Models for plain completion are gone, but editors and scripts still use this API.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends import jsonio, openai_wire, sse
from backends.dialects.chat import ChatEncoder, map_chunk
from backends.errors import bad_request
from backends.jsonio import fields, objects, string
from backends.openai_wire import Chat

# Parameters of the same name and meaning in a chat.
_SAME = (
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "user",
    "metadata",
    "prompt_cache_key",
)
# Parameters without an equivalent in a chat, and their values that have no effect.
_UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    "suffix": (None, ""),
    "echo": (None, False),
    "best_of": (None, 1),
    "logprobs": (None, 0),
}


def read_completion(body: bytes) -> "CompletionsRequest":
    """A `Reader`."""
    request = openai_wire.read_object(body, "prompt")
    for name, harmless in _UNSUPPORTED.items():
        if request.get(name) not in harmless:
            raise bad_request(f"'{name}' is not supported; use chat completions", name)
    prompt = request["prompt"]
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise bad_request("'prompt' must be one string", "prompt")
    chat = {name: request[name] for name in _SAME if name in request}
    chat["messages"] = [{"role": "user", "content": prompt}]
    return CompletionsRequest(chat)


@dataclass(frozen=True, slots=True)
class CompletionsRequest:
    """A prompt as a chat with one message."""

    chat: Chat

    body = None
    warnings: Sequence[str] = ()
    # Editors send the file around the cursor.
    typed_from = None

    def render(self, completion: dict[str, Any]) -> dict[str, Any]:
        return _to_text(completion)

    def encoder(self) -> "CompletionsEncoder":
        return CompletionsEncoder()


class CompletionsEncoder(ChatEncoder):
    """Writes a chat's chunks with a text instead of a delta."""

    is_identity = False

    def chunk(self, raw: bytes) -> bytes:
        return map_chunk(raw, lambda chunk: sse.block(jsonio.encode(_to_text(chunk))))


def to_completion(response: bytes) -> dict[str, Any] | None:
    """Read a complete or streamed response back as a completion; None if it was cut off."""
    is_stream = response.startswith(b"data:")
    texts = [sse.data_of(block) if is_stream else block for block in sse.blocks_of(response)]
    events = [jsonio.decode(text) for text in texts if text and text.strip() != b"[DONE]"]
    choices = [choice for event in events for choice in event["choices"] if choice["index"] == 0]
    if not choices or choices[-1]["finish_reason"] is None:
        return None
    message = {"role": "assistant", "content": "".join(choice["text"] for choice in choices)}
    head = events[0]
    completion = openai_wire.completion_of(
        message, id=head["id"], model=head["model"], created=head["created"]
    )
    completion["choices"][0]["finish_reason"] = choices[-1]["finish_reason"]
    usages = [event["usage"] for event in events if event.get("usage")]
    return completion | ({"usage": usages[-1]} if usages else {})


def _to_text(completion: dict[str, Any]) -> dict[str, Any]:
    """A chat's completion or chunk in the legacy shape. `object` is the same for both (SDK)."""
    return {
        **completion,
        "object": "text_completion",
        "choices": [
            {
                "text": _text_of(choice),
                "index": choice.get("index", 0),
                "logprobs": None,
                "finish_reason": choice.get("finish_reason"),
            }
            for choice in objects(completion.get("choices"))
        ],
    }


def _text_of(choice: dict[str, Any]) -> str:
    return string(fields(choice.get("message", choice.get("delta"))).get("content")) or ""
