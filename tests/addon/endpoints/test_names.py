"""The normal form of names."""

import pytest
from hypothesis import given, strategies as st
from mitmproxy import http

from addon.endpoints import names, table
from addon.endpoints.access import check_host, is_local_peer
from addon.endpoints.table import HostKind
from backends.errors import ApiError


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("api.openai.com", "api.openai.com"),
        ("API.OpenAI.com", "api.openai.com"),
        ("api.openai.com.", "api.openai.com"),
        ("api\u3002openai\uff0ecom", "api.openai.com"),
        ("\uff21pi.openai.com", "api.openai.com"),
        ("api.openai.\u0441om", "api.openai.xn--om-nmc"),  # a Cyrillic letter is another name
        ("x" * 99 + "\u00e4", "x" * 99 + "\u00e4"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_host_name(given: str, normal: str) -> None:
    assert names.host_name(given) == normal


@pytest.mark.parametrize(
    ("given", "scheme", "normal"),
    [
        ("Box.LAN", "http", ("box.lan", 80)),
        ("box.lan:80", "http", ("box.lan", 80)),
        ("box.lan.:443", "https", ("box.lan", 443)),
        ("box.lan", "https", ("box.lan", 443)),
        ("[::1]:8000", "http", ("::1", 8000)),
        ("127.0.0.1:8000", "http", ("127.0.0.1", 8000)),
        ("not a host", "http", ("not a host", 80)),
    ],
)
def test_authority(given: str, scheme: str, normal: tuple[str, int]) -> None:
    assert names.authority(given, scheme) == normal


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("http://localhost:8000", ("http", "localhost", 8000)),
        ("https://App.example", ("https", "app.example", 443)),
        ("null", ("", "", None)),
        ("http://a:b", ("", "", None)),
        ("http://[", ("", "", None)),
    ],
)
def test_origin(given: str, normal: tuple[str, str, int | None]) -> None:
    assert names.origin(given) == normal


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("/", "/"),
        ("*", "*"),
        ("", "/"),
        ("/v1/models?x=/y", "/v1/models"),
        ("/v1/models/", "/v1/models"),
        ("/v1/models#x", "/v1/models"),
        ("//v1///models", "/v1/models"),
        ("/v1%2Fmodels", "/v1/models"),
        ("/v1%252fmodels", "/v1/models"),
        ("/v1;a=b/models;c", "/v1/models"),
        ("/v1/%6dodels%3Bc", "/v1/models"),
        ("/v1\\models", "/v1/models"),
        ("/v1/x/../models/.", "/v1/models"),
        ("/../../v1/models", "/v1/models"),
        ("/v1/models%20%00", "/v1/models"),
        ("/v1/models/Org%2FName:free", "/v1/models/Org/Name:free"),
        ("/v1/%ff", "/v1/\ufffd"),
    ],
)
def test_path(given: str, normal: str) -> None:
    assert names.path(given) == normal


@given(st.text())
def test_any_text_has_a_normal_form(text: str) -> None:
    names.host_name(text)
    names.authority(text, "http")
    names.origin(f"http://{text}")
    assert "//" not in names.path(f"/{text}")


@st.composite
def spellings(draw: st.DrawFn, path: str) -> str:
    """Another text that a lenient server takes for `path`."""
    between = st.sampled_from(["/", "//", "/./", "%2F", "/x/../", ";a=b/", "%5c"])
    segments = []
    for segment in path.split("/"):
        form = [draw(st.sampled_from([c, c.upper(), f"%{ord(c):02x}"])) for c in segment]
        segments.append("".join(form))
    return "".join(each + draw(between) for each in segments) + draw(
        st.sampled_from(["", "?a", "#b"])
    )


@given(spellings("v1/chat/completions"))
def test_no_spelling_slips_past(path: str) -> None:
    found = table.match(f"/{path}", HostKind.LLM_HOST)
    assert found
    assert found.endpoint.name == "chat"


@pytest.mark.parametrize("host_kind", [HostKind.LLM_HOST, HostKind.PROXY])
@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/chat/completions", "chat"),
        ("//chat/completions", "chat"),
        ("/v1/chat%2Fcompletions?a=b", "chat"),
        ("/v1/Chat/Completions", "chat"),
        ("/v1/chat;x/completions", "chat"),
        ("/v1/chat/completions#x", "chat"),
        ("/v1/files/../responses", "responses"),
        ("/v1/responses/compact", "unsupported"),
        ("/backend-api/codex/responses/compact/", "unsupported"),
        ("/v1/responses/input_tokens", "unsupported"),
        ("/v1/responses/resp_1", None),
        ("/v1/files", None),
    ],
)
def test_endpoint(host_kind: HostKind, path: str, endpoint: str | None) -> None:
    found = table.match(path, host_kind)
    assert (found and found.endpoint.name) == endpoint


def test_a_model_s_id_keeps_its_case() -> None:
    found = table.match("/V1/models/openrouter:Org%2FName:free", HostKind.PROXY)
    assert found
    assert found.model_id == "openrouter:Org/Name:free"


@pytest.mark.parametrize(
    ("hosts", "host_kind"),
    [
        (("API.OPENAI.COM",), HostKind.LLM_HOST),
        (("10.0.0.1", "10.0.0.1", "api.openai.com."), HostKind.LLM_HOST),
        (("10.0.0.1", None), HostKind.OTHER),
        (("api.openai.com.evil.example",), HostKind.OTHER),
    ],
)
def test_host_kind(hosts: tuple[str | None, ...], host_kind: HostKind) -> None:
    assert table.host_kind(hosts, ("api.openai.com",)) == host_kind


@pytest.mark.parametrize(
    ("peer", "local", "is_local"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.8.8.8", "127.0.0.1", True),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("10.0.0.5", "10.0.0.5", True),
        ("::ffff:10.0.0.5", "10.0.0.5", True),
        ("fe80::1%eth0", "fe80::1%eth0", True),
        ("0.0.0.0", "10.0.0.5", True),
        ("10.0.0.6", "10.0.0.5", False),
        ("2001:db8::1", "2001:db8::2", False),
    ],
)
def test_is_local_peer(peer: str, local: str, is_local: bool) -> None:
    assert is_local_peer(peer, local) == is_local


@pytest.mark.parametrize(
    ("version", "authority", "hosts", "says"),
    [
        ("HTTP/1.1", "", ["a"], None),
        ("HTTP/1.1", "", [], None),
        ("HTTP/1.1", "", ["a", "a"], "More than one Host header"),
        ("HTTP/2.0", "a", [], None),
        ("HTTP/2.0", "a", ["A:443"], None),
        ("HTTP/2.0", "a", ["a", "a"], "More than one Host header"),
        ("HTTP/2.0", "a", ["b"], "differ"),
        ("HTTP/2.0", "a", ["a:80"], "differ"),
    ],
)
def test_one_host(version: str, authority: str, hosts: list[str], says: str | None) -> None:
    request = http.Request.make("GET", "https://a/")
    request.http_version = version
    request.authority = authority
    request.headers.set_all("host", hosts)
    if says is None:
        check_host(request)
    else:
        with pytest.raises(ApiError, match=says):
            check_host(request)
