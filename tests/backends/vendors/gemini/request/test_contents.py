"""Messages as contents: each kind of message, and each repair of their order."""

from typing import Any

import pytest

from backends.errors import ApiError
from tests.backends.vendors.gemini.asking import MODELS, USER, ask, body_of, called, result
from tests.backends.vendors.gemini.validation import Json

PLACEHOLDER = "skip_thought_signature_validator"
NO_RESULT = {"error": "tool result not available (cancelled)"}


def text(role: str, *texts: str) -> Json:
    return {"role": role, "parts": [{"text": each} for each in texts]}


def call(*names: str, texts: tuple[str, ...] = (), args: Json | None = None) -> Json:
    parts = [{"functionCall": {"name": name, "args": args or {}}} for name in names]
    return {"role": "model", "parts": [{"text": each} for each in texts] + parts}


def response(*results: tuple[str, Json], media_parts: tuple[Json, ...] = ()) -> Json:
    parts = [{"functionResponse": {"name": name, "response": value}} for name, value in results]
    return {"role": "user", "parts": [*parts, *media_parts]}


HI = text("user", "hi")
OK: Json = {"output": "ok"}
REPLY: Json = {"role": "assistant", "content": "hello"}
A, B = called(("a", "f")), called(("b", "g"))
BLANK = text("user", " ")

# name: (messages, contents for a model without signatures and ids)
CONTENTS: dict[str, tuple[list[Json], list[Json]]] = {
    "a user": ([USER], [HI]),
    "parts": (
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            }
        ],
        [text("user", "a", "b")],
    ),
    "an empty user": ([{"role": "user", "content": ""}], [BLANK]),
    "empty parts": ([{"role": "user", "content": [{"type": "text", "text": ""}]}], [BLANK]),
    "a conversation": ([USER, REPLY, USER], [HI, text("model", "hello"), HI]),
    "thoughts are not sent back": (
        [USER, {**REPLY, "reasoning_content": "x", "reasoning": "y"}, USER],
        [HI, text("model", "hello"), HI],
    ),
    "a refusal": (
        [USER, {"role": "assistant", "content": None, "refusal": "no"}, USER],
        [HI, text("model", "no"), HI],
    ),
    "an assistant who says nothing": (
        [USER, {"role": "assistant", "content": ""}, USER],
        [HI, HI],
    ),
    "system in the midst": (
        [USER, {"role": "system", "content": "mind"}, REPLY, USER],
        [HI, text("user", "mind"), text("model", "hello"), HI],
    ),
    "a call": ([USER, A, result("a")], [HI, call("f"), response(("f", OK))]),
    "text before a call": (
        [USER, called(("a", "f"), content="wait"), result("a")],
        [HI, call("f", texts=("wait",)), response(("f", OK))],
    ),
    "parallel calls, results in another order": (
        [USER, called(("a", "f"), ("b", "g")), result("b", "2"), result("a", "1")],
        [HI, call("f", "g"), response(("f", {"output": "1"}), ("g", {"output": "2"}))],
    ),
    "steps": (
        [USER, A, result("a"), B, result("b"), REPLY, USER],
        [
            *(HI, call("f"), response(("f", OK)), call("g"), response(("g", OK))),
            *(text("model", "hello"), HI),
        ],
    ),
    "the same id in each step": (
        [USER, A, result("a", "1"), called(("a", "g")), result("a", "2")],
        [
            *(HI, call("f"), response(("f", {"output": "1"}))),
            *(call("g"), response(("g", {"output": "2"}))),
        ],
    ),
    "a custom call": (
        [
            USER,
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}
                ],
            },
            result("a"),
        ],
        [HI, call("f", args={"input": "x"}), response(("f", OK))],
    ),
    "a legacy call": (
        [
            USER,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
            {"role": "function", "name": "f", "content": "ok"},
        ],
        [HI, call("f"), response(("f", OK))],
    ),
    # Repairs
    "an assistant begins": ([REPLY, USER], [BLANK, text("model", "hello"), HI]),
    "calls begin": ([A, result("a")], [BLANK, call("f"), response(("f", OK))]),
    "only a system": ([{"role": "system", "content": "s"}], [BLANK]),
    "assistants in a row": (
        [USER, REPLY, called(("a", "f"), content="so"), B, result("a"), result("b")],
        [HI, call("f", "g", texts=("hello", "so")), response(("f", OK), ("g", OK))],
    ),
    "a user between call and result": (
        [USER, A, USER, result("a")],
        [HI, call("f"), response(("f", OK)), HI],
    ),
    "a result that comes a turn late": (
        [USER, A, USER, B, result("b"), result("a")],
        [HI, call("f"), response(("f", OK)), HI, call("g"), response(("g", OK))],
    ),
    "a result is missing": (
        [USER, called(("a", "f"), ("b", "g")), result("b")],
        [HI, call("f", "g"), response(("f", NO_RESULT), ("g", OK))],
    ),
    "no results at the end": ([USER, A], [HI, call("f"), response(("f", NO_RESULT))]),
    "no results, and on": ([USER, A, USER], [HI, call("f"), response(("f", NO_RESULT)), HI]),
    "a result without call": (
        [USER, REPLY, result("z", "left over"), A, result("a")],
        [
            *(HI, text("model", "hello"), text("user", "[tool result z]", "left over")),
            *(call("f"), response(("f", OK))),
        ],
    ),
    "a second result": (
        [USER, A, result("a"), result("a", "again")],
        [HI, call("f"), response(("f", OK)), text("user", "[tool result a]", "again")],
    ),
    # Results
    "an empty result": (
        [USER, A, result("a", "")],
        [HI, call("f"), response(("f", {"output": ""}))],
    ),
    "no content": ([USER, A, result("a", None)], [HI, call("f"), response(("f", {"output": ""}))]),
    "JSON stays text": (
        [USER, A, result("a", '{"error": 1}')],
        [HI, call("f"), response(("f", {"output": '{"error": 1}'}))],
    ),
    "a value that is no text": (
        [USER, A, result("a", {"x": 1})],
        [HI, call("f"), response(("f", {"output": {"x": 1}}))],
    ),
    "a failure": (
        [USER, A, result("a", "boom", is_error=True)],
        [HI, call("f"), response(("f", {"error": "boom"}))],
    ),
    "text parts": (
        [USER, A, result("a", [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}])],
        [HI, call("f"), response(("f", {"output": "1\n2"}))],
    ),
    "an image by address": (
        [USER, A, result("a", [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}])],
        [HI, call("f"), response(("f", {"output": "http://x/y.png"}))],
    ),
}


@pytest.mark.parametrize(("messages", "contents"), CONTENTS.values(), ids=CONTENTS)
def test_contents(messages: list[Json], contents: list[Json]) -> None:
    assert body_of(ask(*messages))["contents"] == contents


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("messages", [row[0] for row in CONTENTS.values()], ids=CONTENTS)
def test_every_generation_accepts_them(messages: list[Json], model: str) -> None:
    ask(*messages, model=model)  # validates


def test_leading_system_text_is_an_instruction() -> None:
    body = body_of(
        ask(
            {"role": "system", "content": " one\n"},
            {"role": "developer", "content": [{"type": "text", "text": "two"}]},
            USER,
        )
    )
    assert body["systemInstruction"] == {"parts": [{"text": " one\n"}, {"text": "two"}]}
    assert body["contents"] == [HI]


@pytest.mark.parametrize(
    ("model", "is_accepted"),
    [("gemini-2.5-pro", True), ("gemini-3-pro", True), ("gemini-3.5-flash", False)],
)
def test_prefill(model: str, is_accepted: bool) -> None:
    prompt = ask(USER, REPLY, model=model)
    assert body_of(prompt)["contents"][-1] == (text("model", "hello") if is_accepted else BLANK)
    assert bool(prompt.warnings) != is_accepted


ARGUMENTS: dict[str, tuple[Any, Json]] = {
    "an object": ('{"a": [1, null]}', {"a": [1, None]}),
    "empty": ("", {}),
    "blank": (" \n", {}),
    "null": ("null", {}),
    "none": (None, {}),
    "no text": ({"a": 1}, {"a": 1}),
    "a list": ("[1]", {"value": [1]}),
    "a string": ('"x"', {"value": "x"}),
    "a raw line break": ('{"a": "x\ny"}', {"a": "x\ny"}),
    "cut off": ('{"a": "x", "b": "y', {"a": "x", "b": "y"}),
    "not a number": ('{"a": NaN}', {"_raw": '{"a": NaN}'}),
    "no JSON": ("a=1", {"_raw": "a=1"}),
}


@pytest.mark.parametrize(("arguments", "args"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments(arguments: Any, args: Json) -> None:
    contents = body_of(ask(USER, called(("a", "f"), arguments=arguments), result("a")))["contents"]
    assert contents[1] == call("f") | {"parts": [{"functionCall": {"name": "f", "args": args}}]}


PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
GIF = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}}
PNG_DATA = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
GIF_DATA = {"inlineData": {"mimeType": "image/gif", "data": "R0lGODlh"}}
NOTE = {"text": "[from the result of f]"}


@pytest.mark.parametrize(
    ("model", "media", "media_parts"),
    [
        ("gemini-2.5-pro", [], [NOTE, PNG_DATA, NOTE, GIF_DATA]),
        ("gemini-3-pro", [PNG_DATA], [NOTE, GIF_DATA]),
    ],
)
def test_media_in_a_result(model: str, media: list[Json], media_parts: list[Json]) -> None:
    """Media that a response must not hold follow all responses."""
    content = [{"type": "text", "text": "look"}, PNG, GIF]
    messages = [USER, called(("a", "f"), ("b", "g")), result("a", content), result("b")]
    parts = body_of(ask(*messages, model=model))["contents"][2]["parts"]
    first: Json = {"name": "f", "response": {"output": "look"}}
    if media:
        first["parts"] = media
    assert parts == [
        {"functionResponse": first},
        {"functionResponse": {"name": "g", "response": OK}},
        *media_parts,
    ]


@pytest.mark.parametrize("model", ["gemini-3-pro", "gemini-4-pro", "gemini-flash-latest"])
def test_the_first_call_of_each_step_gets_the_placeholder(model: str) -> None:
    messages = [
        USER,
        called(("a", "f"), ("b", "g")),
        result("a"),
        result("b"),
        A,
        result("a"),
        USER,
    ]
    contents = body_of(ask(*messages, model=model))["contents"]
    signatures = [
        [part.get("thoughtSignature") for part in content["parts"]]
        for content in contents
        if content["role"] == "model"
    ]
    assert signatures == [[PLACEHOLDER, None], [PLACEHOLDER]]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tester", "content": "x"}, "messages[0].role"),
        ({"content": "x"}, "messages[0].role"),
        ({"role": "user", "content": 3}, "messages[0].content"),
        ({"role": "assistant", "tool_calls": ["x"]}, "messages[0].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "messages[0].tool_calls[0]"),
    ],
)
def test_invalid_messages(message: Json, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(message)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_audio_of_the_assistant_is_dropped() -> None:
    spoken = {"role": "assistant", "content": None, "audio": {"id": "x"}}
    prompt = ask(USER, spoken, USER)
    assert body_of(prompt)["contents"] == [HI, HI]
    assert prompt.warnings == ("messages=audio of the assistant is not sent back",)
