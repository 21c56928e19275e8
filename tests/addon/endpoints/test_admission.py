"""What becomes of a request, as a table; no sockets."""

from collections.abc import Mapping

import pytest
from mitmproxy.test import tflow

from addon.endpoints.access import Access
from addon.endpoints.admission import Admission, Decision, check_request
from addon.endpoints.table import HostKind, match
from addon.exchange.credentials import ClientCredentials
from backends.errors import ApiError
from backends.keys import Key
from commands.config.model import Config

SECRET = "the-client-key-of-this-test"
LISTED = "api.openai.com"
BEARER = {"authorization": f"Bearer {SECRET}"}
PROMPT = "/v1/chat/completions"
MIB = 2**20


def decide(
    path: str = PROMPT,
    headers: Mapping[str, str] = BEARER,
    *,
    host: str = "127.0.0.1",
    method: str = "POST",
    is_shutting_down: bool = False,
    is_replay: bool = False,
) -> Decision:
    def track(_: object) -> None:
        if is_shutting_down:
            raise ApiError(503, "The proxy is shutting down")

    settings = Config(intercept_hosts=[LISTED], max_body_mib=1)
    access = Access(Key("K", SECRET))
    access.is_exposed = False
    flow = tflow.tflow()
    flow.client_conn.sockname = ("127.0.0.1", 8000)
    flow.is_replay = "request" if is_replay else None
    request = flow.request
    request.method, request.path, request.host, request.port = method, path, host, 8000
    request.headers.clear()
    request.headers.update({"host": f"{host}:8000", **headers})
    credentials = ClientCredentials.take(request)
    assert SECRET not in str(request.headers)
    decision = Admission(settings, access, track).decide(flow, credentials)
    assert bool(decision.credentials) == bool(request.stream)
    return decision


@pytest.mark.parametrize(
    ("host", "method", "path", "endpoint"),
    [
        ("127.0.0.1", "POST", PROMPT, "chat"),
        ("localhost", "POST", "/chat/completions", "chat"),
        (LISTED, "POST", PROMPT, "chat"),
        ("API.OpenAI.com.", "POST", "//v1/chat%2Fcompletions", "chat"),
        ("127.0.0.1", "GET", "/health", "health"),
        ("127.0.0.1", "GET", "/v1/models/openrouter:a/b", "model"),
    ],
)
def test_claimed(host: str, method: str, path: str, endpoint: str) -> None:
    decision = decide(path, host=host, method=method)
    assert decision.exchange
    assert not decision.error
    assert decision.exchange.endpoint == endpoint
    assert SECRET not in str(decision.exchange.headers)


@pytest.mark.parametrize(
    ("host", "path"),
    [(LISTED, "/v1/files"), (LISTED, "/"), ("api.example", PROMPT), ("api.example", "/")],
)
def test_passed_through(host: str, path: str) -> None:
    decision = decide(path, host=host)
    assert (decision.exchange, decision.error, decision.response) == (None, None, None)
    assert decision.credentials


NO_KEY: dict[str, str] = {}
REFUSED = [
    ("no key", 401, PROMPT, NO_KEY, "POST"),
    ("a wrong key", 401, PROMPT, {"authorization": "Bearer x"}, "POST"),
    ("no such path", 404, "/v1/nothing", BEARER, "POST"),
    ("no such path, without a key", 404, "/v1/nothing", NO_KEY, "POST"),
    ("another method", 405, PROMPT, BEARER, "GET"),
    ("another method, without a key", 401, PROMPT, NO_KEY, "GET"),
    ("a WebSocket", 426, "/v1/responses", BEARER | {"upgrade": "websocket"}, "GET"),
    ("too large", 413, PROMPT, BEARER | {"content-length": str(MIB + 1)}, "POST"),
    ("a foreign origin", 403, PROMPT, BEARER | {"origin": "https://evil.example"}, "POST"),
    ("a foreign origin, no such path", 403, "/x", {"origin": "https://evil.example"}, "GET"),
]


@pytest.mark.parametrize(
    ("name", "status", "path", "headers", "method"), REFUSED, ids=[row[0] for row in REFUSED]
)
def test_refused(name: str, status: int, path: str, headers: dict[str, str], method: str) -> None:
    decision = decide(path, headers, method=method)
    assert decision.error
    assert decision.error.status == status
    assert decision.exchange
    assert dict(decision.exchange.reply_headers)["x-request-id"]


def test_the_largest_body_is_admitted() -> None:
    assert not decide(headers=BEARER | {"content-length": str(MIB)}).error


@pytest.mark.parametrize("path", [PROMPT, "/v1/nothing"])
def test_nothing_new_begins_at_the_end(path: str) -> None:
    decision = decide(path, is_shutting_down=True)
    assert decision.error
    assert decision.error.status == 503


def test_a_replayed_prompt_is_refused() -> None:
    decision = decide(is_replay=True)
    assert decision.error
    assert decision.error.status == 400


def test_a_preflight_is_answered() -> None:
    headers = {"origin": "http://127.0.0.1:8000"}
    decision = decide(headers=headers, method="OPTIONS")
    assert decision.response
    assert decision.response.status_code == 204
    assert decision.exchange
    assert ("vary", "origin") in decision.exchange.reply_headers


def test_close_is_answered_with_close() -> None:
    decision = decide(headers=BEARER | {"connection": "Close"})
    assert decision.exchange
    assert ("connection", "close") in decision.exchange.reply_headers


@pytest.mark.parametrize(("path", "allow"), [(PROMPT, "POST"), ("/health", "GET, HEAD")])
def test_the_allowed_methods_are_named(path: str, allow: str) -> None:
    found = match(path, HostKind.PROXY)
    assert found
    with pytest.raises(ApiError, match=f"DELETE is not allowed for {path}; use {allow}") as raised:
        check_request("DELETE", path, {}, found)
    assert raised.value.headers == (("allow", allow),)
