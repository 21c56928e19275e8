"""Requests of the Responses API as chats."""

import re
from typing import Any

import pytest

from backends.dialects.opaque_state import OpaqueState
from backends.errors import ApiError
from tests.backends.dialects.responses.asking import Json, ask, make_responses

USER = {"role": "user", "content": "hi"}


def says(role: str, *texts: str, **more: Any) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"role": role, "content": [{"type": kind, "text": text} for text in texts], **more}


def called(id: str, name: str = "f", arguments: str = "{}", **more: Any) -> Json:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments, **more}


def returned(id: str, output: Any = "ok", type: str = "function_call_output") -> Json:
    return {"type": type, "call_id": id, "output": output}


def tool_call(id: str, name: str = "f", arguments: str = "{}", **more: Any) -> Json:
    function = {"name": name, "arguments": arguments}
    return {"id": id, "type": "function", "function": function, **more}


def result(id: str, content: Any = "ok") -> Json:
    return {"role": "tool", "tool_call_id": id, "content": content}


def text(value: str) -> Json:
    return {"type": "text", "text": value}


def assistant(content: Any = None, *calls: Json, **more: Any) -> Json:
    tool_calls = {"tool_calls": list(calls)} if calls else {}
    return {"role": "assistant", "content": content, **tool_calls, **more}


SEALED = OpaqueState([{"type": "reasoning.text", "text": "hm"}], {"a": {"google": 1}}).seal()

CONVERSATIONS: dict[str, tuple[Any, list[Json]]] = {
    "a string": ("hi \n", [{"role": "user", "content": "hi \n"}]),
    "a message without type": ([USER], [USER]),
    "parts stay parts": (
        [says("developer", "a"), says("user", "b", " c")],
        [
            {"role": "developer", "content": [text("a")]},
            {"role": "user", "content": [text("b"), text(" c")]},
        ],
    ),
    "one text of a model is the content": ([says("assistant", "a")], [assistant("a")]),
    "messages of a model are one": (
        [says("assistant", "a"), says("assistant", "b", phase="final_answer")],
        [assistant([text("a"), text("b")])],
    ),
    "refusal": (
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
        [assistant(refusal="no")],
    ),
    "calls behind a text are one message": (
        [USER, says("assistant", "a"), called("a"), called("b"), returned("a"), returned("b")],
        [USER, assistant("a", tool_call("a"), tool_call("b")), result("a"), result("b")],
    ),
    "text behind calls": (
        [called("a"), says("assistant", "a"), returned("a")],
        [assistant("a", tool_call("a")), result("a")],
    ),
    "steps": (
        [called("a"), returned("a"), called("b"), returned("b")],
        [
            assistant(None, tool_call("a")),
            result("a"),
            assistant(None, tool_call("b")),
            result("b"),
        ],
    ),
    "a result stands behind its call": (
        [called("a"), called("b"), USER, returned("a"), returned("b")],
        [assistant(None, tool_call("a"), tool_call("b")), result("a"), result("b"), USER],
    ),
    "a result without call": ([USER, returned("a")], [USER, result("a")]),
    "arguments are text": (
        [called("a", arguments='{"x": 1.0}')],
        [assistant(None, tool_call("a", arguments='{"x": 1.0}'))],
    ),
    "results in parts": (
        [
            called("a"),
            returned(
                "a",
                [
                    {"type": "input_text", "text": "x"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
                ],
            ),
        ],
        [
            assistant(None, tool_call("a")),
            result(
                "a",
                [
                    text("x"),
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                ],
            ),
        ],
    ),
    "free text": (
        [
            {"type": "custom_tool_call", "call_id": "a", "name": "p", "input": 'x\n"é'},
            returned("a", type="custom_tool_call_output"),
        ],
        [assistant(None, tool_call("a", "p", '{"input":"x\\n\\"é"}')), result("a")],
    ),
    "namespace": (
        [called("a", "f", namespace="crm")],
        [assistant(None, tool_call("a", "crm__f"))],
    ),
    "local shell": (
        [
            {
                "type": "local_shell_call",
                "id": "lsh_1",
                "call_id": "a",
                "action": {"type": "exec", "command": ["ls"], "env": {}},
                "status": "completed",
            },
            {"type": "local_shell_call_output", "id": "a", "output": "x"},
        ],
        [
            assistant(
                None,
                tool_call("a", "local_shell", '{"type":"exec","command":["ls"],"env":{}}'),
            ),
            result("a", "x"),
        ],
    ),
    "shell": (
        [
            {"type": "shell_call", "call_id": "a", "action": {"commands": ["ls"]}},
            returned("a", [{"stdout": "x", "stderr": ""}], "shell_call_output"),
        ],
        [
            assistant(None, tool_call("a", "shell", '{"commands":["ls"]}')),
            result("a", '[{"stdout":"x","stderr":""}]'),
        ],
    ),
    "apply_patch": (
        [
            {
                "type": "apply_patch_call",
                "call_id": "a",
                "operation": {"type": "delete_file", "path": "x"},
                "status": "completed",
            },
            {"type": "apply_patch_call_output", "call_id": "a", "status": "completed"},
        ],
        [
            assistant(None, tool_call("a", "apply_patch", '{"type":"delete_file","path":"x"}')),
            result("a", "completed"),
        ],
    ),
    "our reasoning": (
        [
            {"type": "reasoning", "summary": [], "encrypted_content": SEALED},
            says("assistant", "x"),
            called("a"),
            called("b"),
        ],
        [
            assistant(
                "x",
                tool_call("a", extra_content={"google": 1}),
                tool_call("b"),
                reasoning_details=[{"type": "reasoning.text", "text": "hm"}],
            )
        ],
    ),
    "reasoning alone": (
        [{"type": "reasoning", "summary": [], "encrypted_content": SEALED}, USER, called("b")],
        [USER, assistant(None, tool_call("b"))],
    ),
    "foreign reasoning": (
        [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]},
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAABo"},
            {"type": "reasoning", "summary": [], "encrypted_content": "llm-proxy-1.!"},
            {"type": "reasoning", "summary": [], "encrypted_content": "llm-proxy-1.MQ=="},
            says("assistant", "x"),
        ],
        [assistant("x")],
    ),
    "media": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
                    {"type": "input_image", "image_url": None, "file_id": "file-1"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:;base64,AA=="},
                    {"type": "input_file", "file_url": "https://x.test/a.pdf"},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                    {"type": "smell", "x": 1},
                ],
            }
        ],
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "https://x.test/a.png", "detail": "low"},
                    },
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {
                        "type": "file",
                        "file": {"filename": "a.pdf", "file_data": "data:;base64,AA=="},
                    },
                    {"type": "file", "file": {"file_data": "https://x.test/a.pdf"}},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                    {"type": "smell", "x": 1},
                ],
            }
        ],
    ),
}


@pytest.mark.parametrize(("input", "messages"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_conversations(input: Any, messages: list[Json]) -> None:
    assert ask(input).chat["messages"] == messages


PARAMETERS: dict[str, tuple[Json, Json]] = {
    "nothing": ({}, {}),
    "nulls": (dict.fromkeys(("temperature", "tools", "tool_choice", "text", "reasoning")), {}),
    "what is the same": (
        {"temperature": 1.0, "top_p": 1, "user": "u", "metadata": {"a": "b"}, "seed": 1},
        {"temperature": 1.0, "top_p": 1, "user": "u", "metadata": {"a": "b"}, "seed": 1},
    ),
    "OpenRouter's own": (
        {"provider": {"sort": "price"}, "models": ["a"]},
        {"provider": {"sort": "price"}, "models": ["a"]},
    ),
    "what only this API knows": (
        {
            "store": False,
            "include": [],
            "truncation": "disabled",
            "client_metadata": {"a": "b"},
            "max_tool_calls": 3,
            "background": False,
            "prompt": None,
            "from_the_future": 1,
            "stream": False,
            "stream_options": {"include_obfuscation": False},
        },
        {},
    ),
    "a stream": ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    "limit": ({"max_output_tokens": 9}, {"max_completion_tokens": 9}),
    "reasoning": (
        {"reasoning": {"effort": "high", "summary": "auto", "generate_summary": None}},
        {"reasoning": {"effort": "high", "summary": "auto"}},
    ),
    "reasoning without anything": ({"reasoning": {"effort": None}}, {}),
    "plain text": ({"text": {"format": {"type": "text"}}}, {}),
    "verbosity": ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
    "JSON": (
        {"text": {"format": {"type": "json_object"}}},
        {"response_format": {"type": "json_object"}},
    ),
    "JSON by schema": (
        {
            "text": {
                "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True},
                "verbosity": "high",
            }
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "strict": True},
            },
            "verbosity": "high",
        },
    ),
    "logprobs": (
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        {"logprobs": True, "top_logprobs": 2},
    ),
    "no tools to choose": ({"tool_choice": "auto", "parallel_tool_calls": True}, {}),
}


@pytest.mark.parametrize(("given", "expected"), PARAMETERS.values(), ids=PARAMETERS)
def test_parameters(given: Json, expected: Json) -> None:
    request = ask(**given)
    assert request.chat == {"model": "m", "messages": [USER], **expected}
    assert request.body is None


def test_instructions_come_first() -> None:
    chat = ask([says("developer", "b")], instructions="a").chat
    assert chat["messages"][0] == {"role": "system", "content": "a"}
    assert chat["messages"][1]["role"] == "developer"


REFUSED: dict[str, tuple[Json, str, str]] = {
    "not a list": ({"input": 1}, "input", "must be a list"),
    "empty": ({"input": []}, "input", "must not be an empty list"),
    "no item": ({"input": [1]}, "input[0]", "must be an object"),
    "no role": ({"input": [{"content": "x"}]}, "input[0].role", "'input[0]' needs a 'role'"),
    "a call without name": (
        {"input": [{"type": "function_call", "call_id": "a"}]},
        "input[0]",
        "'input[0]' needs the name of a tool",
    ),
    "a call without id": (
        {"input": [{"type": "function_call", "name": "a"}]},
        "input[0].call_id",
        "'input[0]' needs a 'call_id'",
    ),
    "unknown item": (
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        "input[0]",
        "not found",
    ),
    "instructions": ({"instructions": []}, "instructions", "must be a string"),
    "reasoning": ({"reasoning": "high"}, "reasoning", "must be an object"),
    "text": ({"text": {"format": "json"}}, "text.format", "must be an object"),
    "tools": ({"tools": {}}, "tools", "must be a list"),
    "no tool": ({"tools": ["f"]}, "tools[0]", "must be an object"),
    "a tool without name": (
        {"tools": [{"type": "function"}]},
        "tools[0]",
        "'tools[0]' needs a 'name'",
    ),
    "a tool that cannot be": (
        {"tool_choice": {"type": "file_search"}},
        "tool_choice",
        "type file_search, which is not supported",
    ),
    "background": ({"background": True}, "background", "is not supported"),
    "prompt": ({"prompt": {"id": "p"}}, "prompt", "is not supported"),
    "conversation": ({"conversation": "c"}, "conversation", "is not supported"),
    "previous": ({"previous_response_id": "resp_1"}, "previous_response_id", "not found"),
}


@pytest.mark.parametrize(("given", "param", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(given: Json, param: str, message: str) -> None:
    with pytest.raises(ApiError, match=re.escape(message)) as caught:
        ask(**{"input": "hi", **given})
    error = caught.value
    assert (error.status, error.type) == (400, "invalid_request_error")
    assert error.param is not None
    assert error.param.startswith(param)


def test_no_input() -> None:
    with pytest.raises(ApiError, match="Missing required parameter: 'input'"):
        make_responses()(b'{"model":"m"}')


def test_each_warning_occurs_once() -> None:
    request = ask(
        [{"type": "computer_call"}, {"type": "computer_call"}, {"type": "web_search_call"}, USER],
        tools=[{"type": "file_search"}, {"type": "web_search", "external_web_access": False}],
        truncation="auto",
    )
    assert request.chat == {"model": "m", "messages": [USER]}
    assert request.warnings == [
        "input=items of type computer_call are not supported",
        "tools=type file_search is not supported",
        "tools=type web_search is not supported",
        "truncation=the history is never truncated",
    ]


UNKNOWN = {"type": "mcp_call", "id": "m"}


@pytest.mark.parametrize(
    ("items", "roles", "typed_from"),
    [
        ([USER, USER], "user user", 0),
        ([USER, UNKNOWN], "user", 1),
        ([UNKNOWN, UNKNOWN, USER], "user", 0),
        ([USER, UNKNOWN, USER], "user user", 1),
        ([USER, {"type": "reasoning", "id": "r"}, USER], "user user", 1),
        ([USER, {"type": "web_search_call", "id": "w"}, USER], "user user", 1),
        (
            [USER, called("1"), UNKNOWN, USER, returned("1"), UNKNOWN, USER],
            "user assistant tool user user",
            4,
        ),
        ([says("assistant", "a"), UNKNOWN, says("assistant", "b"), USER], "assistant user", 1),
        ([USER, {"type": "additional_tools", "tools": []}], "user", 0),
    ],
)
def test_what_a_chat_has_no_place_for_is_the_model_s(
    items: list[Json], roles: str, typed_from: int
) -> None:
    asked = ask(items)
    assert [message["role"] for message in asked.chat["messages"]] == roles.split()
    assert asked.typed_from == typed_from
