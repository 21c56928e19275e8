"""Which requests of web pages are served, as a table."""

import pytest

from addon.endpoints.browsers import Browsers
from backends.errors import ApiError

APP = "https://app.example"
REBOUND = "evil.example:8000"


def check(
    host: str | None, headers: dict[str, str], *, is_keyless: bool = False, is_to_us: bool = True
) -> str | None:
    browsers = Browsers({"127.0.0.1", "box.lan"}, (APP,), is_keyless)
    return browsers.check("http", host, headers, is_to_us=is_to_us)


SERVED = [
    ("no browser, any name", REBOUND, {}),
    ("Node's fetch, any name", REBOUND, {"sec-fetch-mode": "cors"}),
    ("HTTP/1.0", None, {}),
    ("its own page", "localhost:8000", {"origin": "http://localhost:8000"}),
    ("its own page, by address", "[::1]:8000", {"origin": "http://[::1]:8000"}),
    ("its own page, by a configured name", "Box.LAN.", {"origin": "http://box.lan"}),
    ("a welcome page", "localhost", {"origin": APP, "sec-fetch-site": "cross-site"}),
    ("typed in", "127.0.0.1:8000", {"sec-fetch-site": "none", "sec-fetch-dest": "document"}),
]
REFUSED = [
    ("another page", "localhost:8000", {"origin": "https://evil.example"}, "origin"),
    ("a sandboxed page", "localhost:8000", {"origin": "null"}, "origin"),
    ("another port", "localhost:8000", {"origin": "http://localhost:3000"}, "origin"),
    ("another site without origin", "localhost", {"sec-fetch-site": "cross-site"}, "origin"),
    ("rebound", REBOUND, {"origin": f"http://{REBOUND}"}, "host"),
    ("rebound, without origin", REBOUND, {"sec-fetch-site": "same-origin"}, "host"),
    ("rebound, without site", REBOUND, {"sec-fetch-dest": "empty"}, "host"),
    ("rebound, a welcome page", REBOUND, {"origin": APP}, "host"),
    ("looks like an own name", "localhost.evil.example", {"origin": "http://x"}, "host"),
]


@pytest.mark.parametrize("is_keyless", [False, True])
@pytest.mark.parametrize(("name", "host", "headers"), SERVED, ids=[row[0] for row in SERVED])
def test_served(name: str, host: str | None, headers: dict[str, str], is_keyless: bool) -> None:
    if is_keyless and host == REBOUND:
        with pytest.raises(ApiError, match="allowed_hosts"):
            check(host, headers, is_keyless=True)
    else:
        assert check(host, headers, is_keyless=is_keyless) == headers.get("origin")


@pytest.mark.parametrize("is_keyless", [False, True])
@pytest.mark.parametrize(
    ("name", "host", "headers", "param"), REFUSED, ids=[row[0] for row in REFUSED]
)
def test_refused(
    name: str, host: str, headers: dict[str, str], param: str, is_keyless: bool
) -> None:
    with pytest.raises(ApiError) as raised:
        check(host, headers, is_keyless=is_keyless)
    assert (raised.value.status, raised.value.param) == (403, param)


def test_a_listed_host_has_a_name_of_its_own() -> None:
    origin = {"origin": "http://api.openai.com"}
    assert check("api.openai.com", origin, is_keyless=True, is_to_us=False) == origin["origin"]
