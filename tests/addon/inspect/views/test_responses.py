"""What is shown of the Responses API: requests, answers whole and streamed."""

from typing import Any

import pytest

from addon.inspect.views import read_response
from tests.addon.inspect.views.test_transcripts import PNG, shown, sse

Json = dict[str, Any]

REQUEST: Json = {
    "model": "m",
    "instructions": "Be kind.",
    "stream": True,
    "tools": [
        {"type": "function", "name": "read", "description": "Reads a file."},
        {"type": "web_search"},
    ],
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [text := {"type": "input_text", "text": "Rules"}],
        },
        {"role": "user", "content": [text, {"type": "input_image", "image_url": PNG}]},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "x",
        },
        {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"path":"a"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "def f(): pass"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [text]},
        {"type": "item_reference", "id": "msg_1"},
        {"role": "user", "content": "Go on"},
    ],
}
SHOWN_REQUEST = """\
model m, stream true

── system
Be kind.

── developer
Rules

── user
Rules

[image image/png, 8 bytes]

── assistant
thinking: Hm.

(signed)

→ read (c1)
{
  "path": "a"
}

── tool · read (c1)
def f(): pass

── assistant
→ apply_patch (c2)
*** Begin

── tool · apply_patch (c2)
Rules

── assistant
{"type":"item_reference","id":"msg_1"}

── user
Go on

── tools · 2
read: Reads a file.
web_search"""

MESSAGE: Json = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello"}],
}
CALL: Json = {"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{}"}
RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [MESSAGE, CALL],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}
SHOWN_RESPONSE = """\
id resp_1, model m, status completed

── assistant
Hello

→ read (c1)
{}

── usage
input_tokens 3, output_tokens 2, total_tokens 5"""

CREATED: Json = {
    "type": "response.created",
    "response": RESPONSE | {"status": "in_progress", "output": [], "usage": None},
}
DONE: Json = {"type": "response.output_item.done", "item": MESSAGE}
DELTA: Json = {"type": "response.output_text.delta", "item_id": "msg_2", "delta": "And"}
FAILED: Json = {
    "type": "response.failed",
    "response": RESPONSE
    | {"status": "failed", "usage": None, "error": {"code": "server_error", "message": "Gone"}},
}

BODIES: dict[str, tuple[Json | bytes, str]] = {
    "request": (REQUEST, SHOWN_REQUEST),
    "text": ({"instructions": "x", "input": "Hi"}, "── system\nx\n\n── user\nHi"),
    "whole": (RESPONSE, SHOWN_RESPONSE),
    "streamed": (
        sse(CREATED, DONE, DELTA, {"type": "response.completed", "response": RESPONSE}, end=b""),
        SHOWN_RESPONSE,
    ),
    "failed": (
        sse(CREATED, FAILED, end=b""),
        "id resp_1, model m, status failed\n\n── assistant\nHello\n\n→ read (c1)\n{}\n\n"
        "── error\nGone\ncode server_error",
    ),
    "broken off": (
        sse(CREATED, DONE, DELTA, DELTA, end=b""),
        "id resp_1, model m, status in_progress\n\n── assistant\nHello\n\nAndAnd\n\n"
        "── error\nThe stream ended without response.completed.",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_transcript(name: str) -> None:
    body, expected = BODIES[name]
    assert shown(body) == expected


def test_an_answer_to_compare() -> None:
    answer = read_response(BODIES["streamed"][0])  # type: ignore[arg-type]  # it is bytes
    assert answer.text == "Hello"
    assert [call.name for call in answer.calls] == ["read"]
