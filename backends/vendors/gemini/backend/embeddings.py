"""Translates OpenAI's embeddings requests to Gemini's `batchEmbedContents`, and back."""

import base64
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backends import jsonio
from backends.backend import ModelRequest, UpstreamRequest
from backends.errors import ApiError, bad_request
from backends.jsonio import Json, count, fields, number, objects
from backends.keys import Key
from backends.vendors.gemini.generations import Model
from backends.vendors.gemini.response import errors
from backends.vendors.gemini.wire import credential_of

MAX_BATCH = 100
"""Gemini says "at most 100 requests can be in one batch" (seen on the wire)."""


@dataclass(frozen=True, slots=True)
class EmbeddingsCall:
    """One embeddings request."""

    request: UpstreamRequest
    name: str
    """The client's name for the model."""
    count: int
    """Of texts."""
    dimensions: int | None
    """None for the model's default."""
    is_base64: bool
    """Whether the client wants packed floats."""

    speaks_openai = False
    warnings = ()

    def read_response(self, body: bytes) -> Json:
        """Convert the response to OpenAI's list. Raises ApiError (502) if it is not complete."""
        vectors, tokens = _read(body)
        if len(vectors) != self.count:
            raise ApiError(502, f"Gemini sent {len(vectors)} embeddings for {self.count} texts")
        data = [
            {"object": "embedding", "index": index, "embedding": self._pack(vector)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": self.name, "usage": usage}

    def read_error(self, status: int, content_type: str, body: bytes) -> ApiError:
        return errors.read(status, content_type, body)

    def _pack(self, vector: list[float]) -> list[float] | str:
        if self.dimensions:
            # Shortened vectors of gemini-embedding-001 are not normalised (documentation).
            vector = _normalised(vector)
        if not self.is_base64:
            return vector
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def prepare(request: ModelRequest, model: Model, root: str, key: Key) -> EmbeddingsCall:
    """Translate an embeddings request. Raises ApiError (400) if Gemini has no equivalent."""
    chat = request.chat
    dimensions = chat.get("dimensions")
    if dimensions is not None and (not isinstance(dimensions, int) or dimensions < 1):
        raise bad_request("'dimensions' must be a positive integer", "dimensions")
    texts = list(_texts(chat.get("input")))
    if len(texts) > MAX_BATCH:
        raise bad_request(f"Gemini embeds at most {MAX_BATCH} texts at once", "input")
    size = {"outputDimensionality": dimensions} if dimensions else {}
    requests: list[Json] = [
        {"model": model.resource, "content": {"parts": [{"text": text}]}, **size} for text in texts
    ]
    upstream_request = UpstreamRequest(
        "POST",
        f"{root}/{model.resource}:batchEmbedContents",
        [("content-type", "application/json")],
        jsonio.encode({"requests": requests}),
        credential_of(key),
    )
    name = chat.get("model") or model.name
    is_base64 = chat.get("encoding_format") == "base64"
    return EmbeddingsCall(upstream_request, name, len(texts), dimensions, is_base64)


def _texts(value: object) -> Iterator[str]:
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not texts:
        raise bad_request("'input' must not be empty", "input")
    for text in texts:
        if isinstance(text, int | list):
            raise ApiError(
                400, "token arrays are not supported", param="input", code="unsupported_value"
            )
        if not isinstance(text, str):
            raise bad_request("'input' must be a string or a list of strings", "input")
        yield text


def _read(body: bytes) -> tuple[list[list[float]], int]:
    """The vectors and the token count of a response; older models do not count tokens."""
    value = jsonio.decode_object(body) or {}
    if "embeddings" not in value:
        raise ApiError(502, "Gemini's response has no 'embeddings'")
    vectors = [_vector(each.get("values")) for each in objects(value["embeddings"])]
    return vectors, count(fields(value.get("usageMetadata")).get("promptTokenCount"))


def _vector(values: object) -> list[float]:
    """An embedding. Raises ApiError (502) if it is not a list of numbers."""
    numbers = list(map(number, values)) if isinstance(values, list) else []
    vector = [each for each in numbers if each is not None]
    if not vector or len(vector) < len(numbers):
        raise ApiError(502, "Gemini sent an embedding that is not a list of numbers")
    return vector


def _normalised(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else vector
