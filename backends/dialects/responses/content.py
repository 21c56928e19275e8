"""Translates content parts of input items to those of chat messages. Texts never change."""

from collections.abc import Callable, Mapping
from typing import Any

from backends import jsonio
from backends.jsonio import Json, fields, objects, string


def to_content(content: object) -> Any:
    """A message's content. Unknown shapes pass unchanged; the backend checks them."""
    if not isinstance(content, list):
        return content
    return [_convert(part) for part in content]


def to_result(output: object) -> Any:
    """A tool's output as the content of a tool message: a text or parts."""
    if isinstance(output, str):
        return output
    if isinstance(output, list) and all("type" in part for part in objects(output)):
        return to_content(output) or ""
    return jsonio.encode(output).decode() if output is not None else ""


def split_refusal(content: Any) -> tuple[Any, str | None]:
    """Split an assistant's content into content and refusal, which a chat keeps apart.

    A single text becomes the content itself, as in completions.
    """
    if not isinstance(content, list):
        return content, None
    refusals = [part for part in objects(content) if part.get("type") == "refusal"]
    rest = [part for part in content if fields(part).get("type") != "refusal"]
    text = "".join(string(part.get("refusal")) or "" for part in refusals)
    if len(rest) == 1 and isinstance(rest[0], dict) and rest[0].keys() == {"type", "text"}:
        return rest[0]["text"], text or None
    return rest or None, text or None


def _convert(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    convert = _CONVERTERS.get(kind) if isinstance(kind, str) else None
    return convert(part) if convert else part


def _text(part: Json) -> Json:
    return {"type": "text"} | _only(part, "text", "cache_control")


def _image(part: Json) -> Json:
    if part.get("image_url") is None:
        return _file(part)
    return {"type": "image_url", "image_url": {"url": part["image_url"]} | _only(part, "detail")}


def _file(part: Json) -> Json:
    """OpenRouter accepts a URL as `file_data` (docs)."""
    file = _only(part, "filename", "file_data", "file_id")
    if part.get("file_url") is not None:
        file["file_data"] = part["file_url"]
    return {"type": "file", "file": file}


def _only(part: Json, *names: str) -> Json:
    """The fields of these names that are set."""
    return {name: part[name] for name in names if part.get(name) is not None}


_CONVERTERS: Mapping[str, Callable[[Json], Json]] = {
    "input_text": _text,
    "output_text": _text,
    "input_image": _image,
    "computer_screenshot": _image,
    "input_file": _file,
}
"""`input_audio` and `refusal` have the same shape in a chat."""
