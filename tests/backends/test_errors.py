"""How error responses without a known error in them are described."""

import pytest

from backends.errors import describe_response


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (b"", ""),
        (b"<html></html>", ""),
        (b"<html><TITLE>\n Bad gateway \n</TITLE></html>", ": Bad gateway"),
        (b"<title>" + b"x" * 201 + b"</title>", ": " + "x" * 200),
        (b"<title>\xff</title>", ": \ufffd"),
        (b"<title></title><title>b</title>", ": b"),
        # Quadratic or worse for a pattern with two repeats of a blank.
        (b"<title>" + b" " * 100_000, ""),
        (b"<title>" * 20_000, ""),
    ],
)
def test_page_title(body: bytes, title: str) -> None:
    message = describe_response("Gemini", 502, "text/html", body)
    assert message == f"Gemini answered with HTTP 502 and text/html{title}"


def test_no_content_type() -> None:
    assert describe_response("X", 302, "", b"") == "X answered with HTTP 302 and no content type"
