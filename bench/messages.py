"""What travels in the benchmark: prompts, and the right answer to each on both vendors' wires.

A prompt's model names its answer (`bench-model-whole`), so the upstream need not be told anything.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

CLIENT_KEY = "client-key-of-the-bench"
MODEL = "bench-model-"
STAMP = re.compile(rb"@\d{16}")
"""Room for the time at which a piece is sent, in microseconds."""
UNSTAMPED = b"@%016d" % 0

_CODE = 'def greet(name: str) -> str:\n    return f"Grüße, {name}!"\n\n'


@dataclass(frozen=True)
class Answer:
    """Streamed there is one event for each text; with a pause between them they bear stamps."""

    texts: tuple[str, ...]
    is_stream: bool = True
    pause_s: float = 0.0

    @cached_property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(frozen=True)
class Body:
    """An answer on a vendor's wire; each piece is written on its own."""

    content_type: str
    pieces: tuple[bytes, ...]

    @cached_property
    def whole(self) -> bytes:
        return b"".join(self.pieces)


def said(body: bytes) -> str:
    """The text in OpenAI's answer, whole or streamed; ValueError or LookupError if it is none."""
    events = re.findall(rb"^data: *(\{.*\})\r?$", body, re.MULTILINE) or [body]
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    messages = [choice.get("delta") or choice.get("message") or {} for choice in choices]
    return "".join(message.get("content") or "" for message in messages)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _whole(value: object) -> Body:
    return Body("application/json", (_json(value),))


def _events(values: Iterable[object], *more: bytes) -> Body:
    events = (b"data: %b\n\n" % _json(value) for value in values)
    return Body("text/event-stream", (*events, *more))


# OpenAI's wire, as OpenRouter speaks it.

_FACTS = {"id": "gen-1754000000-bench", "provider": "Bench", "model": "bench", "created": 1}
_USAGE = {"prompt_tokens": 200, "completion_tokens": 250, "total_tokens": 450}


def _openrouter(answer: Answer) -> Body:
    if not answer.is_stream:
        choice = _choice("message", answer.text, "stop")
        return _whole({**_FACTS, "object": "chat.completion", "choices": [choice], "usage": _USAGE})
    head = {**_FACTS, "object": "chat.completion.chunk"}
    chunks = [{**head, "choices": [_choice("delta", text)]} for text in answer.texts]
    last = {**head, "choices": [_choice("delta", "", "stop")], "usage": _USAGE}
    return _events([*chunks, last], b"data: [DONE]\n\n")


def _choice(kind: str, text: str, finish_reason: str | None = None) -> object:
    return {
        "index": 0,
        kind: {"role": "assistant", "content": text},
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }


# Gemini's own wire.


def _gemini(answer: Answer) -> Body:
    if not answer.is_stream:
        return _whole(_reply(answer.text, finishReason="STOP"))
    return _events([*map(_reply, answer.texts), _reply("", finishReason="STOP")])


def _reply(text: str, **more: str) -> object:
    content = {"parts": [{"text": text}], "role": "model"}
    return {
        "candidates": [{"content": content, **more, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 200,
            "candidatesTokenCount": 250,
            "totalTokenCount": 450,
        },
        "modelVersion": "bench",
        "responseId": "bench",
    }


def _stream(chunks: int, pause_s: float = 0.0) -> Answer:
    texts = (f"word {n:04} {UNSTAMPED.decode()} " for n in range(chunks))
    return Answer(tuple(texts), pause_s=pause_s)


ANSWERS = {
    "whole": Answer((_CODE * 12,), is_stream=False),
    "short": _stream(2),
    "burst": _stream(2000),
    "brisk": _stream(150, pause_s=0.002),
    "paced": _stream(30, pause_s=0.02),
}

_WIRES: dict[str, Callable[[Answer], Body]] = {"openrouter": _openrouter, "gemini": _gemini}
_METHODS = {"supportedGenerationMethods": ["generateContent"]}
BODIES = {
    **{(vendor, name): wire(ANSWERS[name]) for vendor, wire in _WIRES.items() for name in ANSWERS},
    ("openrouter", "models"): _whole({"data": [{"id": f"{MODEL}whole", "created": 1}]}),
    ("gemini", "models"): _whole({"models": [{"name": f"models/{MODEL}whole", **_METHODS}]}),
}
"""By vendor, and name of the answer or `models` for the list of them."""


@dataclass(frozen=True)
class Request:
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def head(self, host: str) -> bytes:
        """What goes before the body in HTTP/1.1."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in (("host", host), *self.fields))
        return f"POST {PATH} HTTP/1.1\r\n{fields}\r\n".encode()


PATH = "/v1/chat/completions"


def prompt(answer: str, prompt_bytes: int = 1000, prefix: str = "") -> Request:
    """A request for a chat completion, whose body is about `prompt_bytes` long."""
    turns = max(1, prompt_bytes // 2000)
    per_turn = _CODE * max(1, round(prompt_bytes / turns / len(_json(_CODE))))
    body = _json(
        {
            "model": f"{prefix}{MODEL}{answer}",
            "stream": ANSWERS[answer].is_stream,
            "messages": [{"role": "user", "content": per_turn}] * turns,
        }
    )
    fields = (
        ("authorization", f"Bearer {CLIENT_KEY}"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "bench"),
        ("content-length", str(len(body))),
    )
    return Request(fields, body)
