"""The client key goes to the proxy alone, whatever form it takes."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st
from mitmproxy import http

from addon.endpoints.access import Access
from addon.exchange.credentials import ClientCredentials
from backends.errors import ApiError
from backends.keys import Key

KEY = "the-client-key/of+this=test"
AGENT = ("authorization", "Bearer the-agent's-own-key")


def coded(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def basic(user: str) -> str:
    return base64.b64encode(f"{user}:{KEY}".encode()).decode()


FORMS = [
    KEY,
    f"Bearer {KEY}",
    f"Basic {basic('')}",
    f"Basic {basic('x')}",
    f"Basic {basic('me')}",
    base64.urlsafe_b64encode(f"me:{KEY}:you".encode()).decode(),
    quote(KEY, safe=""),
    coded(KEY),
    quote(coded(KEY)),
]


def strip(headers: list[tuple[str, str]], path: str = "/") -> http.Request:
    """What of a request passes through."""
    request = http.Request.make("GET", "https://vendor.example/")
    request.headers = http.Headers([(name.encode(), value.encode()) for name, value in headers])
    request.path = path
    access = Access(Key("K", KEY))
    try:
        access.strip_client_key(request, ClientCredentials.take(request)).restore(request)
    except ApiError:
        assert request.path == "/(hidden)"
        assert "own-key" not in str(request.headers)
        raise
    return request


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-other", "user-agent", "cookie"])
def test_it_is_stripped_from_headers(name: str, form: str) -> None:
    others = [("accept", "*/*"), ("x-api-key", "the-agent's-own-key"), ("x", "y")]
    request = strip([*others, (name, form)])
    assert request.headers.fields == tuple((n.encode(), v.encode()) for n, v in others)


@pytest.mark.parametrize("form", [form for form in FORMS if " " not in form])
@pytest.mark.parametrize(
    "path", ["/v1?key={}", "/v1?a=b&token={}&c", "/v1?x={}", "/{}/v1", "/v1?{}"]
)
def test_it_is_refused_in_a_url(path: str, form: str) -> None:
    with pytest.raises(ApiError, match="client key") as raised:
        strip([AGENT], path.format(form))
    assert raised.value.status == 400
    assert KEY not in str(raised.value)


def test_the_proxy_password_is_stripped() -> None:
    assert strip([AGENT, ("proxy-authorization", "Basic eDp5")]).headers.fields == (
        tuple(each.encode() for each in AGENT),
    )


@given(st.text(), st.text())
def test_it_is_found_in_any_base64(before: str, after: str) -> None:
    text = f"{before}{KEY}{after}".encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert not strip([("x-other", encode(text).decode())]).headers
