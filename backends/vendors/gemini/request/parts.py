"""Content parts of OpenAI's messages as Gemini's parts: text, images, audio, files, video.

Nothing is fetched here: Gemini fetches public https addresses itself (API documentation, "File
input methods"), and what it cannot reach is refused.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from backends.errors import ApiError
from backends.jsonio import Json
from backends.vendors.gemini.generations import Generation
from backends.vendors.gemini.wire import Part

# By the end of a file's name. An address without one of these goes out without a type.
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
# How the files that agents send without a type begin.
_MAGIC: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\x89PNG"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF"), "application/pdf"),
)
_MAGIC_CHARACTERS = 24
"""Of base64: enough to decode the longest of these beginnings."""

_MIME_ALIASES = {"image/jpg": "image/jpeg"}
_DATA_URL = re.compile(r"data:([^;,]*)([^,]*),(.*)", re.DOTALL | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_FILES_API = re.compile(r"https://generativelanguage\.googleapis\.com/\S*files/\S+")
_PRIVATE_NAME = re.compile(r"\.(?:local|localhost|internal|lan|home\.arpa)\.?$")
_DETAILS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}


class Place(NamedTuple):
    """Where in the request a part stands, and for which generation it is translated."""

    param: str
    generation: Generation

    def refuse(self, message: str) -> ApiError:
        return ApiError(400, message, param=self.param, code="unsupported_value")


def to_parts(content: object, param: str, generation: Generation) -> list[Part]:
    """A message's `content` as parts, empty text left out; ApiError 400 if one has no equal.

    `param` is the content's path in the request, such as `messages[2].content`.
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
        place = Place(f"{param}[{index}]", generation)
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        kind = part.get("type") if isinstance(part, dict) else None
        converter = _CONVERTERS.get(kind) if isinstance(kind, str) else None
        if converter is None:
            raise place.refuse(f"unsupported content part type {kind!r}")
        if (converted := converter(part, place)) is not None:
            yield converted


def _text(part: Json, place: Place) -> Part | None:
    text = part.get(part["type"])
    if not isinstance(text, str):
        raise place.refuse(f"'{part['type']}' of a part must be a string")
    return {"text": text} if text else None


def _leave_out(part: Json, place: Place) -> None:
    """Thoughts of a model need not be sent back, and must not turn into text."""


def _image(part: Json, place: Place) -> Part:
    image, url = _url(part, place)
    converted = from_url(url, place, "image")
    level = _DETAILS.get(str(image.get("detail")))
    if level and place.generation.takes_media:
        converted["mediaResolution"] = {"level": level}
    return converted


def _video(part: Json, place: Place) -> Part:
    return from_url(_url(part, place)[1], place, "video")


def _url(part: Json, place: Place) -> tuple[Json, str]:
    """The value of a part such as `image_url`, an object or a bare string, and its address."""
    value = part.get(part["type"])
    holder = value if isinstance(value, dict) else {"url": value}
    url = holder.get("url")
    if not isinstance(url, str):
        raise place.refuse(f"'{part['type']}' needs a 'url'")
    return holder, url.strip()


def _audio(part: Json, place: Place) -> Part:
    audio = part.get("input_audio")
    data = audio.get("data") if isinstance(audio, dict) else None
    if not isinstance(audio, dict) or not isinstance(data, str):
        raise place.refuse("'input_audio' needs 'data'")
    format = str(audio.get("format") or "wav").lower()
    return _inline(MIME_TYPES.get(format, f"audio/{format}"), data)


def _file(part: Json, place: Place) -> Part:
    file = part.get("file")
    if not isinstance(file, dict):
        raise place.refuse("'file' must be an object")
    data, file_id = file.get("file_data"), file.get("file_id")
    if isinstance(data, str):
        if data.lower().startswith(("data:", "http:", "https:")):
            return from_url(data, place, "file")
        return _inline(_type_of(str(file.get("filename"))) or "application/pdf", data)
    if isinstance(file_id, str) and _FILES_API.fullmatch(file_id):
        return {"fileData": {"fileUri": file_id}}
    raise place.refuse("file_id of another provider: send the file as 'file_data'")


_CONVERTERS: Mapping[str, Callable[[Json, Place], Part | None]] = {
    "text": _text,
    "refusal": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "video_url": _video,
    "thinking": _leave_out,
    "redacted_thinking": _leave_out,
    "reasoning": _leave_out,
}


def from_url(url: str, place: Place, what: str) -> Part:
    """The part for an address or data URL; `what` it is of is for the error."""
    if url[:5].lower() == "data:":
        return _from_data_url(url, place, what)
    if not is_public(url):
        raise place.refuse(f"cannot fetch {what}_url: send a public https address or a data URL")
    mime_type = _type_of(urlsplit(url).path)
    return {"fileData": {"fileUri": url} | ({"mimeType": mime_type} if mime_type else {})}


def _from_data_url(url: str, place: Place, what: str) -> Part:
    parsed = _DATA_URL.fullmatch(url)
    if not parsed:
        raise place.refuse(f"unsupported {what} data URL")
    mime_type, parameters, data = parsed[1].lower(), parsed[2].lower(), parsed[3]
    if parameters.endswith(";base64"):
        data = re.sub(r"\s+", "", data) if re.search(r"\s", data) else data
    else:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    mime_type = _MIME_ALIASES.get(mime_type, mime_type) or _sniff(data)
    if not mime_type or not data or not _BASE64.fullmatch(data):
        raise place.refuse(f"unsupported {what} data URL")
    return _inline(mime_type, data)


def _inline(mime_type: str, data: str) -> Part:
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def _sniff(data: str) -> str:
    try:
        start = base64.b64decode(data[:_MAGIC_CHARACTERS])
    except binascii.Error:
        return ""
    return next((mime_type for magic, mime_type in _MAGIC if magic.match(start)), "")


def _type_of(path: str) -> str | None:
    return MIME_TYPES.get(path.rpartition(".")[2].lower())


def is_public(url: str) -> bool:
    """Whether Google can be expected to reach an address: https, and no private host by its name.

    What a name resolves to is not looked up: it is Google that fetches, not the proxy.
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
