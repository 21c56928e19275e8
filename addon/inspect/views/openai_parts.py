"""What one of OpenAI's messages, or a delta of one, says besides its calls of tools."""

from collections.abc import Callable, Iterator, Mapping

from addon.inspect.views.blocks import as_object, as_text, inline_block, media_block, unknown_block
from addon.inspect.views.conversation import Block
from backends.jsonio import Json, objects, string


def blocks_of(message: Json) -> Iterator[Block]:
    """In the order in which they are said, whatever that of the fields."""
    yield from _thinking(message)
    for name, read in FIELDS.items():
        if value := message.get(name):
            yield from read(value)
    if is_signed(message):
        yield Block("signed")


def is_signed(holder: Json) -> bool:
    """Whether a signature of Gemini comes with it, in the form of Google's OpenAI API."""
    google = as_object(as_object(holder.get("extra_content")).get("google"))
    return bool(google.get("thought_signature"))


def _thinking(message: Json) -> Iterator[Block]:
    """The reasoning, which OpenRouter sends twice: as a text, and in detail."""
    details = objects(message.get("reasoning_details"))
    texts = (message.get("reasoning"), message.get("reasoning_content"))
    in_detail = "".join(as_text(each.get("text") or each.get("summary")) for each in details)
    if text := next(filter(None, map(string, texts)), in_detail):
        yield Block("thinking", text)
    if any(each.get("signature") or each.get("data") for each in details):
        yield Block("signed")


def content_of(value: object) -> Iterator[Block]:
    """A text, or parts of which each has a type."""
    for part in value if isinstance(value, list) else [value]:
        if not isinstance(part, dict):
            yield Block("text", as_text(part))
            continue
        kind = string(part.get("type")) or ""
        read = PARTS.get(kind)
        yield read(part.get(kind)) if read else unknown_block(part)


def _audio(value: object) -> Iterator[Block]:
    """Speech in an answer, or the id of such speech in a request."""
    audio = as_object(value)
    if transcript := string(audio.get("transcript")):
        yield Block("text", transcript)
    if data := audio.get("data"):
        yield inline_block("audio", data, audio.get("mime_type"))
    elif id := string(audio.get("id")):
        yield media_block("audio", id)


FIELDS: Mapping[str, Callable[[object], Iterator[Block]]] = {
    "content": content_of,
    "refusal": lambda value: iter([Block("refusal", as_text(value))]),
    "images": content_of,
    "audio": _audio,
}


def _url(value: object) -> object:
    """Of `{"url": ...}`; some clients send the bare address."""
    return value.get("url") if isinstance(value, dict) else value


def _sound(value: object) -> Block:
    audio = as_object(value)
    return inline_block("audio", audio.get("data"), audio.get("format"))


def _file(value: object) -> Block:
    file = as_object(value)
    data = string(file.get("file_data")) or ""
    if data and not data.startswith(("data:", "http")):
        return inline_block("file", data, file.get("filename"))
    return media_block("file", data or file.get("file_id"), file.get("filename"))


# By a part's `type`, which is the name of the field with its substance, too.
PARTS: Mapping[str, Callable[[object], Block]] = {
    "text": lambda value: Block("text", as_text(value)),
    "refusal": lambda value: Block("refusal", as_text(value)),
    "image_url": lambda value: media_block("image", _url(value)),
    "video_url": lambda value: media_block("video", _url(value)),
    "input_audio": _sound,
    "file": _file,
}
