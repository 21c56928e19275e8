"""The backend as the addon sees it: URLs, model names, ids, speech."""

import json

import pytest

from backends.backend import ModelRequest
from backends.errors import ApiError
from backends.vendors.gemini.backend.backend import Gemini
from backends.vendors.gemini.response.media import to_speech
from tests.backends.vendors.gemini.asking import KEY, NOW, USER, ask, make_gemini, recorded


def prepare(base_url: str, model: str | None = "gemini-4-pro") -> str:
    chat = {"messages": [USER]}
    prompt = ModelRequest(chat, None, model, [("user-agent", "x"), ("cookie", "y")], "s")
    call = Gemini(base_url).prepare(prompt, KEY)
    assert call.request.method == "POST"
    assert call.request.headers == [("content-type", "application/json")]
    assert call.request.credential == ("x-goog-api-key", "secret-key")
    assert "secret-key" not in repr(call)
    return call.request.url


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        ("https://g.example/v1beta", "https://g.example/v1beta"),
        ("https://g.example/v1beta/", "https://g.example/v1beta"),
        ("https://g.example", "https://g.example/v1beta"),
        ("https://g.example/", "https://g.example/v1beta"),
        ("https://g.example/gateway", "https://g.example/gateway/v1beta"),
        ("https://g.example/v1", "https://g.example/v1"),
        ("https://g.example/v1alpha", "https://g.example/v1alpha"),
    ],
)
def test_root(base_url: str, root: str) -> None:
    assert prepare(base_url) == f"{root}/models/gemini-4-pro:streamGenerateContent?alt=sse"
    assert Gemini(base_url).models_request(KEY, None).url == f"{root}/models?pageSize=1000"


def test_a_model_name_is_required() -> None:
    with pytest.raises(ApiError, match="has to name a model"):
        prepare("https://g.example", None)


def test_the_response_has_the_client_s_model_name() -> None:
    chat = {"messages": [USER]}
    call = make_gemini().prepare(ModelRequest(chat, None, "gemini-4-pro", [], "s"), KEY)
    assert call.read_response(recorded("text").body)["model"] == "gemini-4-pro"
    completion = ask().read_response(recorded("text").body)
    assert completion["model"] == "gemini:gemini-2.5-pro"
    assert (completion["id"], completion["created"]) == ("chatcmpl-bH6L", NOW)


def test_a_generated_id_depends_on_the_request() -> None:
    answer = json.dumps({"candidates": [{"content": {"parts": [{"text": "x"}]}}]}).encode()
    ids = [
        ask(prompt).read_response(answer)["id"] for prompt in (USER, USER, {**USER, "content": "y"})
    ]
    assert ids[0] == ids[1] != ids[2]


def test_speech() -> None:
    parts = [
        {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=16000", "data": "AAE="}},
        {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=16000", "data": "AgM="}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AA=="}},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thought": True},
        {"inlineData": "x"},
    ]
    answer = json.dumps({"candidates": [{"content": {"parts": parts}}], "responseId": "R"}).encode()
    message = ask(model="gemini-2.5-flash-preview-tts").read_response(answer)["choices"][0][
        "message"
    ]
    assert message["audio"]["id"] == "audio_R"
    assert message["audio"] == to_speech(
        [
            {"id": "audio_R", "data": part["inlineData"]["data"],  # type: ignore[index]
             "mime_type": "audio/L16;codec=pcm;rate=16000"}
            for part in parts[:2]
        ],
        NOW,
    )  # fmt: skip
    assert "images" not in message
