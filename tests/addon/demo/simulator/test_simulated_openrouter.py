"""The simulated OpenRouter: through the openai SDK where that shows all, else through httpx."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from tests.upstream import UpstreamThread

Json = dict[str, Any]

MODES = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
TEXT = "  Grüße,\n\n 世界 \u2028!  "
PARAMETERS = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "mode": {"enum": ["read", "write"]},
        "lines": {"type": "array", "items": {"type": "integer", "minimum": 3}},
        "deep": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
        "either": {"anyOf": [{"type": ["number", "null"]}, {"type": "string"}]},
        "any": True,
        "optional": {"type": "string"},
    },
    "required": ["path", "mode", "lines", "deep", "either", "any"],
}
ARGUMENTS = {
    "path": "example",
    "mode": "read",
    "lines": [3],
    "deep": {"on": True},
    "either": 1.5,
    "any": "example",
}
TOOLS = [
    {"type": "openrouter:datetime"},
    {"type": "function", "function": {"name": "look", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "wait"}},
]


@pytest.fixture
def sdk(upstream: UpstreamThread, make_client: Callable[..., httpx.Client]) -> openai.OpenAI:
    url = upstream.simulator.openrouter_url
    return openai.OpenAI(api_key="k", base_url=url, max_retries=0, http_client=make_client())


@pytest.fixture
def http(upstream: UpstreamThread, make_client: Callable[..., httpx.Client]) -> httpx.Client:
    headers = {"authorization": "Bearer k"}
    return make_client(base_url=upstream.simulator.openrouter_url, headers=headers)


def chat(model: str, stream: bool = False, text: str = TEXT, **more: object) -> Json:
    return {
        "model": model,
        "stream": stream,
        "messages": [{"role": "user", "content": text}],
        **more,
    }


def ask(sdk: openai.OpenAI, body: Json) -> Json:
    """The message of a whole reply, or the same put together from a stream."""
    if not body["stream"]:
        return sdk.chat.completions.create(**body).choices[0].to_dict()
    message: Json = {"content": "", "reasoning": "", "reasoning_details": [], "tool_calls": []}
    finish_reason = None
    for chunk in sdk.chat.completions.create(**body):
        for choice in chunk.choices:
            finish_reason = choice.finish_reason or finish_reason
            delta = choice.delta.to_dict()
            message["content"] += delta.get("content") or ""
            message["reasoning"] += delta.get("reasoning") or ""
            message["reasoning_details"] += delta.get("reasoning_details") or []
            for fragment in delta.get("tool_calls") or []:
                if fragment["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append(fragment)
                else:
                    call = message["tool_calls"][fragment["index"]]
                    call["function"]["arguments"] += fragment["function"]["arguments"]
    return {"message": message, "finish_reason": finish_reason}


@MODES
@pytest.mark.parametrize("model", ["demo/echo", "demo/slow", "of/no-one:free"])
def test_echo(sdk: openai.OpenAI, model: str, stream: bool) -> None:
    choice = ask(sdk, chat(model, stream))
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"].startswith(f"Hello from {model}, a simulated model")
    assert choice["message"]["content"].endswith(f"You said: {TEXT}")


def test_echo_of_the_newest_user_text(sdk: openai.OpenAI) -> None:
    parts = [{"type": "text", "text": "new"}, {"type": "image_url", "image_url": {"url": "x"}}]
    messages = [
        {"role": "user", "content": "old"},
        {"role": "user", "content": [*parts, {"type": "text", "text": "est"}]},
        {"role": "assistant", "content": None},
    ]
    choice = ask(sdk, chat("demo/echo", messages=messages))
    assert choice["message"]["content"].endswith("You said: new\nest")


def test_a_long_text_is_cut(sdk: openai.OpenAI) -> None:
    choice = ask(sdk, chat("demo/echo", text="x" * 5000))
    assert choice["message"]["content"].endswith("You said: " + "x" * 1000 + " ...")


def test_the_events_of_a_stream(http: httpx.Client) -> None:
    response = http.post("/chat/completions", json=chat("demo/echo", stream=True))
    comment, *events, last = response.text.removesuffix("\n\n").split("\n\n")
    assert comment == ": OPENROUTER PROCESSING"
    assert last == "data: [DONE]"
    *chunks, finish, usage = [json.loads(event.removeprefix("data: ")) for event in events]
    assert {chunk["id"] for chunk in [*chunks, finish, usage]} == {"gen-1750000001-simulated"}
    assert response.headers["x-generation-id"] == "gen-1750000001-simulated"
    assert {chunk["choices"][0]["finish_reason"] for chunk in chunks} == {None}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > usage["usage"]["completion_tokens"] > 0
    assert usage["usage"]["cost"] > 0


@MODES
def test_reasoning(sdk: openai.OpenAI, stream: bool) -> None:
    message = ask(sdk, chat("demo/reasoning", stream))["message"]
    assert message["content"].endswith(TEXT)
    assert message["reasoning"].startswith("The user wants")
    details = message["reasoning_details"]
    assert "".join(detail.get("text", "") for detail in details) == message["reasoning"]
    assert details[-1]["signature"]


@MODES
@pytest.mark.parametrize(
    ("model", "text", "names"),
    [
        ("demo/tool-call", "hi", ["look"]),
        ("demo/two-tool-calls", "hi", ["look", "wait"]),
        ("demo/echo", "Use a Tool!", ["look"]),
    ],
)
def test_a_tool_loop(
    sdk: openai.OpenAI, model: str, text: str, names: list[str], stream: bool
) -> None:
    body = chat(model, stream, text, tools=TOOLS)
    choice = ask(sdk, body)
    assert choice["finish_reason"] == "tool_calls"
    calls = choice["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == names
    arguments = [ARGUMENTS, {}][: len(calls)]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == arguments
    assert len({call["id"] for call in calls}) == len(calls)

    body["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": call["id"], "content": "it's fine"} for call in calls),
    ]
    choice = ask(sdk, body)
    assert choice["finish_reason"] == "stop"
    quoted = "; ".join(['"it\'s fine"'] * len(calls))
    assert choice["message"]["content"] == f"The tool answered: {quoted}"


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("tool wait(s=5, why=is it (so) =?, deep=[1, 2])", ("wait", {"s": 5, "why": "is it (so"})),
        ("the tool look(mode=write)", ("look", ARGUMENTS | {"mode": "write"})),
        ("tool nap(s=5)", ("look", ARGUMENTS)),
    ],
)
def test_a_call_that_is_spelled_out(sdk: openai.OpenAI, text: str, called: object) -> None:
    [call] = ask(sdk, chat("demo/echo", text=text, tools=TOOLS))["message"]["tool_calls"]
    function = call["function"]
    assert (function["name"], json.loads(function["arguments"])) == called


@pytest.mark.parametrize(
    "options",
    [{}, {"tools": None}, {"tools": TOOLS, "tool_choice": "none"}],
    ids=["no tools", "null", "not allowed"],
)
def test_no_tool_to_call(sdk: openai.OpenAI, options: Json) -> None:
    assert "You said:" in ask(sdk, chat("demo/tool-call", **options))["message"]["content"]


def test_the_only_tool_is_called_twice(sdk: openai.OpenAI) -> None:
    message = ask(sdk, chat("demo/two-tool-calls", tools=TOOLS[2:]))["message"]
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["wait", "wait"]


ERRORS: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    402: openai.APIStatusError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
    529: openai.InternalServerError,
}


@MODES
@pytest.mark.parametrize(("status", "kind"), ERRORS.items(), ids=map(str, ERRORS))
def test_errors_with_a_status(
    sdk: openai.OpenAI, status: int, kind: type[openai.APIStatusError], stream: bool
) -> None:
    with pytest.raises(kind) as caught:
        ask(sdk, chat(f"demo/error-{status}", stream))
    assert caught.value.status_code == status
    body = caught.value.response.json()
    assert body["error"]["code"] == status
    assert body["error"]["message"]
    assert body["error"]["metadata"]
    has_hint = "retry-after" in caught.value.response.headers
    assert has_hint == (status in {429, 503})


def test_the_rate_limit_is_in_headers_and_body(http: httpx.Client) -> None:
    response = http.post("/chat/completions", json=chat("demo/error-429"))
    stated = response.json()["error"]["metadata"]["headers"]
    assert stated["X-RateLimit-Remaining"] == "0"
    assert {name: response.headers[name] for name in stated} == stated


@pytest.mark.parametrize(
    ("model", "stream"),
    [
        ("demo/error-in-200", False),
        ("demo/error-in-200", True),
        ("demo/error-first-event", False),
    ],
)
def test_an_error_in_200(http: httpx.Client, model: str, stream: bool) -> None:
    response = http.post("/chat/completions", json=chat(model, stream))
    assert response.status_code == 200
    assert response.json()["error"]["code"] == 502
    assert "choices" not in response.json()


@pytest.mark.parametrize(
    ("model", "has_text"), [("demo/error-first-event", False), ("demo/error-mid-stream", True)]
)
def test_an_error_in_a_stream(
    sdk: openai.OpenAI, http: httpx.Client, model: str, has_text: bool
) -> None:
    body = chat(model, stream=True)
    with pytest.raises(openai.APIError, match="Provider returned error"):
        ask(sdk, body)
    raw = http.post("/chat/completions", json=body).text
    assert ("Hello" in raw) == has_text
    assert ("[DONE]" in raw) == (not has_text)


def test_an_error_next_to_the_text(sdk: openai.OpenAI) -> None:
    choice = ask(sdk, chat("demo/error-mid-stream"))
    assert choice["finish_reason"] == "error"
    assert choice["error"]["code"] == 502
    assert choice["message"]["content"]


@MODES
def test_a_cut(http: httpx.Client, stream: bool) -> None:
    seen: list[bytes] = []
    with (
        pytest.raises(httpx.RemoteProtocolError),
        http.stream("POST", "/chat/completions", json=chat("demo/cut-mid-stream", stream)) as cut,
    ):
        seen.extend(cut.iter_bytes())
    assert b"Hello" in b"".join(seen)


@MODES
def test_a_page_of_a_gateway(http: httpx.Client, stream: bool) -> None:
    response = http.post("/chat/completions", json=chat("demo/html-502", stream))
    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"messages":[1]}', b'{"messages":[],"model":[1]}']
)
def test_what_is_no_chat_request(http: httpx.Client, content: bytes) -> None:
    response = http.post("/chat/completions", content=content)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == 400


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic k"])
def test_no_key(http: httpx.Client, authorization: str) -> None:
    headers = {"authorization": authorization}
    response = http.post("/chat/completions", json=chat("demo/echo"), headers=headers)
    assert response.status_code == 401
    error = {"code": 401, "message": "Missing Authentication header"}
    assert response.json() == {"error": error}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/chat/completions"), ("POST", "/models"), ("GET", "/models/a")]
)
def test_unknown_paths(http: httpx.Client, method: str, path: str) -> None:
    response = http.request(method, path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == 404


def test_models(http: httpx.Client) -> None:
    body = http.get("/models", params={"x": "y"}, headers={"authorization": ""}).json()
    cards = {card["id"]: card for card in body["data"]}
    assert body["total_count"] == len(body["data"]) == len(cards)
    assert {"demo/echo", "demo/error-429", "openai/gpt-4o-mini"} <= cards.keys()
    assert "object" not in body
    card = cards["demo/echo"]
    assert float(card["pricing"]["prompt"]) > 0
    assert card["context_length"] == card["top_provider"]["context_length"]
    assert "tools" in card["supported_parameters"]
