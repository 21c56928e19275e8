"""What travels in the benchmark: the prompts that are sent, and the one right answer to each.

A prompt's model names its answer (`bench/whole`), so that the upstream need not be told anything.
"""

import json
from dataclasses import dataclass
from functools import cached_property

CLIENT_KEY = "bench-client-key"
NAMESPACE = "bench/"
"""What stands before an answer's name in a model's name."""

_TEXT = 'def greet(name: str) -> str:\n    return f"Grüße, {name}!"\n\n'


@dataclass(frozen=True)
class Answer:
    """A body as its `pieces`; each is one chunk, written on its own, `pause_s` after the last."""

    content_type: str
    pieces: tuple[bytes, ...]
    pause_s: float = 0.0

    @cached_property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @cached_property
    def writes(self) -> tuple[bytes, ...]:
        """The bytes on the wire, one entry for each write."""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {self.content_type}\r\n".encode()
        if len(self.pieces) == 1:
            return (head + b"content-length: %d\r\n\r\n" % len(self.body) + self.body,)
        chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in self.pieces]
        chunks[0] = head + b"transfer-encoding: chunked\r\n\r\n" + chunks[0]
        chunks[-1] += b"0\r\n\r\n"
        return tuple(chunks)


def _whole(value: object) -> Answer:
    return Answer("application/json", (_json(value),))


def _stream(chunks: int, pause_s: float = 0.0) -> Answer:
    """`chunks` pieces, the last two of which are the finish reason with the usage, and [DONE]."""
    words = [_chunk({"role": "assistant", "content": f"word {n:04} "}) for n in range(chunks - 2)]
    usage = {"prompt_tokens": 200, "completion_tokens": chunks, "total_tokens": 200 + chunks}
    last = _chunk({"role": "assistant", "content": ""}, finish_reason="stop", usage=usage)
    return Answer("text/event-stream", (*words, last, b"data: [DONE]\n\n"), pause_s)


def _chunk(delta: object, finish_reason: str | None = None, **more: object) -> bytes:
    choice = {
        "index": 0,
        "delta": delta,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }
    event = {**_FACTS, "object": "chat.completion.chunk", "choices": [choice], **more}
    return b"data: %b\n\n" % _json(event)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


_FACTS = {"id": "gen-1754000000-bench", "provider": "Bench", "model": "bench", "created": 1}
_REPLY = {"role": "assistant", "content": _TEXT * 12}
_USAGE = {"prompt_tokens": 200, "completion_tokens": 250, "total_tokens": 450}

ANSWERS = {
    "models": _whole({"data": [{"id": f"{NAMESPACE}whole", "created": 1}]}),
    "whole": _whole(
        {
            **_FACTS,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": _REPLY, "finish_reason": "stop"}],
            "usage": _USAGE,
        }
    ),
    "short": _stream(3),
    "burst": _stream(2000),
    "brisk": _stream(150, pause_s=0.002),
    "paced": _stream(50, pause_s=0.02),
}


def request(port: int, answer: str, prompt_bytes: int, model_prefix: str = "") -> bytes:
    """A chat request to `port`, whose body is about `prompt_bytes` long."""
    turns = max(1, prompt_bytes // 2000)
    per_turn = _TEXT * max(1, round(prompt_bytes / turns / len(_json(_TEXT))))
    body = _json(
        {
            "model": f"{model_prefix}{NAMESPACE}{answer}",
            "stream": len(ANSWERS[answer].pieces) > 1,
            "messages": [{"role": "user", "content": per_turn}] * turns,
        }
    )
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"host: 127.0.0.1:{port}\r\n"
        f"authorization: Bearer {CLIENT_KEY}\r\n"
        "accept: application/json\r\n"
        "content-type: application/json\r\n"
        "user-agent: bench\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
