"""The main job: OpenAI's SDK talks to OpenRouter through the proxy, both ways in."""

import json

import openai
import pytest
import zstandard

from addon.demo.simulator import Gate, Send, Wait, json_answer, sse_answer
from tests.harness import UPSTREAM_KEY, RunningProxy
from tests.upstream import UpstreamThread

HELLO = [{"role": "user", "content": "Hello, wörld \u2028 😀"}]


def chunk(text: str, finish: str | None = None) -> dict[str, object]:
    return {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "acme/coder",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}],
    }


def test_a_whole_answer(proxy: RunningProxy, upstream: UpstreamThread, tunnel: bool) -> None:
    answer = proxy.openai(tunnel=tunnel).chat.completions.create(
        model="openrouter:demo/echo",
        messages=HELLO,
        extra_body={"top_k": 1, "provider": {"x": 1.0}},
    )
    assert "Hello, wörld \u2028 😀" in (answer.choices[0].message.content or "")
    sent = upstream.simulator.requests[-1]
    assert sent.path == "/api/v1/chat/completions"
    assert list(sent.json) == ["model", "messages", "top_k", "provider"]
    assert sent.json["model"] == "demo/echo"
    assert sent.json["messages"] == HELLO
    assert [v for k, v in sent.headers if k == "authorization"] == [f"Bearer {UPSTREAM_KEY}"]
    assert not [k for k, _ in sent.headers if k.startswith("x-stainless")]
    assert sent.header("host") == f"127.0.0.1:{upstream.simulator.port}"


def test_a_stream(proxy: RunningProxy, tunnel: bool) -> None:
    stream = proxy.openai(tunnel=tunnel).chat.completions.create(
        model="openrouter:demo/echo", messages=HELLO, stream=True
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "Hello, wörld \u2028 😀" in text
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None


def test_each_chunk_arrives_when_it_is_sent(
    proxy: RunningProxy, upstream: UpstreamThread, tunnel: bool
) -> None:
    first, second = Gate(), Gate()
    upstream.script(
        sse_answer(chunk("one"), Wait(first), chunk("two"), Wait(second), chunk("three", "stop"))
    )
    stream = proxy.openai(tunnel=tunnel).chat.completions.create(
        model="m", messages=HELLO, stream=True
    )
    assert next(stream).choices[0].delta.content == "one"  # the upstream waits at the gate
    first.open()
    assert next(stream).choices[0].delta.content == "two"
    second.open()
    assert [c.choices[0].delta.content for c in stream] == ["three"]


def test_comments_pass_before_the_first_chunk(
    proxy: RunningProxy, upstream: UpstreamThread
) -> None:
    gate = Gate()
    upstream.script(sse_answer(b": OPENROUTER PROCESSING\n\n", Wait(gate), chunk("x", "stop")))
    with proxy.client().stream(
        "POST", "/v1/chat/completions", json={"messages": HELLO, "stream": True}
    ) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": OPENROUTER PROCESSING"
        gate.open()
        assert [line for line in lines if line][-1] == "data: [DONE]"


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/chat/completions", "/api/v1/chat/completions/"]
)
def test_every_prefix(proxy: RunningProxy, path: str) -> None:
    answer = proxy.client().post(path, json={"model": "demo/echo", "messages": HELLO})
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"
    assert answer.headers["x-request-id"]


def test_http2_clients(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    upstream.script(sse_answer(chunk("one"), chunk("two", "stop")))
    with proxy.client(tunnel=True, http2=True) as client:
        url = "https://openrouter.ai/api/v1/chat/completions"
        whole = client.post(url, json={"model": "m", "messages": HELLO, "stream": True})
        assert whole.http_version == "HTTP/2"
        assert whole.text.endswith("data: [DONE]\n\n")
        again = client.post(url, json={"model": "demo/echo", "messages": HELLO})
        assert again.json()["choices"][0]["message"]["content"]


def test_a_tool_loop(proxy: RunningProxy) -> None:
    client = proxy.openai()
    tools = [
        {
            "type": "function",
            "function": {
                "name": "read_file",
                "parameters": {
                    "type": "object",
                    "properties": {"path": {"type": "string"}},
                    "required": ["path"],
                },
            },
        }
    ]
    messages: list[dict[str, object]] = [{"role": "user", "content": "Read it"}]
    first = client.chat.completions.create(
        model="openrouter:demo/tool-call", messages=messages, tools=tools
    ).choices[0]
    assert first.finish_reason == "tool_calls"
    calls = first.message.tool_calls
    assert calls
    assert json.loads(calls[0].function.arguments).keys() == {"path"}
    messages.append(first.message.to_dict())
    messages.append({"role": "tool", "tool_call_id": calls[0].id, "content": "the text"})
    last = client.chat.completions.create(
        model="openrouter:demo/tool-call", messages=messages, tools=tools
    ).choices[0]
    assert last.finish_reason == "stop"
    assert "the text" in (last.message.content or "")


def test_a_large_prompt(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    text = "x" * 1_000_000
    upstream.script(json_answer({"choices": [{"message": {"content": "ok"}}]}))
    message = [{"role": "user", "content": text}]
    answer = proxy.client().post("/v1/chat/completions", json={"messages": message})
    assert answer.status_code == 200
    assert upstream.simulator.requests[-1].json["messages"] == message


def test_errors_reach_the_sdk(proxy: RunningProxy, tunnel: bool) -> None:
    client = proxy.openai(tunnel=tunnel)
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="openrouter:demo/error-429", messages=HELLO)
    assert limited.value.code == "rate_limit_exceeded"
    assert limited.value.response.headers["retry-after"]
    with pytest.raises(openai.APIError) as broken:
        list(
            client.chat.completions.create(
                model="openrouter:demo/error-mid-stream", messages=HELLO, stream=True
            )
        )
    assert isinstance(broken.value.code, str | None)


def test_a_big_event(proxy: RunningProxy, upstream: UpstreamThread, tunnel: bool) -> None:
    image = "x" * 2_000_000
    event = chunk("") | {
        "choices": [{"index": 0, "delta": {"images": [image]}, "finish_reason": "stop"}]
    }
    upstream.script(sse_answer(event))
    stream = proxy.openai(tunnel=tunnel).chat.completions.create(
        model="m", messages=HELLO, stream=True
    )
    assert next(stream).choices[0].delta.to_dict()["images"] == [image]
    assert list(stream) == []


def test_identical_bytes_in_odd_packets(proxy: RunningProxy, upstream: UpstreamThread) -> None:
    """UTF-8 split over packets, CRLF, U+2028 inside JSON, unusual spacing: nothing changes."""
    body = (
        b': hi\r\n\r\ndata: {"choices": [ {"index":0, "delta":{"content":"'
        + "é\u2028😀".encode()
        + b'"},"finish_reason":"stop"} ] }\r\n\r\ndata: [DONE]\n\n'
    )
    upstream.script(sse_answer(*[Send(body[i : i + 1]) for i in range(len(body))], done=False))
    answer = proxy.client().post("/v1/chat/completions", json={"messages": HELLO, "stream": True})
    assert answer.content == body


def test_a_compressed_request(proxy: RunningProxy) -> None:
    """Codex compresses with zstd when it is signed in with an account."""
    chat = {"model": "demo/echo", "messages": [{"role": "user", "content": "squeezed"}]}
    body = zstandard.ZstdCompressor().compress(json.dumps(chat).encode())
    with proxy.client() as client:
        for path in ("/v1/chat/completions", "/api/v1/chat/completions"):
            answer = client.post(path, content=body, headers={"content-encoding": "zstd"})
            assert answer.json()["choices"][0]["message"]["content"].endswith("squeezed")
        answer = client.post(path, content=body[:-3], headers={"content-encoding": "zstd"})
        assert answer.status_code == 400


@pytest.mark.parametrize("model", ["demo/echo", "gemini:gemini-2.5-pro"])
def test_old_completions(proxy: RunningProxy, tunnel: bool, model: str) -> None:
    client = proxy.openai(tunnel=tunnel)
    whole = client.completions.create(model=model, prompt="Say it").choices[0].text
    assert whole.endswith("You said: Say it")
    chunks = client.completions.create(model=model, prompt="Say it", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole
