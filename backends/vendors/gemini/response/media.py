"""Converts images and speech in Gemini's responses to OpenAI's and OpenRouter's formats."""

import base64
import re
import struct
from typing import Any

from backends.jsonio import Json, fields

_RATE = re.compile(r"rate=([0-9]{1,6})(?![0-9])")
_DEFAULT_RATE = 24_000
"""In Hz; speech is 16 bit, one channel (API documentation, "Speech generation")."""

_KEPT_S = 3600


def to_delta(inline: object, id: str) -> Json | None:
    """Convert `inlineData` to a delta; None if it is neither image nor audio.

    OpenAI's format has no field for images, so they go into OpenRouter's `images`. Audio is raw
    samples, as in OpenAI's streams. `id` identifies the speech of the response.
    """
    mime_type, data = fields(inline).get("mimeType"), fields(inline).get("data")
    if not isinstance(mime_type, str) or not isinstance(data, str):
        return None
    if mime_type.startswith("image/"):
        url = {"url": f"data:{mime_type};base64,{data}"}
        return {"images": [{"type": "image_url", "image_url": url}]}
    if mime_type.startswith("audio/"):
        return {"audio": {"id": id, "data": data, "mime_type": mime_type}}
    return None


def to_speech(pieces: list[Json], created: int) -> Json:
    """Join the `audio` of deltas to that of a message, with raw samples in a WAV file."""
    data = b"".join(_decode(piece["data"]) for piece in pieces)
    mime_type: Any = pieces[0]["mime_type"]
    if mime_type.lower().startswith("audio/l16"):
        rate = _RATE.search(mime_type)
        data = _wav_head(len(data), int(rate[1]) if rate else _DEFAULT_RATE) + data
    return {
        "id": pieces[0]["id"],
        "data": base64.b64encode(data).decode(),
        "expires_at": created + _KEPT_S,
        "transcript": "",
    }


def _decode(data: str) -> bytes:
    """The bytes in base64; none for anything else, as the text beside them is still good."""
    try:
        return base64.b64decode(data)
    except ValueError:
        return b""


def _wav_head(size: int, rate: int) -> bytes:
    format = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
    return riff + format + struct.pack("<4sI", b"data", size)
