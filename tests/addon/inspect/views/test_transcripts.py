"""What is shown of each kind of request and answer, in two tables."""

import json
from typing import Any

import pytest

from addon.inspect.views.parse import read
from addon.inspect.views.transcript import to_text

Json = dict[str, Any]

PNG = "data:image/png;base64,iVBORw0KGgo="


def shown(body: Json | list[Any] | bytes) -> str:
    """The transcript, with the lines of heads left out."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    conversation = read(data)
    assert conversation
    lines = to_text(conversation, "elsewhere").split("\n")
    return "\n".join(line.rstrip(" ─═") if line[:2] in ("──", "══") else line for line in lines)


def chat(*messages: Json, **parameters: Any) -> Json:
    return {"model": "m", "messages": list(messages), **parameters}


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def call(id: str, name: str, arguments: str) -> Json:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def completion(*messages: Json, finish_reason: str = "stop", **more: Any) -> Json:
    choices = [
        {"index": index, "message": message, "finish_reason": finish_reason}
        for index, message in enumerate(messages)
    ]
    return {"id": "c1", "object": "chat.completion", "created": 1, "choices": choices, **more}


def sse(*events: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + end


def chunk(delta: Json, finish_reason: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **more}


def content(role: str, *parts: Json) -> Json:
    return {"role": role, "parts": list(parts)}


def candidate(*parts: Json, **more: Any) -> Json:
    return {"candidates": [{"content": content("model", *parts), **more}]}


REQUESTS: dict[str, tuple[Json | list[Any] | bytes, str]] = {
    "text": (
        chat({"role": "system", "content": "Be kind."}, user("Hi!\n\nÄ 🚀"), temperature=0.2),
        """\
model m, temperature 0.2

── system
Be kind.

── user
Hi!

Ä 🚀""",
    ),
    "parameters": (
        chat(user("x"), stream=True, stop=["a", "b"], user=None, tools=[], long="y" * 200),
        f"""\
model m, stream true, stop ["a","b"], user null, long {"y" * 119}…

── user
x""",
    ),
    "tool loop": (
        chat(
            user("What is in a?"),
            {
                "role": "assistant",
                "content": "I look.",
                "reasoning_content": "First\nsecond\nthird",
                "tool_calls": [
                    call("c1", "read", '{"path":"a","deep":{"x":[]}}'),
                    call("c2", "run", '{"broken'),
                    {"id": "c3", "type": "custom", "custom": {"name": "patch", "input": "*** x"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c2", "content": "no\n"},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "A"}]},
            {"role": "tool", "tool_call_id": "lost", "content": ""},
        ),
        """\
model m

── user
What is in a?

── assistant
thinking: First (… 2 more lines, 12 characters)

I look.

→ read (c1)
{
  "path": "a",
  "deep": {
    "x": []
  }
}

→ run (c2)
{"broken

→ patch (c3)
*** x

── tool · run (c2)
no

── tool · read (c1)
A

── tool · unnamed (lost)
(empty)""",
    ),
    "older calls": (
        chat(
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
            {"role": "function", "name": "f", "content": "1"},
            functions=[{"name": "f", "description": "Does\nit."}],
        ),
        """\
model m

── assistant
→ f

── function · f
1

── tools · 1
f: Does it.""",
    ),
    "media": (
        chat(
            user(
                [
                    {"type": "text", "text": "See:"},
                    {"type": "image_url", "image_url": {"url": PNG}},
                    {"type": "image_url", "image_url": "https://a.example/b.png"},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "JVBERi0="}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {"type": "video_url", "video_url": {"url": "https://a.example/v"}},
                    {"type": "new", "x": 1},
                    "bare",
                ]
            )
        ),
        """\
model m

── user
See:

[image image/png, 8 bytes]

[image https://a.example/b.png]

[audio wav, 3 bytes]

[file a.pdf, 5 bytes]

[file file-1]

[video https://a.example/v]

{"type":"new","x":1}

bare""",
    ),
    "assistant's fields": (
        chat(
            {
                "role": "assistant",
                "name": "bob",
                "content": "Hm",
                "refusal": "No.",
                "audio": {"id": "audio_1"},
                "images": [{"type": "image_url", "image_url": {"url": PNG}}],
                "reasoning_details": [
                    {"type": "reasoning.summary", "summary": "why"},
                    {"type": "reasoning.encrypted", "data": "xyz"},
                ],
                "extra_content": {"google": {"thought_signature": "s"}},
            }
        ),
        """\
model m

── assistant · bob
thinking: why

(signed)

Hm

refusal: No.

[image image/png, 8 bytes]

[audio audio_1]

(signed)""",
    ),
    "tools": (
        chat(
            user("x"),
            tools=[
                {"type": "function", "function": {"name": "read", "description": "Reads\na file."}},
                {"type": "custom", "custom": {"name": "patch"}},
                {"type": "openrouter:web_search"},
                {"type": "function", "function": {"name": "f", "description": "d " * 100}},
            ],
        ),
        f"""\
model m

── user
x

── tools · 4
read: Reads a file.
patch
openrouter:web_search
f: {"d " * 58}…""",
    ),
    "gemini": (
        {
            "systemInstruction": {"parts": [{"text": "Be"}, {"text": "kind."}]},
            "contents": [
                content(
                    "user",
                    {"text": "Hi"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                    {"fileData": {"mimeType": "video/mp4", "fileUri": "https://a.example/v"}},
                ),
                content(
                    "model",
                    {"text": "so\nso", "thought": True},
                    {"functionCall": {"name": "f", "id": "1", "args": {"x": 1}}},
                    {"functionCall": {"name": "g"}, "thoughtSignature": "s"},
                    {"text": "", "thoughtSignature": "s"},
                ),
                content(
                    "user",
                    {"functionResponse": {"name": "f", "id": "1", "response": {"output": "A"}}},
                    {"functionResponse": {"name": "g", "response": {"output": 1}}},
                    {"text": "Go on"},
                ),
            ],
            "tools": [
                {"functionDeclarations": [{"name": "f", "description": "F."}, {"name": "g"}]},
                {"googleSearch": {}},
            ],
            "generationConfig": {"temperature": 0, "thinkingConfig": {"thinkingBudget": 1}},
            "serviceTier": "flex",
        },
        """\
temperature 0, thinkingConfig {"thinkingBudget":1}, serviceTier flex

── system
Be

kind.

── user
Hi

[image image/png, 8 bytes]

[video video/mp4 https://a.example/v]

── assistant
thinking: so (… 2 more characters)

→ f (1)
{
  "x": 1
}

→ g (signed)
{}

(signed)

── tool · f (1)
A

── tool · g
{
  "output": 1
}

── user
Go on

── tools · 3
f: F.
g
googleSearch""",
    ),
    "embeddings": (
        {"model": "e", "input": ["one", [1, 2, 3], {"content": [{"type": "text", "text": "x"}]}]},
        """\
model e

── input
one

── input
3 tokens

── input
x""",
    ),
    "embedding of tokens": ({"input": [1, 2]}, "── input\n2 tokens"),
    "gemini embeddings": (
        {"requests": [{"model": "e", "content": {"parts": [{"text": "one"}]}}]},
        "── input\none",
    ),
}

ANSWERS: dict[str, tuple[Json | list[Any] | bytes, str]] = {
    "completion": (
        completion(
            {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": []},
            model="m",
            provider="P",
            usage={
                "prompt_tokens": 10,
                "completion_tokens": 4,
                "cost": 0.5,
                "is_byok": False,
                "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        ),
        """\
id c1, model m, provider P

── assistant · finish_reason stop
Hi

── usage
prompt_tokens 10, completion_tokens 4, cost 0.5, prompt_tokens_details (cached_tokens 8)""",
    ),
    "choices": (
        completion({"content": "a"}, {"content": "b"}, finish_reason="length"),
        """\
id c1

── assistant · choice 0, finish_reason length
a

── assistant · choice 1, finish_reason length
b""",
    ),
    "older completion": (
        {"choices": [{"index": 0, "text": "def", "finish_reason": "stop"}]},
        "── assistant · finish_reason stop\ndef",
    ),
    "stream": (
        b": OPENROUTER PROCESSING\n\n"
        + sse(
            chunk({"role": "assistant", "content": ""}, model="m"),
            chunk({"reasoning": "I th", "reasoning_details": [{"text": "I th"}]}),
            chunk({"content": None, "reasoning": "ink.\nYes."}),
            chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}),
            chunk({"content": "He"}),
            chunk({"content": "llo\u2028"}, "stop"),
            chunk({}, "stop", usage={"total_tokens": 3}),
        ),
        """\
id c1, model m

── assistant · finish_reason stop
thinking: I think. (… 4 more characters)

(signed)

Hello\u2028

── usage
total_tokens 3""",
    ),
    "streamed calls": (
        sse(
            chunk({"tool_calls": [{"index": 0} | call("c1", "f", '{"a":')]}),
            chunk({"tool_calls": [{"index": 1} | call("c2", "g", "")]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"\\ud83d'}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '\\ude80"}'}}]}),
            chunk({"tool_calls": [{"index": 1} | call("c3", "h", "{}")]}, "tool_calls"),
        ),
        """\
id c1

── assistant · finish_reason tool_calls
→ f (c1)
{
  "a": "🚀"
}

→ g (c2)

→ h (c3)
{}""",
    ),
    "broken stream": (
        sse(chunk({"content": "He"}), end=b""),
        """\
id c1

── assistant · finish_reason missing
He

── error
The stream ended without [DONE].""",
    ),
    "cut event": (
        sse(chunk({"content": "He"}), end=b'data: {"choices":[{"de'),
        """\
id c1

── assistant · finish_reason missing
He

── error
The stream holds something that is not JSON: {"choices":[{"de

── error
The stream ended without [DONE].""",
    ),
    "error in a stream": (
        sse(
            chunk({"content": "He"}),
            {
                "id": "c1",
                "error": {"code": 429, "message": "Slow down", "metadata": {"raw": "x"}},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            },
            end=b"",
        ),
        """\
id c1

── assistant · finish_reason error
He

── error
Slow down
code 429
{
  "metadata": {
    "raw": "x"
  }
}""",
    ),
    "native finish reason": (
        {"choices": [{"message": {}, "finish_reason": "length", "native_finish_reason": "MAX"}]},
        "── assistant · finish_reason length (MAX)\n(empty)",
    ),
    "error of a choice": (
        {"choices": [{"message": {"content": "He"}, "error": {"message": "gone"}}]},
        "── assistant · finish_reason missing\nHe\n\n── error\ngone",
    ),
    "error": (
        {"error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": "x"}},
        "── error\nNo.\ntype invalid_request_error, code x",
    ),
    "bare error": ({"error": "No."}, "── error\nNo."),
    "listed error": ([{"error": {"code": 503, "message": "Over"}}], "── error\nOver\ncode 503"),
    "gemini": (
        {
            **candidate(
                {"text": "He", "thought": True},
                {"text": "llo"},
                {"text": "!"},
                {"executableCode": {"code": "print(1)"}},
                {"codeExecutionResult": {"output": "1"}},
                {"newPart": 1},
                finishReason="STOP",
            ),
            "usageMetadata": {"promptTokenCount": 1},
            "modelVersion": "g",
        },
        """\
modelVersion g

── assistant · finishReason STOP
thinking: He

llo!

print(1)

1

{"newPart":1}

── usage
promptTokenCount 1""",
    ),
    "gemini stream": (
        sse(
            candidate({"text": "He"}),
            candidate({"text": "llo"}),
            candidate({"functionCall": {"name": "f", "args": {}}}),
            {**candidate({"text": ""}, finishReason="STOP"), "usageMetadata": {"x": 1}},
            end=b"",
        ),
        """\
── assistant · finishReason STOP
Hello

→ f
{}

── usage
x 1""",
    ),
    "gemini candidates": (
        {"candidates": [{"finishReason": "SAFETY"}, {"index": 1, "finishMessage": "why"}]},
        """\
── assistant · choice 0, finishReason SAFETY
(empty)

── assistant · choice 1, finishReason missing
why""",
    ),
    "gemini blocks": (
        {"promptFeedback": {"blockReason": "OTHER", "safetyRatings": []}},
        '── error\nGemini blocked the prompt\nblockReason OTHER\n{\n  "safetyRatings": []\n}',
    ),
    "error behind gemini's events": (
        sse(candidate({"text": "He"}), end=b'{\n\n"error": {"message": "Over"}\n}'),
        "── assistant · finishReason missing\nHe\n\n── error\nOver",
    ),
    "speech": (
        sse(
            candidate({"inlineData": {"mimeType": "audio/L16", "data": "AAAA"}}),
            candidate({"inlineData": {"mimeType": "audio/L16", "data": "AAAA"}}),
            end=b"",
        ),
        "── assistant · finishReason missing\n[audio audio/L16, 6 bytes]",
    ),
    "spoken": (
        completion({"audio": {"data": "AAAA", "transcript": "Hi"}}),
        "id c1\n\n── assistant · finish_reason stop\nHi\n\n[audio, 3 bytes]",
    ),
    "embeddings": (
        {
            "object": "list",
            "model": "e",
            "data": [{"embedding": [0.5, 1]}, {"embedding": [1, 2]}, {"embedding": "AACAPwAAAAA="}],
            "usage": {"total_tokens": 2},
        },
        "model e\n\n── assistant\nembeddings: 3, of 2 numbers each\n\n── usage\ntotal_tokens 2",
    ),
    "gemini embeddings": (
        {"embeddings": [{"values": [1, 2, 3]}]},
        "── assistant\nembeddings: 1, of 3 numbers each",
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request(name: str) -> None:
    body, expected = REQUESTS[name]
    assert shown(body) == expected


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(name: str) -> None:
    body, expected = ANSWERS[name]
    assert shown(body) == expected
