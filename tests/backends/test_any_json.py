"""Any JSON in place of what upstreams send: a good response stays, a bad one is an ApiError."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from backends import jsonio
from backends.backend import ModelRequest
from backends.dialects.completions import read_completion
from backends.dialects.responses import from_response
from backends.dialects.responses.dialect import Responses
from backends.dialects.responses.store import ResponseStore
from backends.errors import ApiError
from backends.keys import Key
from backends.stream import Chunk, Outcome
from backends.usage import read_usage
from backends.vendors.gemini.backend.backend import Gemini
from backends.vendors.openrouter import OpenRouter
from tests.backends.vendors.gemini.asking import KEY, ask, make_gemini

HUGE = 10**400
ODD = [HUGE, -HUGE, 1e400, float("nan"), 1e300, True, "9" * 400, "9" * 400 + "s", "\ud83d", ""]
NAMES = """prompt_tokens completion_tokens total_tokens cost prompt_tokens_details cached_tokens
    completion_tokens_details reasoning_tokens code message type param metadata raw error_type
    http_status status details retryDelay reason violations fieldViolations quotaId field
    promptTokenCount candidatesTokenCount promptTokensDetails modality tokenCount totalTokenCount
    groundingSupports groundingChunks segment startIndex endIndex groundingChunkIndices web uri
    input_tokens output_tokens input_tokens_details created_at reason"""
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ODD),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=6)
    ),
    max_leaves=15,
)
MESSAGE = {"role": "assistant", "content": "good"}


def body_of(value: Any) -> bytes:
    return json.dumps(value).encode()


def openrouter() -> Any:
    request = ModelRequest({"messages": [{}], "model": "m"}, None, "m", [], "s")
    return OpenRouter("https://x").prepare(request, Key("K", "sk-secret-1"))


READERS = {
    "completions": read_completion(b'{"prompt":"x"}'),
    "responses": Responses(ResponseStore(), lambda: 0, lambda: "1")(b'{"input":"x"}'),
}


@given(ANY, ANY)
def test_no_usage_loses_a_good_completion(usage: Any, created: Any) -> None:
    choice = {"index": 0, "message": MESSAGE, "finish_reason": "stop"}
    sent = {"id": "1", "created": created, "choices": [choice], "usage": usage}
    completion = openrouter().read_response(body_of(sent))
    outcome = Outcome()
    outcome.update(completion)
    read_usage(outcome.usage)
    assert outcome.text == "good"
    for request in READERS.values():
        assert b"good" in jsonio.encode(request.render(completion))


@given(ANY)
def test_no_usage_ends_a_stream(usage: Any) -> None:
    choice = {"index": 0, "delta": {"content": "good"}, "finish_reason": "stop"}
    block = b"data: %s\n\n" % body_of({"choices": [choice], "usage": usage})
    [event] = openrouter().decoder().feed(block)
    assert isinstance(event, Chunk)
    for request in READERS.values():
        encoder = request.encoder()
        assert b"good" in encoder.chunk(event.raw) + encoder.done()


@given(ANY, ANY, ANY)
def test_no_metadata_loses_a_good_response_of_gemini(
    usage: Any, grounding: Any, index: Any
) -> None:
    candidate = {"content": {"parts": [{"text": "good"}]}, "index": index, "finishReason": "STOP"}
    candidate["groundingMetadata"] = grounding
    sent = body_of({"candidates": [candidate], "usageMetadata": usage, "responseId": usage})
    completion = ask().read_response(sent)
    assert completion["choices"][0]["message"]["content"] == "good"
    read_usage(completion["usage"])


@given(ANY, st.sampled_from([400, 429, 500]))
def test_any_error_is_an_api_error(error: Any, status: int) -> None:
    for call in (openrouter(), ask()):
        for value in ({"error": error}, [{"error": error}], error):
            found = call.read_error(status, "application/json", body_of(value))
            assert 400 <= found.status <= 599
            assert json.loads(jsonio.encode(found.body()))
            assert all(value.isascii() for _, value in found.headers)


@given(ANY)
def test_any_error_in_a_response_is_an_api_error(error: Any) -> None:
    for call in (openrouter(), ask()):
        with suppress(ApiError):
            call.read_response(body_of({"error": error}))
        call.decoder().feed(b"data: %s\n\n" % body_of({"error": error}))


@pytest.mark.parametrize("delay", [*ODD, "5x", None, [], {}])
def test_an_odd_delay_is_no_delay(delay: Any) -> None:
    error = {"code": HUGE, "message": "slow down", "details": [{"retryDelay": delay}]}
    found = ask().read_error(429, "application/json", body_of({"error": error}))
    assert (found.status, found.headers) == (429, (("x-upstream-status", "429"),))


def test_an_odd_status_is_a_bad_gateway() -> None:
    for code in (HUGE, True, 200, -1, "429"):
        with pytest.raises(ApiError) as caught:
            ask().read_response(body_of({"error": {"code": code, "message": "x"}}))
        assert caught.value.status == 502
        assert dict(caught.value.headers)["x-upstream-status"] == "502"


@pytest.mark.parametrize("values", [None, 5, [], ["x"], [1, None], [HUGE], [1e400], {"0": 1}])
@pytest.mark.parametrize(
    "parameters", [{}, {"dimensions": 1}, {"encoding_format": "base64"}], ids=str
)
def test_an_odd_embedding_is_an_error(values: Any, parameters: Mapping[str, Any]) -> None:
    request = ModelRequest({"input": "x", **parameters}, None, "gemini-embedding-001", [], "s")
    call = make_gemini().embed(request, KEY)
    with pytest.raises(ApiError, match="not a list of numbers") as caught:
        call.read_response(body_of({"embeddings": [{"values": values}]}))
    assert caught.value.status == 502


@pytest.mark.parametrize("data", ["x", "é", "AA", "\ud800"])
@pytest.mark.parametrize("rate", ["", "9" * 400, "٣", "24000"])
def test_odd_speech_loses_no_text(data: str, rate: str) -> None:
    speech = {"inlineData": {"mimeType": f"audio/L16;rate={rate}", "data": data}}
    sent = {"candidates": [{"content": {"parts": [{"text": "good"}, speech]}}]}
    assert ask().read_response(body_of(sent))["choices"][0]["message"]["content"] == "good"


@given(ANY, ANY)
def test_odd_entries_of_model_lists(value: Any, page: Any) -> None:
    entry = {"name": "models/a", "supportedGenerationMethods": value, "displayName": value}
    good = {"name": "models/b", "supportedGenerationMethods": ["generateContent"]}
    sent = {"models": [entry, value, good], "nextPageToken": page}
    models, _ = Gemini("https://x").read_models(body_of(sent))
    assert [model["id"] for model in models][-1] == "b"
    sent = {"data": [value, {"id": "b", "created": value}]}
    models, _ = OpenRouter("https://x").read_models(body_of(sent))
    assert [model["id"] for model in models] == ["b"]


@given(ANY, ANY)
def test_odd_facts_of_a_response_that_is_read_back(value: Any, usage: Any) -> None:
    sent = {"status": "incomplete", "created_at": value, "incomplete_details": value}
    assert from_response.to_completion(body_of({**sent, "output": [], "usage": usage}))


@settings(max_examples=30)
@given(st.sampled_from(ODD), st.sampled_from(["temperature", "top_p", "top_k"]))
def test_odd_parameters_are_refused(value: Any, param: str) -> None:
    with pytest.raises(ApiError, match="must be a number") as caught:
        ask(**{param: value})
    assert (caught.value.status, caught.value.param) == (400, param)
