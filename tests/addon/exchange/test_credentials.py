"""Clients' credentials: what is one, and that they reach the addressed host and nothing else."""

import pytest
from hypothesis import given, strategies as st
from mitmproxy import http
from mitmproxy.connection import Server

from addon.exchange.credentials import HIDDEN, ClientCredentials, client_headers, hide_in_url

HOST = "api.vendor.example"
ANY = "q7Rt2kZ9xWb4Nn8pLs3V"  # 20 random characters
HEX = "9f86d081884c7d659a2feaa0"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"

SECRET_HEADERS = [
    ("Authorization", "short"),
    ("Proxy-Authorization", "Basic eDp5"),
    ("x-api-key", "short"),
    ("api-key", "short"),
    ("X-Goog-Api-Key", "short"),
    ("anthropic-api-key", "short"),
    ("x-auth-token", "short"),
    ("cookie", "a=b"),
    ("sec-websocket-protocol", "realtime, openai-insecure-api-key.abc, openai-beta.realtime-v1"),
    ("x-portkey", f"sk-proj-{ANY}"),
    ("x-key-of-mine", f"AIza{ANY}"),
    ("x-a", "Bearer short"),
    ("x-a", "basic eDp5"),
    ("x-a", f"the token is {JWT} here"),
    ("x-a", ANY),
    ("x-a", HEX),
    ("x-a", f"id={ANY}; secure"),
    ("referer", "https://a.example/?key=abc"),
    ("x-a", "(hidden)"),
]
HARMLESS_HEADERS = [
    ("Host", f"sk-{ANY}.example"),
    ("Content-Type", "multipart/form-data; boundary=9f86d081884c7d659a2feaa0c55ad015"),
    ("content-length", "12345678901234567890"),
    ("user-agent", "claude-cli/2.0.14 (external, sdk-cli) OpenAI/Python 1.109.1"),
    ("accept", "application/vnd.github.v3+json, text/event-stream"),
    ("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14"),
    ("openai-organization", "org-9f86d081884c7d659a2feaa0"),
    ("x-session-id", "0198f3a2-7c44-7d53-bb6f-5d9c5bd3a2e1"),
    ("session_id", "0198f3a2-7c44-7d53-bb6f-5d9c5bd3a2e1"),
    ("x-session-affinity", "ses_0198f3a27c447d53bb6f5d9c5bd3a2e1"),
    ("chatgpt-account-id", "0198f3a2-7c44-7d53-bb6f-5d9c5bd3a2e1"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("x-stainless-runtime-version", "v24.1.0-nightly.20251001.9f86d081884c7d"),
    ("x-openrouter-categories", "cli-agent,ide-extension,programming-app"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("http-referer", f"https://a.example/{ANY}"),
    ("x-a", "https://a.example/docs?page=intro"),
    ("x-a", "a sentence of words"),
    ("x-a", "sk-learn"),
]
QUERIES = [
    ("/v1?key=abc", "/v1?key=(hidden)"),
    ("/v1?a=b&KEY=abc&c=d", "/v1?a=b&KEY=(hidden)&c=d"),
    ("/v1?%6bey=abc", "/v1?%6bey=(hidden)"),
    ("/v1?sig=abc&se=2026", "/v1?sig=(hidden)&se=2026"),
    ("/v1?client_secret=abc", "/v1?client_secret=(hidden)"),
    ("/v1?x-goog-api-key=abc", "/v1?x-goog-api-key=(hidden)"),
    ("/v1?code=abc", "/v1?code=(hidden)"),
    ("/v1?access_token=abc;b", "/v1?access_token=(hidden);b"),
    (
        "/v1?X-Amz-Signature=abc&X-Amz-Credential=d",
        "/v1?X-Amz-Signature=(hidden)&X-Amz-Credential=(hidden)",
    ),
    (f"/v1?whatever={ANY}", "/v1?whatever=(hidden)"),
    (f"/v1?whatever=%73k-{ANY}", "/v1?whatever=(hidden)"),
    (f"/bot/sk-{ANY}/send", "/bot/(hidden)/send"),
    ("/v1/files?after=file-9f86d081884c7d659a2feaa0&limit=5", None),
    ("/v1/models?key=", None),
    ("/v1/responses/resp_0198f3a27c447d53bb6f5d9c5bd3a2e1", None),
    ("/v1/max_tokens?keyboard=qwerty&model=gpt-5-codex-mini-2026-01-01", None),
]


def request(headers: list[tuple[str, str]], path: str = "/v1/files") -> http.Request:
    made = http.Request.make("GET", f"https://{HOST}/")
    made.headers = http.Headers([(name.encode(), value.encode()) for name, value in headers])
    made.path = path
    return made


def server(host: str = HOST, port: int = 443, *, tls: bool = True) -> Server:
    made = Server(address=(host, port))
    made.tls = tls
    return made


@pytest.mark.parametrize(("name", "value"), SECRET_HEADERS)
def test_secret_headers(name: str, value: str) -> None:
    made = request([("accept", "*/*"), (name, value)])
    credentials = ClientCredentials.take(made)
    assert made.headers[name] == "(hidden)"
    assert credentials.header(name.lower()) == value
    assert dict(client_headers(made)).keys() == {"accept"}
    assert value not in repr(credentials)


@pytest.mark.parametrize(("name", "value"), HARMLESS_HEADERS)
def test_harmless_headers(name: str, value: str) -> None:
    made = request([(name, value)])
    credentials = ClientCredentials.take(made)
    assert made.headers[name] == value
    assert credentials.header(name.lower()) is None
    assert client_headers(made) == [(name.lower(), value)]


@pytest.mark.parametrize(("path", "shown"), QUERIES)
def test_queries(path: str, shown: str | None) -> None:
    made = request([], path)
    credentials = ClientCredentials.take(made)
    assert made.path == (shown or path)
    assert credentials.to_send(made, server()).path == path
    assert made.path == (shown or path)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (server(), ["Bearer k", "b"]),
        (server(port=8443), ["b"]),
        (server("evil.example"), ["b"]),
        (server(tls=False), ["b"]),
        (Server(address=None), ["b"]),
    ],
)
def test_only_the_addressed_host_gets_them(changed: Server, expected: list[str]) -> None:
    made = request([("authorization", "Bearer k"), ("a", "b")], "/?key=abc")
    credentials = ClientCredentials.take(made)
    sent = credentials.to_send(made, changed)
    assert list(sent.headers.values()) == expected
    assert ("abc" in sent.path) == (len(expected) == 2)


def test_what_was_edited_stays_edited() -> None:
    made = request([("x-api-key", "one"), ("a", "b"), ("X-Api-Key", "two")], "/v1?a=b&key=abc")
    credentials = ClientCredentials.take(made)
    made.headers["a"] = "c"
    made.path = made.path.replace("a=b", "more=1&a=2")
    sent = credentials.to_send(made, server())
    assert list(sent.headers.fields) == [
        (b"x-api-key", b"one"),
        (b"a", b"c"),
        (b"X-Api-Key", b"two"),
    ]
    assert sent.path == "/v1?more=1&a=2&key=abc"


def test_a_replaced_credential_is_sent_as_it_is_now() -> None:
    made = request([("authorization", "Bearer old")])
    credentials = ClientCredentials.take(made)
    made.headers["authorization"] = "Bearer new"
    assert credentials.to_send(made, server()).headers["authorization"] == "Bearer new"


def test_responses() -> None:
    fields = [
        (b"set-cookie", b"sid=1"),
        (b"x-request-id", HEX.encode()),
        (b"Set-Cookie", b"sid=2"),
        (b"location", b"https://files.example/?sig=abc"),
    ]
    response = http.Response.make(200, b"body", http.Headers(fields))
    credentials = ClientCredentials.take(request([]))
    credentials.take_response(response)
    assert [value for _, value in response.headers.fields[:4]] == [
        HIDDEN,
        HEX.encode(),
        HIDDEN,
        HIDDEN,
    ]
    sent = credentials.to_client(response)
    assert list(sent.headers.fields[:4]) == fields
    assert sent.content == b"body"


names = st.sampled_from([b"authorization", b"Cookie", b"x-a", b"user-agent", b"host"])
values = st.one_of(st.binary(max_size=40), st.sampled_from([HIDDEN, ANY.encode(), b"Bearer x"]))
parts = st.sampled_from(
    [b"/", b"?", b"&", b";", b"#", b"=", b"key", b"a", b"%6b", ANY.encode(), HIDDEN]
)


@given(
    st.lists(st.tuples(names, values)),
    st.one_of(st.binary(), st.lists(parts).map(b"".join)),
)
def test_whatever_was_hidden_is_sent_byte_for_byte(
    fields: list[tuple[bytes, bytes]], path: bytes
) -> None:
    made = request([])
    made.headers.fields, made.data.path = tuple(fields), path
    credentials = ClientCredentials.take(made)
    shown = made.copy()
    sent = credentials.to_send(made, server())
    assert (sent.headers.fields, sent.data.path) == (tuple(fields), path)
    assert made.get_state() == shown.get_state()
    assert hide_in_url(made.data.path) == made.data.path
    credentials.restore(made)
    assert (made.headers.fields, made.data.path) == (tuple(fields), path)
