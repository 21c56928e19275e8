"""Retries after Gemini errors: each rule, its maximum, and the variants remembered by model."""

import json
from typing import Any

import pytest

from backends.errors import ApiError
from backends.vendors.gemini.backend.backend import MAX_VARIANTS
from backends.vendors.gemini.backend.call import GeminiCall
from tests.backends.vendors.gemini.asking import (
    USER,
    ask,
    body_of,
    called,
    function,
    make_gemini,
    recorded,
    result,
)
from tests.backends.vendors.gemini.validation import Json, validate_request

SCHEMA = {"type": "object", "properties": {"x": {"type": "string", "minLength": 1}}}
TOOLS = [function("f", SCHEMA)]
GENERIC = ApiError(400, "Request contains an invalid argument.")
UNKNOWN_NAME = ApiError(
    400,
    'Invalid JSON payload received. Unknown name "parametersJsonSchema" at '
    "'tools[0].function_declarations[0]': Cannot find field.",
)
MINIMAL = ApiError(400, "Thinking level MINIMAL is not supported for this model.")
SIGNATURE = ApiError(400, "Corrupted thought signature.")
STATES = ApiError(400, "The schema produces a constraint that has too many states for serving.")


def failure(code: str) -> ApiError:
    return ApiError(502, "x", code=code)


def retry_of(call: GeminiCall, error: ApiError) -> GeminiCall:
    retry = call.retry_for(error)
    assert retry
    validate_request(body_of(retry), retry.factory.model.name)
    return retry


def declaration(call: GeminiCall) -> Json:
    found: Json = body_of(call)["tools"][0]["functionDeclarations"][0]
    return found


@pytest.mark.parametrize("error", [GENERIC, UNKNOWN_NAME], ids=["generic", "unknown name"])
def test_proto_schema_after_a_refusal(error: ApiError) -> None:
    retry = retry_of(ask(tools=TOOLS), error)
    properties = {"x": {"type": "STRING", "minLength": 1}}
    assert declaration(retry) == {
        "name": "f",
        "parameters": {"type": "OBJECT", "properties": properties},
    }
    assert retry.retry_for(error) is None


def test_proto_schema_of_a_response_after_a_refusal() -> None:
    format = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    config = body_of(retry_of(ask(response_format=format), GENERIC))["generationConfig"]
    assert config["responseSchema"]["type"] == "OBJECT"


def test_relaxed_schema() -> None:
    retry = retry_of(ask(tools=TOOLS), STATES)
    assert declaration(retry)["parametersJsonSchema"]["properties"] == {"x": {"type": "string"}}
    other = retry_of(retry, STATES)
    assert declaration(other)["parameters"]["properties"] == {"x": {"type": "STRING"}}
    assert other.retry_for(STATES) is None


def test_no_level_minimal() -> None:
    call = ask(model="gemini-3-flash", reasoning_effort="none")
    assert body_of(call)["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "MINIMAL"}
    retry = retry_of(call, MINIMAL)
    assert body_of(retry)["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "LOW"}
    assert retry.retry_for(MINIMAL) is None


def test_placeholders_for_refused_signatures() -> None:
    message = called(("a", "f"), ("b", "f"), content="t")
    for holder in (message, *message["tool_calls"]):
        holder["extra_content"] = {"google": {"thought_signature": "c2lnbmVk"}}
    refused = ask(USER, message, result("a"), result("b"), model="gemini-3-pro")
    assert refused.request.body.count(b"c2lnbmVk") == 3
    retry = retry_of(refused, SIGNATURE)
    parts = body_of(retry)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [
        None,
        "skip_thought_signature_validator",
        None,
    ]
    assert retry.retry_for(SIGNATURE) is None


def test_a_call_despite_mode_none() -> None:
    call = ask(tools=TOOLS, tool_choice="none")
    retry = retry_of(call, failure("unexpected_tool_call"))
    assert not {"tools", "toolConfig"} & body_of(retry).keys()
    assert retry_of(retry, failure("unexpected_tool_call")).retry_for(failure("x")) is None


@pytest.mark.parametrize(
    ("code", "times"),
    [
        ("malformed_function_call", 2),
        ("malformed_response", 2),
        ("too_many_tool_calls", 2),
        ("unexpected_tool_call", 1),
        ("empty_response", 1),
    ],
)
def test_unchanged_retries(code: str, times: int) -> None:
    call: GeminiCall | None = ask(tools=TOOLS)
    for _ in range(times):
        assert call
        retry = call.retry_for(failure(code))
        assert retry
        assert retry.request.body == call.request.body
        call = retry
    assert call
    assert call.retry_for(failure(code)) is None


@pytest.mark.parametrize(
    "error",
    [
        ApiError(
            400, "The input token count (9) exceeds the maximum number of tokens allowed (8)."
        ),
        ApiError(401, "API key not valid. Please pass a valid API key."),
        ApiError(429, "x"),
        ApiError(503, "x"),
        GENERIC,
    ],
)
def test_no_rule_applies(error: ApiError) -> None:
    assert ask().retry_for(error) is None


class TestVariants:
    def test_an_answered_variant_is_remembered(self) -> None:
        gemini = make_gemini()
        retry = retry_of(ask(tools=TOOLS, gemini=gemini), UNKNOWN_NAME)
        assert "parametersJsonSchema" in declaration(ask(tools=TOOLS, gemini=gemini))
        retry.decoder().feed(recorded("text").body)
        assert "parameters" in declaration(ask(tools=TOOLS, gemini=gemini))
        other = ask(model="gemini-3-pro", tools=TOOLS, gemini=gemini)
        assert "parametersJsonSchema" in declaration(other)

    def test_an_error_is_not_an_answer(self) -> None:
        gemini = make_gemini()
        retry = retry_of(ask(tools=TOOLS, gemini=gemini), UNKNOWN_NAME)
        with pytest.raises(ApiError):
            retry.read_response(recorded("overloaded").body)
        assert gemini.variants == {}

    def test_variants_of_one_prompt_are_not_remembered(self) -> None:
        gemini = make_gemini()
        call = ask(tools=TOOLS, gemini=gemini)
        retry_of(call, STATES).read_response(recorded("text").body)
        retry_of(call, failure("malformed_response")).read_response(recorded("text").body)
        assert gemini.variants == {}

    def test_their_number_is_bounded(self) -> None:
        gemini = make_gemini()
        for number in range(MAX_VARIANTS + 3):
            call = ask(model=f"gemini-3-flash-{number}", gemini=gemini, reasoning_effort="minimal")
            retry_of(call, MINIMAL).read_response(recorded("text").body)
        assert len(gemini.variants) == MAX_VARIANTS


def test_a_retry_keeps_the_credential(capsys: Any) -> None:
    retry = retry_of(ask(tools=TOOLS), GENERIC)
    assert retry.request.credential == ("x-goog-api-key", "secret-key")
    assert "secret-key" not in repr(retry)
    assert json.loads(retry.request.body)
