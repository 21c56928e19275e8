"""Each rule of Gemini once broken, and the requests next to it that are fine."""

import re
from typing import Any

import pytest

from addon.demo.simulator.gemini_rules import find_fault, sign

Json = dict[str, Any]

USER: Json = {"role": "user", "parts": [{"text": "hi"}]}
MODEL: Json = {"role": "model", "parts": [{"text": "hello"}]}
SIGNED = sign(1)


def call(*names: str, signature: str | None = SIGNED, **fields: str) -> Json:
    """A call turn; its first part is signed."""
    parts: list[Json] = [{"functionCall": {"name": name, **fields}} for name in names]
    if signature:
        parts[0]["thoughtSignature"] = signature
    return {"role": "model", "parts": parts}


def response(*names: str, **fields: str) -> Json:
    parts = [{"functionResponse": {"name": name, "response": {}, **fields}} for name in names]
    return {"role": "user", "parts": parts}


CALL_TURN = "function call turn comes immediately after a user turn"
RESPONSE_TURN = "function response turn comes immediately after a function call turn"
COUNT = "number of function response parts is equal to the number of function call parts"
IDS = "functionResponse.id does not match functionCall.id"
NAMES = "functionResponse.name does not match functionCall.name"
MISSING = "Function call is missing a thought_signature in functionCall parts"
CORRUPTED = "Corrupted thought signature"
MODEL_END = "Requests ending with a model turn are not supported"

CONTENTS: dict[str, tuple[list[Json], str | None]] = {
    "one user turn": ([USER], None),
    "alternating": ([USER, MODEL, USER], None),
    "same role twice": ([USER, USER, MODEL, MODEL, USER], None),
    "call and response": ([USER, call("a"), response("a")], None),
    "call after response": ([USER, call("a"), response("a"), call("b"), response("b")], None),
    "text after response": ([USER, call("a"), response("a"), MODEL, USER], None),
    "user after response": ([USER, call("a"), response("a"), USER], None),
    "parallel calls": ([USER, call("a", "b"), response("a", "b")], None),
    "equal ids": ([USER, call("a", id="1"), response("a", id="1")], None),
    "no contents": ([], "contents is not specified"),
    "no parts": ([USER, {"role": "model", "parts": []}], "parts must not be empty"),
    "role of OpenAI": ([USER, {**MODEL, "role": "assistant"}], "valid role: user, model"),
    "model first": ([MODEL, USER], CALL_TURN),
    "call first": ([call("a"), response("a")], CALL_TURN),
    "call after text": ([USER, MODEL, call("a"), response("a")], CALL_TURN),
    "call after call": ([USER, call("a"), call("b"), response("b")], CALL_TURN),
    "response first": ([response("a")], RESPONSE_TURN),
    "response later on": ([USER, call("a"), USER, response("a")], COUNT),
    "response without call": ([USER, response("a")], RESPONSE_TURN),
    "response after text": ([USER, MODEL, response("a")], RESPONSE_TURN),
    "responses in two turns": ([USER, call("a", "b"), response("a"), response("b")], RESPONSE_TURN),
    "unanswered, then user": ([USER, call("a"), USER], COUNT),
    "unanswered, then text": ([USER, call("a"), MODEL, USER], COUNT),
    "unanswered at the end": ([USER, call("a")], COUNT),
    "response missing": ([USER, call("a", "b"), response("a")], COUNT),
    "response too many": ([USER, call("a"), response("a", "b")], COUNT),
    "other id": ([USER, call("a", id="1"), response("a", id="2")], IDS),
    "id on one side": ([USER, call("a", id="1"), response("a")], IDS),
    "other name": ([USER, call("a"), response("b")], NAMES),
}


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro", "gemini-flash-latest"])
@pytest.mark.parametrize(("contents", "message"), CONTENTS.values(), ids=CONTENTS)
def test_order(model: str, contents: list[Json], message: str | None) -> None:
    check(model, {"contents": contents}, message)


SIGNATURES: dict[str, tuple[list[Json], str | None]] = {
    "own": ([USER, call("a"), response("a")], None),
    "placeholder": (
        [USER, call("a", signature="skip_thought_signature_validator"), response("a")],
        None,
    ),
    "other placeholder": (
        [USER, call("a", signature="context_engineering_is_the_way_to_go"), response("a")],
        None,
    ),
    "placeholder in base64": (
        [USER, call("a", signature="c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="), response("a")],
        None,
    ),
    "none": ([USER, call("a", signature=None), response("a")], MISSING),
    "foreign": ([USER, call("a", signature="QUJD"), response("a")], CORRUPTED),
    "none in the second step": (
        [USER, call("a"), response("a"), call("b", signature=None), response("b")],
        MISSING,
    ),
    "none in the first step": (
        [USER, call("a", signature=None), response("a"), call("b"), response("b")],
        MISSING,
    ),
    "none in an earlier turn": (
        [USER, call("a", signature=None), response("a"), MODEL, USER],
        None,
    ),
    "on the second of two calls only": (
        [
            USER,
            {"role": "model", "parts": call("a", signature=None)["parts"] + call("b")["parts"]},
            response("a", "b"),
        ],
        MISSING,
    ),
}


@pytest.mark.parametrize(("contents", "message"), SIGNATURES.values(), ids=SIGNATURES)
def test_signatures(contents: list[Json], message: str | None) -> None:
    for model in ("gemini-3-pro", "gemini-3.5-flash", "gemini-4-pro", "gemini-demo-tool-call"):
        check(model, {"contents": contents}, message)
    check("gemini-2.5-flash", {"contents": contents}, None)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("gemini-2.5-pro", None),
        ("gemini-3-pro", None),
        ("gemini-3.1-pro", None),
        ("gemini-3.5-flash", MODEL_END),
        ("gemini-4-pro", MODEL_END),
    ],
)
def test_prefill(model: str, message: str | None) -> None:
    check(model, {"contents": [USER, MODEL]}, message)


PART: Json = {"text": "hi", "cache_control": {}}
CALL_PART: Json = {"functionCall": {"name": "a", "arguments": "{}"}}
UNKNOWN_NAMES: dict[str, tuple[Json, str]] = {
    "top level": ({"messages": []}, 'Unknown name "messages": Cannot find field.'),
    "config": (
        {"generationConfig": {"temperature": 1, "max_tokens": 1}},
        "Unknown name \"max_tokens\" at 'generationConfig'",
    ),
    "content": (
        {"contents": [USER, {**MODEL, "tool_calls": []}]},
        "Unknown name \"tool_calls\" at 'contents[1]'",
    ),
    "part": (
        {"contents": [{"parts": [{"text": "a"}, PART]}]},
        "Unknown name \"cache_control\" at 'contents[0].parts[1]'",
    ),
    "call": (
        {"contents": [{"parts": [CALL_PART]}]},
        "Unknown name \"arguments\" at 'contents[0].parts[0].functionCall'",
    ),
    "system": (
        {"systemInstruction": {"parts": [PART]}},
        "Unknown name \"cache_control\" at 'systemInstruction.parts[0]'",
    ),
}


@pytest.mark.parametrize(("body", "message"), UNKNOWN_NAMES.values(), ids=UNKNOWN_NAMES)
def test_unknown_names(body: Json, message: str) -> None:
    check(
        "gemini-2.5-pro", {"contents": [USER], **body}, f"Invalid JSON payload received. {message}"
    )


def test_a_result_must_be_an_object() -> None:
    result = response("a")
    result["parts"][0]["functionResponse"]["response"] = ["x"]
    check("gemini-2.5-pro", {"contents": [USER, call("a"), result]}, "Proto field")


def check(model: str, body: Json, message: str | None) -> None:
    fault = find_fault(model, body)
    if message is None:
        assert fault is None
    else:
        assert fault is not None
        assert re.search(re.escape(message), fault.message)
