"""Converts content parts of OpenAI messages to Gemini parts: text, images, audio, files, video.

The proxy fetches nothing. Gemini fetches public https URLs itself (API documentation, "File input
methods"). Other URLs are an error.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from backends.errors import ApiError
from backends.jsonio import Json, fields
from backends.vendors.gemini.generations import Generation
from backends.vendors.gemini.wire import Part

# By file extension. A URL without a known extension is sent without a type.
MIME_TYPES: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "xml": "text/xml",
    "json": "application/json",
    "wav": "audio/wav",
    "mp3": "audio/mp3",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "mpeg": "video/mpeg",
}
# Magic numbers of the files that agents send without a type.
_MAGIC: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89PNG"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF"), "application/pdf"),
)
_MAGIC_CHARACTERS = 24
"""In base64: enough for the longest magic number."""

_MIME_ALIASES = {"image/jpg": "image/jpeg"}
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_GEMINI_API = "https://generativelanguage.googleapis.com/"
_PRIVATE_NAME = re.compile(r"\.(?:local|localhost|internal|lan|home\.arpa)\.?$")
_DETAILS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}


class PartContext(NamedTuple):
    """The context of one content part."""

    param: str
    """The path of the part in the request."""
    generation: Generation

    def unsupported(self, message: str) -> ApiError:
        return ApiError(400, message, param=self.param, code="unsupported_value")


def to_parts(content: object, param: str, generation: Generation) -> list[Part]:
    """Convert a message's `content`; empty texts are dropped.

    `param` is its path in the request, such as `messages[2].content`. Raises ApiError (400) if
    Gemini has no equivalent for a part.
    """
    if isinstance(content, str):
        return [{"text": content}] if content else []
    if content is None:
        return []
    if not isinstance(content, Sequence):
        raise ApiError(400, f"'{param}' must be a string or a list of parts", param=param)
    return list(_convert(content, param, generation))


def _convert(content: Sequence[Any], param: str, generation: Generation) -> Iterator[Part]:
    for index, part in enumerate(content):
        context = PartContext(f"{param}[{index}]", generation)
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        kind = fields(part).get("type")
        converter = _CONVERTERS.get(kind) if isinstance(kind, str) else None
        if converter is None:
            raise context.unsupported(f"unsupported content part type {kind!r}")
        if (converted := converter(part, context)) is not None:
            yield converted


def _text(part: Json, context: PartContext) -> Part | None:
    text = part.get(part["type"])
    if not isinstance(text, str):
        raise context.unsupported(f"'{part['type']}' of a part must be a string")
    return {"text": text} if text else None


def _drop(part: Json, context: PartContext) -> None:
    """Drop the model's thoughts. They need not be sent back, and must not become text."""


def _image(part: Json, context: PartContext) -> Part:
    image, url = _url(part, context)
    converted = from_url(url, context, "image")
    level = _DETAILS.get(str(image.get("detail")))
    if level and context.generation.takes_media:
        converted["mediaResolution"] = {"level": level}
    return converted


def _video(part: Json, context: PartContext) -> Part:
    return from_url(_url(part, context)[1], context, "video")


def _url(part: Json, context: PartContext) -> tuple[Json, str]:
    """The object in a part such as `image_url`, and its URL. A bare string counts as the URL."""
    value = part.get(part["type"])
    holder = value if isinstance(value, dict) else {"url": value}
    url = holder.get("url")
    if not isinstance(url, str):
        raise context.unsupported(f"'{part['type']}' needs a 'url'")
    return holder, url.strip()


def _audio(part: Json, context: PartContext) -> Part:
    audio = fields(part.get("input_audio"))
    data = audio.get("data")
    if not isinstance(data, str):
        raise context.unsupported("'input_audio' needs 'data'")
    format = str(audio.get("format") or "wav").lower()
    return _inline(MIME_TYPES.get(format, f"audio/{format}"), data)


def _file(part: Json, context: PartContext) -> Part:
    file = part.get("file")
    if not isinstance(file, dict):
        raise context.unsupported("'file' must be an object")
    data, file_id = file.get("file_data"), file.get("file_id")
    if isinstance(data, str):
        if data.lower().startswith(("data:", "http:", "https:")):
            return from_url(data, context, "file")
        return _inline(_type_of(str(file.get("filename"))) or "application/pdf", data)
    if isinstance(file_id, str) and _is_gemini_file(file_id):
        return {"fileData": {"fileUri": file_id}}
    raise context.unsupported("file_id of another provider: send the file as 'file_data'")


_CONVERTERS: Mapping[str, Callable[[Json, PartContext], Part | None]] = {
    "text": _text,
    "refusal": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "video_url": _video,
    "thinking": _drop,
    "redacted_thinking": _drop,
    "reasoning": _drop,
}


def from_url(url: str, context: PartContext, kind: str) -> Part:
    """Convert an https or data URL. `kind` is for error messages only."""
    if url[:5].lower() == "data:":
        return _from_data_url(url, context, kind)
    if not is_public(url):
        raise context.unsupported(
            f"cannot fetch {kind}_url: send a public https address or a data URL"
        )
    mime_type = _type_of(urlsplit(url).path)
    return {"fileData": {"fileUri": url} | ({"mimeType": mime_type} if mime_type else {})}


def _from_data_url(url: str, context: PartContext, kind: str) -> Part:
    head, _, data = url[len("data:") :].partition(",")
    head = head.lower()
    mime_type = head.partition(";")[0]
    if head.endswith(";base64"):
        data = "".join(data.split())
    else:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    mime_type = _MIME_ALIASES.get(mime_type, mime_type) or _sniff(data)
    if not mime_type or not data or not _BASE64.fullmatch(data):
        raise context.unsupported(f"unsupported {kind} data URL")
    return _inline(mime_type, data)


def _inline(mime_type: str, data: str) -> Part:
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def _sniff(data: str) -> str:
    try:
        start = base64.b64decode(data[:_MAGIC_CHARACTERS])
    except binascii.Error:
        return ""
    return next((mime_type for magic, mime_type in _MAGIC if magic.match(start)), "")


def _is_gemini_file(url: str) -> bool:
    """Whether it is a file of Gemini's Files API: `.../files/<name>`, without a blank."""
    return url.startswith(_GEMINI_API) and "files/" in url[:-1] and url.split() == [url]


def _type_of(path: str) -> str | None:
    return MIME_TYPES.get(path.rpartition(".")[2].lower())


def is_public(url: str) -> bool:
    """Whether Google can probably fetch a URL: https, and not a private host by its name.

    The host is not resolved, as Google fetches the URL and not the proxy.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    if parts.scheme != "https" or _PRIVATE_NAME.search(host):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host
