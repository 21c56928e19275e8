"""Gemini behind OpenAI's wire, end to end: the simulator checks turns and signatures strictly."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from addon.demo.simulator import Cut, ScriptedResponse, json_answer, sse_answer
from tests.harness import GEMINI_KEY, RunningProxy
from tests.upstream import UpstreamThread

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "read_file",
            "parameters": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "properties": {"path": {"type": "string"}, "title": {"const": "x"}},
                "required": ["path"],
                "additionalProperties": False,
            },
        },
    }
]
TEXT = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}}]}
LAST = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3}}
MALFORMED = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "x"}]}


def google_error(code: int, message: str, status: str) -> ScriptedResponse:
    return json_answer({"error": {"code": code, "message": message, "status": status}}, code)


class Loop:
    """An agent's tool loop; what the model says is kept as plain agents keep it."""

    def __init__(self, client: OpenAI) -> None:
        self._client = client
        self.messages: list[dict[str, Any]] = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "use the tool"},
        ]

    def step(self, model: str, stream: bool) -> str | None:
        """Let the model speak, answer its calls; returns the finish reason."""
        message, finish = (self._streamed if stream else self._whole)(model)
        self.messages.append(message)
        for call in message.get("tool_calls", ()):
            result = {"role": "tool", "tool_call_id": call["id"], "content": "the text"}
            self.messages.append(result)
        if not message.get("tool_calls"):
            self.messages.append({"role": "user", "content": "use the tool again"})
        return finish

    def _whole(self, model: str) -> tuple[dict[str, Any], str | None]:
        answer = self._client.chat.completions.create(
            model=model, messages=self.messages, tools=TOOLS
        )
        ChatCompletion.model_validate(answer.model_dump())
        choice = answer.choices[0]
        calls = [
            {"id": c.id, "type": "function", "function": c.function.to_dict()}
            for c in choice.message.tool_calls or ()
        ]
        message = {"role": "assistant", "content": choice.message.content}
        return message | ({"tool_calls": calls} if calls else {}), choice.finish_reason

    def _streamed(self, model: str) -> tuple[dict[str, Any], str | None]:
        text, finish, calls = "", None, {}
        for chunk in self._client.chat.completions.create(
            model=model, messages=self.messages, tools=TOOLS, stream=True
        ):
            ChatCompletionChunk.model_validate(chunk.model_dump())
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
                for part in choice.delta.tool_calls or ():
                    function = {"name": part.function.name, "arguments": ""}
                    call = {"id": part.id, "type": "function", "function": function}
                    calls.setdefault(part.index, call)["function"]["arguments"] += (
                        part.function.arguments or ""
                    )
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if calls:
            message["tool_calls"] = [calls[index] for index in sorted(calls)]
        return message, finish


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro", "gemini-demo-two-tool-calls"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_tool_loop(proxy: RunningProxy, model: str, stream: bool, tunnel: bool) -> None:
    loop = Loop(proxy.openai(tunnel=tunnel))
    for _ in range(3):
        assert loop.step(f"gemini:{model}", stream) == "tool_calls"
        assert loop.step(f"gemini:{model}", stream) == "stop"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_loop_that_changes_the_backend_at_each_step(proxy: RunningProxy, stream: bool) -> None:
    """Begun on either, continued on the other, in the middle of a turn."""
    models = [
        *("openrouter:demo/two-tool-calls", "gemini:gemini-3-pro"),
        *("gemini:gemini-demo-two-tool-calls", "openrouter:demo/echo"),
        *("gemini:gemini-3-pro", "gemini:gemini-2.5-pro", "openrouter:demo/tool-call"),
    ]
    loop = Loop(proxy.openai())
    finishes = [loop.step(model, stream) for model in models * 3]
    assert set(finishes) == {"tool_calls", "stop"}


def test_the_key_goes_in_a_header_and_nothing_of_the_client_s_does(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    proxy.openai().chat.completions.create(
        model="gemini:gemini-2.5-pro", messages=[{"role": "user", "content": "hi"}]
    )
    sent = upstream.simulator.requests[-1]
    assert sent.path == "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert sent.header("x-goog-api-key") == GEMINI_KEY
    names = {name for name, _ in sent.headers}
    assert names <= {"x-goog-api-key", "content-type", "content-length", "accept-encoding", "host"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (
            google_error(429, "You exceeded your quota", "RESOURCE_EXHAUSTED"),
            429,
            "rate_limit_exceeded",
        ),
        (google_error(503, "The model is overloaded.", "UNAVAILABLE"), 503, "overloaded"),
        (google_error(404, "models/x is not found", "NOT_FOUND"), 404, "model_not_found"),
        (
            google_error(400, "The input token count (9) exceeds the maximum", "INVALID_ARGUMENT"),
            400,
            "context_length_exceeded",
        ),
        (
            json_answer([{"error": {"code": 500, "message": "m", "status": "INTERNAL"}}], 500),
            500,
            "internal_error",
        ),
        (
            sse_answer(
                {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}, done=False
            ),
            503,
            "overloaded",
        ),
    ],
    ids=["429", "503", "404", "context", "list", "first event"],
)
def test_errors(
    proxy: RunningProxy,
    upstream: UpstreamThread,
    answer: ScriptedResponse,
    status: int,
    code: str,
    stream: bool,
) -> None:
    upstream.script(answer)
    # A model of its own: one that was rate-limited rests.
    model = f"gemini:gemini-3-{status}-{code}-{stream}"
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    got = proxy.client().post("/v1/chat/completions", json=body | {"stream": stream})
    assert got.status_code == status
    assert got.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([TEXT, Cut()], "broke"),
        (
            [TEXT, {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}],
            "overloaded",
        ),
        ([TEXT, b'{\n  "error": {"code": 503, "message": "overloaded"}\n}\n'], "overloaded"),
        ([TEXT, MALFORMED], "MALFORMED_FUNCTION_CALL"),
    ],
    ids=["cut", "error event", "bare error", "malformed call"],
)
def test_errors_in_the_stream(
    proxy: RunningProxy, upstream: UpstreamThread, events: list[Any], says: str
) -> None:
    upstream.script(sse_answer(*events, done=False))
    stream = proxy.openai().chat.completions.create(
        model="gemini:gemini-3-pro", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    with pytest.raises(openai.APIError, match=says):
        list(stream)


class TestAmendments:
    """What Gemini refuses is put in another way, and the client notices nothing."""

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize("times", [1, 2])
    def test_a_malformed_call_is_asked_again(
        self, proxy: RunningProxy, upstream: UpstreamThread, stream: bool, times: int
    ) -> None:
        before = len(upstream.simulator.requests)
        upstream.script(*[sse_answer(MALFORMED, done=False)] * times)
        upstream.script(sse_answer(TEXT, LAST, done=False))
        with proxy.client() as client:
            body = {"model": "gemini:gemini-3-pro", "messages": [{"role": "user", "content": "x"}]}
            answer = client.post("/v1/chat/completions", json=body | {"stream": stream})
            assert answer.status_code == 200
            assert answer.text.count("Hi") == 1
            assert client.get("/health").status_code == 200
        assert len(upstream.simulator.requests) == before + times + 1

    def test_a_refused_schema_goes_in_the_other_carrier(
        self, proxy: RunningProxy, upstream: UpstreamThread
    ) -> None:
        upstream.script(
            google_error(400, "Invalid JSON schema in function_declarations", "INVALID_ARGUMENT"),
            sse_answer(TEXT, LAST, done=False),
        )
        body = {
            "model": "gemini:gemini-3.9-odd",
            "messages": [{"role": "user", "content": "x"}],
            "tools": TOOLS,
        }
        assert proxy.client().post("/v1/chat/completions", json=body).status_code == 200
        first, second = (r.json["tools"][0] for r in upstream.simulator.requests[-2:])
        assert "parametersJsonSchema" in json.dumps(first)
        assert "parametersJsonSchema" not in json.dumps(second)
        assert "title" in json.dumps(second)  # an argument of this name, no keyword
        # Learnt: the next request goes the way that worked.
        upstream.script(sse_answer(TEXT, LAST, done=False))
        proxy.client().post("/v1/chat/completions", json=body)
        assert upstream.simulator.requests[-1].json["tools"][0] == second

    def test_it_ends(self, proxy: RunningProxy, upstream: UpstreamThread) -> None:
        before = len(upstream.simulator.requests)
        upstream.script(*[sse_answer(MALFORMED, done=False)] * 3)
        body = {"model": "gemini:gemini-3-pro", "messages": [{"role": "user", "content": "x"}]}
        answer = proxy.client().post("/v1/chat/completions", json=body)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "malformed_function_call"
        assert len(upstream.simulator.requests) == before + 3


def test_warnings_tell_what_was_left_out(proxy: RunningProxy) -> None:
    body = {
        "model": "gemini:gemini-2.5-pro",
        "messages": [{"role": "user", "content": "hi"}],
        "logit_bias": {"1": 2},
    }
    for stream in (False, True):
        answer = proxy.client().post("/v1/chat/completions", json=body | {"stream": stream})
        assert answer.status_code == 200
        assert "logit_bias" in answer.headers["x-proxy-warnings"]


class TestEmbeddings:
    def test_gemini(self, proxy: RunningProxy, upstream: UpstreamThread) -> None:
        """The SDK asks for base64 by itself and unpacks it."""
        vectors = {"embeddings": [{"values": [1.0, 2.0]}, {"values": [0.5, 0.25]}]}
        path = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
        upstream.script(json_answer(vectors), path=path)
        answer = proxy.openai().embeddings.create(
            model="gemini:gemini-embedding-001", input=["a", "b"]
        )
        assert [item.embedding for item in answer.data] == [[1.0, 2.0], [0.5, 0.25]]
        texts = [
            r["content"]["parts"][0]["text"]
            for r in upstream.simulator.requests[-1].json["requests"]
        ]
        assert texts == ["a", "b"]

    def test_openrouter(self, proxy: RunningProxy, upstream: UpstreamThread) -> None:
        item = {"object": "embedding", "index": 0, "embedding": [1.0]}
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        reply = {"object": "list", "data": [item], "model": "m", "usage": usage}
        upstream.script(json_answer(reply))
        answer = proxy.openai().embeddings.create(model="openrouter:openai/e", input="a")
        assert answer.data[0].embedding == [1.0]
        assert upstream.simulator.requests[-1].path == "/api/v1/embeddings"

    @pytest.mark.parametrize(
        ("body", "param"),
        [({}, "input"), ({"input": [1, 2]}, "input"), ({"input": ["x"] * 101}, "input")],
    )
    def test_bad_requests(self, proxy: RunningProxy, body: dict[str, Any], param: str) -> None:
        answer = proxy.client().post("/v1/embeddings", json={"model": "gemini:e"} | body)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param
