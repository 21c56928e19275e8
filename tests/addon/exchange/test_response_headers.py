"""Headers of responses to clients: which come from upstreams, and how each is made safe."""

import pytest
from hypothesis import given, strategies as st
from mitmproxy.http import Headers, Response

from addon.exchange.response_headers import from_upstream, hide_secrets, to_client
from backends.keys import Key
from backends.redact import PLACEHOLDER, Redactor

SECRET = "sk-or-v1-a-secret"
REDACTOR = Redactor([Key("KEY", SECRET)])


def test_an_upstream_sets_only_what_clients_read() -> None:
    kept = {
        "content-type": "application/json",
        "retry-after": "1",
        "retry-after-ms": "1000",
        "x-should-retry": "false",
        "x-ratelimit-remaining": "3",
        "anthropic-ratelimit-tokens-reset": "2",
        "x-request-id": "r",
        "request-id": "r",
        "x-generation-id": "gen-1",
        "openai-processing-ms": "7",
    }
    dropped = {
        "location": "https://evil.example",
        "set-cookie": "a=b",
        "access-control-allow-origin": "*",
        "content-length": "1",
        "content-encoding": "gzip",
        "x-llm-proxy-model": "forged",
        "x-proxy-warnings": "forged",
        "x-echo": SECRET,
        "server": "s",
        "www-authenticate": "Basic",
    }
    fields = [(name.title().encode(), value.encode()) for name, value in (kept | dropped).items()]
    assert dict(from_upstream(Response.make(200, b"", Headers(fields)))).items() >= kept.items()
    assert not dict(from_upstream(Response.make(200, b"", Headers(fields)))).keys() & dropped.keys()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("openrouter:a\r\nx-evil: 1", b"openrouter:a%0D%0Ax-evil: 1"),
        ("\x1b[31mred", b"%1B[31mred"),
        (" padded\t", b"padded"),
        ("größe", b"gr%C3%B6%C3%9Fe"),
        ("half \ud800", b"half ?"),
        (f"Bearer {SECRET}", f"Bearer {PLACEHOLDER}".encode()),
    ],
)
def test_values(value: str, expected: bytes) -> None:
    assert to_client([("x-a", value)], REDACTOR).fields == ((b"x-a", expected),)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", f"x-{SECRET}", "a\x00"])
def test_illegal_names_are_dropped(name: str) -> None:
    headers = to_client([(name, "x"), ("x-b", "y"), ("x-b", "z")], REDACTOR)
    assert headers.fields == ((b"x-b", b"y"), (b"x-b", b"z"))


@given(st.lists(st.tuples(st.text(), st.text())))
def test_any_text(headers: list[tuple[str, str]]) -> None:
    for name, value in to_client(headers, REDACTOR).fields:
        assert name
        assert all(0x21 <= byte <= 0x7E for byte in name)
        assert all(0x20 <= byte <= 0x7E for byte in value)


def test_secrets_in_a_head_are_hidden() -> None:
    response = Response.make(200, b"", Headers([(SECRET.encode(), b"1"), (b"a", SECRET.encode())]))
    response.reason = SECRET
    hide_secrets(response, REDACTOR)
    assert SECRET not in str(response.get_state())
