"""Embeddings: requests to Gemini, responses to OpenAI's list."""

import base64
import json
import struct
from typing import Any

import pytest
from google.genai import types
from openai.types import CreateEmbeddingResponse

from backends.backend import ModelRequest
from backends.errors import ApiError
from backends.vendors.gemini.backend.embeddings import MAX_BATCH, EmbeddingsCall
from tests.backends.vendors.gemini.asking import KEY, make_gemini, recorded
from tests.backends.vendors.gemini.validation import Json

NAME = "gemini-embedding-001"


def ask(input: Any = "x", **more: Any) -> EmbeddingsCall:
    chat = {"model": f"gemini:{NAME}", "input": input, **more}
    return make_gemini().embed(ModelRequest(chat, None, NAME, [], "s"), KEY)


def answer(*vectors: list[float], **more: Any) -> bytes:
    return json.dumps({"embeddings": [{"values": each} for each in vectors], **more}).encode()


def requests_of(call: EmbeddingsCall) -> list[Json]:
    requests: list[Json] = json.loads(call.request.body)["requests"]
    for request in requests:
        types.Content.model_validate(request["content"])
        assert request.keys() <= {"model", "content", "outputDimensionality"}
    return requests


def test_one_text() -> None:
    call = ask()
    resource = f"models/{NAME}"
    root = "https://gemini.example/v1beta"
    assert call.request.url == f"{root}/{resource}:batchEmbedContents"
    assert call.request.credential == ("x-goog-api-key", "secret-key")
    assert requests_of(call) == [{"model": resource, "content": {"parts": [{"text": "x"}]}}]


def test_dimensions() -> None:
    [request] = requests_of(ask(dimensions=768))
    assert request["outputDimensionality"] == 768


def test_many_texts() -> None:
    texts = [str(number) for number in range(MAX_BATCH)]
    sent = [each["content"]["parts"][0]["text"] for each in requests_of(ask(texts))]
    assert sent == texts


def test_floats() -> None:
    made = ask(["a", "b"]).read_response(
        answer([1, 2], [3, 4], usageMetadata={"promptTokenCount": 2})
    )
    assert made == {
        "object": "list",
        "model": f"gemini:{NAME}",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1, 2]},
            {"object": "embedding", "index": 1, "embedding": [3, 4]},
        ],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    CreateEmbeddingResponse.model_validate(made)


def test_base64() -> None:
    [entry] = ask(encoding_format="base64").read_response(answer([0.5, -2.0]))["data"]
    assert struct.unpack("<2f", base64.b64decode(entry["embedding"])) == (0.5, -2.0)


def test_shortened_vectors_are_normalised() -> None:
    call = ask(["a", "b"], dimensions=2)
    entries = call.read_response(answer([3, 4], [0, 0]))["data"]
    assert [each["embedding"] for each in entries] == [[0.6, 0.8], [0, 0]]


@pytest.mark.parametrize(
    ("input", "more", "param"),
    [
        (None, {}, "input"),
        ([], {}, "input"),
        ([1, 2], {}, "input"),
        ([[1, 2]], {}, "input"),
        ([None], {}, "input"),
        (["x"] * (MAX_BATCH + 1), {}, "input"),
        ("x", {"dimensions": 0}, "dimensions"),
        ("x", {"dimensions": "many"}, "dimensions"),
    ],
)
def test_invalid_input(input: Any, more: Json, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(input, **more)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", answer(), answer([1], [2])])
def test_responses_without_an_error_object(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        ask().read_response(body)
    assert caught.value.status == 502


def test_errors() -> None:
    status, body = recorded("overloaded")[1:]
    assert ask().read_error(status, "application/json", body).code == "overloaded"
