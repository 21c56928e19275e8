"""The simulated Gemini: its wire, its behaviours, and that it is as strict as the rules say."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.upstream import UpstreamThread

Json = dict[str, Any]

MODES = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
TEXT = "  Grüße,\n\n 世界 \u2028!  "
TOOLS = [
    {"googleSearch": {}},
    {
        "functionDeclarations": [
            {
                "name": "look",
                "parameters": {
                    "type": "OBJECT",
                    "properties": {"path": {"type": "STRING"}},
                    "required": ["path"],
                },
            },
            {
                "name": "wait",
                "parametersJsonSchema": {
                    "properties": {"seconds": {"type": "integer"}},
                    "required": ["seconds"],
                },
            },
        ]
    },
]
CALLS = [
    {"name": "look", "args": {"path": "example"}},
    {"name": "wait", "args": {"seconds": 1}},
]


@pytest.fixture
def http(upstream: UpstreamThread, make_client: Callable[..., httpx.Client]) -> httpx.Client:
    headers = {"x-goog-api-key": "k"}
    return make_client(base_url=upstream.simulator.gemini_url, headers=headers)


def request(text: str = TEXT, **more: object) -> Json:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def path(model: str, stream: bool = False) -> str:
    return f"/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")


def ask(http: httpx.Client, model: str, body: Json, stream: bool) -> list[Json]:
    """The events of a stream; a whole reply counts as one event."""
    response = http.post(path(model, stream), json=body)
    assert response.status_code == 200, response.text
    if not stream:
        return [response.json()]
    assert response.headers["content-type"] == "text/event-stream"
    *events, rest = response.content.split(b"\r\n\r\n")
    assert rest == b""
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def parts_of(events: list[Json]) -> list[Json]:
    return [part for event in events for part in event["candidates"][0]["content"]["parts"]]


def text_of(events: list[Json], thought: bool = False) -> str:
    parts = (part for part in parts_of(events) if part.get("thought", False) == thought)
    return "".join(part.get("text", "") for part in parts)


@MODES
@pytest.mark.parametrize(
    "model", ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-3-pro", "gemini-demo-slow", "gemini-9"]
)
def test_echo(http: httpx.Client, model: str, stream: bool) -> None:
    events = ask(http, model, request(), stream)
    assert text_of(events).startswith(f"Hello from {model}, a simulated model")
    assert text_of(events).endswith(f"You said: {TEXT}")
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"
    assert {event["modelVersion"] for event in events} == {model}
    assert {event["responseId"] for event in events} == {"simulated-1"}


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro"])
def test_the_events_of_a_stream(http: httpx.Client, model: str) -> None:
    *events, last = ask(http, model, request(), stream=True)
    assert not any("finishReason" in event["candidates"][0] for event in events)
    assert parts_of([last])[0]["text"] == ""
    assert ("thoughtSignature" in parts_of([last])[0]) == (model == "gemini-3-pro")
    totals = [event["usageMetadata"]["totalTokenCount"] for event in [*events, last]]
    assert totals == sorted(totals)
    usage = last["usageMetadata"]
    assert totals[-1] == usage["promptTokenCount"] + usage["candidatesTokenCount"]


@MODES
def test_thinking(http: httpx.Client, stream: bool) -> None:
    events = ask(http, "gemini-demo-thinking", request(), stream)
    assert text_of(events, thought=True).startswith("The user wants")
    assert text_of(events).endswith(TEXT)
    assert events[-1]["usageMetadata"]["thoughtsTokenCount"] > 0


@MODES
@pytest.mark.parametrize(
    ("model", "text", "calls"),
    [
        ("gemini-demo-tool-call", "hi", CALLS[:1]),
        ("gemini-demo-two-tool-calls", "hi", CALLS),
        ("gemini-2.5-pro", "Use a tool!", CALLS[:1]),
    ],
)
def test_a_tool_loop(
    http: httpx.Client, model: str, text: str, calls: list[Json], stream: bool
) -> None:
    body = request(text, tools=TOOLS)
    parts = [part for part in parts_of(ask(http, model, body, stream)) if "functionCall" in part]
    is_signing = model != "gemini-2.5-pro"
    assert [part.get("thoughtSignature") is not None for part in parts] == (
        [is_signing, False][: len(calls)]
    )
    made = [dict(part["functionCall"]) for part in parts]
    ids = [call.pop("id") for call in made] if is_signing else []
    assert made == calls
    assert len(set(ids)) == len(ids)

    responses = [{**part["functionCall"], "response": {"output": "it's fine"}} for part in parts]
    for response in responses:
        del response["args"]
    body["contents"] += [
        {"role": "model", "parts": parts},
        {"role": "user", "parts": [{"functionResponse": response} for response in responses]},
    ]
    quoted = "; ".join(['"it\'s fine"'] * len(calls))
    assert text_of(ask(http, model, body, stream)) == f"The tool answered: {quoted}"


def test_results_are_quoted_as_json(http: httpx.Client) -> None:
    body = request()
    result = {"name": "look", "response": {"a": "é"}}
    body["contents"] += [
        {"role": "model", "parts": [{"functionCall": {"name": "look"}}]},
        {"role": "user", "parts": [{"functionResponse": result}]},
    ]
    assert text_of(ask(http, "gemini-2.5-pro", body, False)) == 'The tool answered: "{"a": "é"}"'


def test_a_call_without_arguments_has_no_args(http: httpx.Client) -> None:
    tools = [{"functionDeclarations": [{"name": "now"}]}]
    events = ask(http, "gemini-demo-tool-call", request(tools=tools), False)
    assert parts_of(events)[0]["functionCall"].keys() == {"name", "id"}


def test_no_call_if_the_mode_forbids_it(http: httpx.Client) -> None:
    config = {"functionCallingConfig": {"mode": "NONE"}}
    events = ask(http, "gemini-demo-tool-call", request(tools=TOOLS, toolConfig=config), False)
    assert "You said:" in text_of(events)


ERRORS = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@MODES
@pytest.mark.parametrize(("code", "status"), ERRORS.items(), ids=map(str, ERRORS))
def test_errors_with_a_status(http: httpx.Client, code: int, status: str, stream: bool) -> None:
    response = http.post(path(f"gemini-demo-error-{code}", stream), json=request())
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (code, code, status)
    assert error["message"]


def test_a_rate_limit_says_when_to_retry(http: httpx.Client) -> None:
    error = http.post(path("gemini-demo-error-429"), json=request()).json()["error"]
    quota, retry = error["details"]
    assert "PerMinute" in quota["violations"][0]["quotaId"]
    assert retry["@type"].endswith("RetryInfo")
    assert f"Please retry in {retry['retryDelay']}" in error["message"]


def test_an_error_in_mid_stream_is_bare_json(http: httpx.Client) -> None:
    response = http.post(path("gemini-demo-error-mid-stream", stream=True), json=request())
    *events, error = response.text.split("\r\n\r\n")
    assert response.status_code == 200
    assert "Hello" in events[0]
    assert json.loads(error)["error"]["code"] == 503
    assert http.post(path("gemini-demo-error-mid-stream"), json=request()).status_code == 503


@MODES
def test_a_cut(http: httpx.Client, stream: bool) -> None:
    seen: list[bytes] = []
    with (
        pytest.raises(httpx.RemoteProtocolError),
        http.stream("POST", path("gemini-demo-cut-mid-stream", stream), json=request()) as cut,
    ):
        seen.extend(cut.iter_bytes())
    assert b"Hello" in b"".join(seen)


@MODES
def test_a_blocked_prompt(http: httpx.Client, stream: bool) -> None:
    (event,) = ask(http, "gemini-demo-blocked", request(), stream)
    assert event["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert "candidates" not in event


@MODES
def test_a_malformed_call(http: httpx.Client, stream: bool) -> None:
    (event,) = ask(http, "gemini-demo-malformed-call", request(), stream)
    assert event["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"1", b'{"contents":{}}', b'{"contents":[1]}']
)
def test_what_is_no_chat_request(http: httpx.Client, content: bytes) -> None:
    response = http.post(path("gemini-2.5-pro"), content=content)
    assert response.status_code == 400
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_a_broken_rule_is_400_and_may_name_the_field(http: httpx.Client) -> None:
    body = request(generationConfig={"max_tokens": 1})
    error = http.post(path("gemini-2.5-pro"), json=body).json()["error"]
    assert error["message"].startswith("Invalid JSON payload received. Unknown name")
    assert error["details"][0]["fieldViolations"][0]["field"] == "generationConfig"

    body = {"contents": [{"role": "assistant", "parts": [{"text": "hi"}]}]}
    error = http.post(path("gemini-2.5-pro"), json=body).json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert "details" not in error


@pytest.mark.parametrize(("method", "at"), [("GET", "/models"), ("POST", path("gemini-2.5-pro"))])
def test_no_key(http: httpx.Client, method: str, at: str) -> None:
    response = http.request(method, at, headers={"x-goog-api-key": ""})
    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize(
    ("method", "at"),
    [
        ("GET", "/nothing"),
        ("POST", "/models"),
        ("GET", path("gemini-2.5-pro")),
        ("POST", "/models/gemini-2.5-pro:guess"),
        ("POST", path("gpt-4o")),
        ("POST", path("gemini-embedding-001")),
    ],
)
def test_unknown_paths_and_models(http: httpx.Client, method: str, at: str) -> None:
    response = http.request(method, at, json=request())
    assert response.status_code == 404
    assert response.json()["error"]["status"] == "NOT_FOUND"


def test_models(http: httpx.Client) -> None:
    cards = {card["name"]: card for card in http.get("/models").json()["models"]}
    assert "generateContent" in cards["models/gemini-2.5-pro"]["supportedGenerationMethods"]
    assert cards["models/gemini-embedding-001"]["supportedGenerationMethods"] == ["embedContent"]
    assert cards["models/gemini-demo-tool-call"]["inputTokenLimit"] > 0


def test_pages_of_models(http: httpx.Client) -> None:
    everything = http.get("/models", params={"pageSize": 1000}).json()
    assert "nextPageToken" not in everything
    seen: list[Json] = []
    query: dict[str, str] = {"pageSize": "4"}
    while True:
        page = http.get("/models", params=query).json()
        assert len(page["models"]) <= 4
        seen += page["models"]
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    assert seen == everything["models"]
    assert http.get("/models", params={"pageToken": "x"}).status_code == 400
