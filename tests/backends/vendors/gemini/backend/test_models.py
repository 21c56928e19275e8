"""Gemini's list of models in OpenAI's shape."""

import json

import pytest

from backends.vendors.gemini.backend import models


def test_one_page() -> None:
    page = {
        "models": [
            {
                "name": "models/gemini-2.5-pro",
                "displayName": "Gemini 2.5 Pro",
                "inputTokenLimit": 1048576,
                "outputTokenLimit": 65536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            },
            {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]},
            {"name": "models/aqa", "supportedGenerationMethods": ["generateAnswer"]},
            {"name": "models/none"},
            {"name": 3, "supportedGenerationMethods": ["embedContent"]},
        ],
        "nextPageToken": "t",
    }
    found, token = models.read(json.dumps(page).encode())
    assert token == "t"
    assert found == [
        {
            "id": "gemini-2.5-pro",
            "object": "model",
            "created": 0,
            "owned_by": "google",
            "name": "Gemini 2.5 Pro",
            "context_length": 1048576,
            "max_output_tokens": 65536,
        },
        {"id": "embed", "object": "model", "created": 0, "owned_by": "google"},
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models":{}}', b"<html>"])
def test_invalid_pages(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"no 'models' list|line 1 column"):
        models.read(body)
