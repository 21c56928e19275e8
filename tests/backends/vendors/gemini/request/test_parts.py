"""Content parts: the conversion of each kind, and errors for unsupported ones."""

import base64
from typing import Any

import pytest

from backends.errors import ApiError
from backends.vendors.gemini.request.parts import is_public
from tests.backends.vendors.gemini.asking import USER, ask, body_of
from tests.backends.vendors.gemini.validation import Json

GEMINI_API = "https://generativelanguage.googleapis.com/"
FILE = f"{GEMINI_API}v1beta/files/abc"
VIDEO = "https://www.youtube.com/watch?v=9hE5-98ZeCg"


def image(url: str, **more: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def inline(mime_type: str, data: str = "aGk=") -> Json:
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def file(uri: str, mime_type: str | None = None) -> Json:
    return {"fileData": {"fileUri": uri} | ({"mimeType": mime_type} if mime_type else {})}


def encoded(start: bytes) -> str:
    return base64.b64encode(start + b"\0" * 20).decode()


WEBP = encoded(b"RIFF\1\2\3\4WEBP")

PARTS: dict[str, tuple[Json, Json]] = {
    "text": ({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}, {"text": "x"}),
    "image": (image("data:image/png;base64,aGk="), inline("image/png")),
    "jpg": (image("data:image/jpg;base64,aGk="), inline("image/jpeg")),
    "parameters": (image("data:image/png;name=a.png;base64,aGk="), inline("image/png")),
    "upper case": (image("DATA:IMAGE/PNG;BASE64,aGk="), inline("image/png")),
    "line breaks": (image("data:image/png;base64,aG\r\nk="), inline("image/png")),
    "no type: png": (
        image(f"data:;base64,{encoded(b'\x89PNG')}"),
        inline("image/png", encoded(b"\x89PNG")),
    ),
    "no type: webp": (image(f"data:;base64,{WEBP}"), inline("image/webp", WEBP)),
    "percent": (image("data:text/plain,hi"), inline("text/plain")),
    "bare address": (
        {"type": "image_url", "image_url": "https://a.example/b.png"},
        file("https://a.example/b.png", "image/png"),
    ),
    "https": (
        image("https://a.example/b.JPG?sig=x.y"),
        file("https://a.example/b.JPG?sig=x.y", "image/jpeg"),
    ),
    "no extension": (image("https://a.example/b"), file("https://a.example/b")),
    "Files API": (image(FILE), file(FILE)),
    "audio": (
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        inline("audio/wav"),
    ),
    "odd audio": (
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "aiff"}},
        inline("audio/aiff"),
    ),
    "file": (
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}},
        inline("application/pdf"),
    ),
    "file by name": (
        {"type": "file", "file": {"file_data": "aGk=", "filename": "a.csv"}},
        inline("text/csv"),
    ),
    "file without name": (
        {"type": "file", "file": {"file_data": "aGk="}},
        inline("application/pdf"),
    ),
    "file by address": (
        {"type": "file", "file": {"file_data": "https://a.example/b"}},
        file("https://a.example/b"),
    ),
    "file id": ({"type": "file", "file": {"file_id": FILE}}, file(FILE)),
    "video": ({"type": "video_url", "video_url": {"url": VIDEO}}, file(VIDEO)),
}


def parts_of(part: Any, model: str = "gemini-2.5-pro", role: str = "user") -> list[Json]:
    messages: list[Json] = [USER, {"role": role, "content": [part]}]
    parts: list[Json] = body_of(ask(*messages, model=model))["contents"][1]["parts"]
    return parts


@pytest.mark.parametrize(("part", "expected"), PARTS.values(), ids=PARTS)
def test_parts(part: Json, expected: Json) -> None:
    assert parts_of(part) == [expected]


@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking", "reasoning"])
def test_thoughts_are_dropped(kind: str) -> None:
    parts = [{"type": kind, kind: "x"}, {"type": "text", "text": "y"}]
    body = body_of(ask({"role": "user", "content": parts}))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "y"}]}]


def test_a_refusal_is_text() -> None:
    assert parts_of({"type": "refusal", "refusal": "no"}, role="assistant") == [{"text": "no"}]


@pytest.mark.parametrize(
    ("model", "detail", "level"),
    [
        ("gemini-3-pro", "low", "MEDIA_RESOLUTION_LOW"),
        ("gemini-3-pro", "high", "MEDIA_RESOLUTION_HIGH"),
        ("gemini-3-pro", "auto", None),
        ("gemini-2.5-pro", "high", None),
    ],
)
def test_detail(model: str, detail: str, level: str | None) -> None:
    [part] = parts_of(image("data:image/png;base64,aGk=", detail=detail), model)
    assert part.get("mediaResolution") == ({"level": level} if level else None)


REFUSED: dict[str, tuple[Any, str]] = {
    "unknown": ({"type": "hologram"}, "unsupported content part type 'hologram'"),
    "no type": ({"text": "x"}, "unsupported content part type None"),
    "no object": (3, "unsupported content part type None"),
    "text that is none": ({"type": "text", "text": 3}, "must be a string"),
    "no address": ({"type": "image_url", "image_url": {}}, "needs a 'url'"),
    "no comma": (image("data:image/png;base64"), "unsupported image data URL"),
    "long, without comma": (image("data:" + "a" * 1_000_000), "unsupported image data URL"),
    "no base64": (image("data:image/png;base64,???"), "unsupported image data URL"),
    "no data": (image("data:image/png;base64,"), "unsupported image data URL"),
    "no known type": (image("data:;base64,aGk="), "unsupported image data URL"),
    "http": (image("http://a.example/b.png"), "cannot fetch image_url"),
    "private": (image("https://10.0.0.1/b.png"), "cannot fetch image_url"),
    "no audio": ({"type": "input_audio", "input_audio": {}}, "needs 'data'"),
    "no file": ({"type": "file", "file": "x"}, "must be an object"),
    "file with a blank": (
        {"type": "file", "file": {"file_id": f"{GEMINI_API}{'files/' * 100_000} "}},
        "file_id of another",
    ),
    "file without a name": (
        {"type": "file", "file": {"file_id": f"{GEMINI_API}v1beta/files/"}},
        "file_id of another",
    ),
    "foreign file": ({"type": "file", "file": {"file_id": "file-1"}}, "file_id of another"),
}


@pytest.mark.parametrize(("part", "says"), REFUSED.values(), ids=REFUSED)
def test_unsupported_parts(part: Any, says: str) -> None:
    with pytest.raises(ApiError) as caught:
        parts_of(part)
    assert says in caught.value.message
    assert caught.value.status == 400
    assert caught.value.code == "unsupported_value"
    assert caught.value.param == "messages[1].content[0]"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/x", True),
        ("https://8.8.8.8/x", True),
        ("https://[2606:4700::1111]/x", True),
        ("http://a.example/x", False),
        ("gs://bucket/x", False),
        ("https://localhost/x", False),
        ("https://printer.local/x", False),
        ("https://127.0.0.1/x", False),
        ("https://192.168.1.1/x", False),
        ("https://169.254.169.254/x", False),
        ("https://[::1]/x", False),
        ("https://[fe80::1]/x", False),
        ("https://[/x", False),
        ("https:///x", False),
        ("x", False),
    ],
)
def test_public_urls(url: str, expected: bool) -> None:
    assert is_public(url) == expected
