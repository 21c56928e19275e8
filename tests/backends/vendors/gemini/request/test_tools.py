"""Tools, tool choice, and the names and arguments of calls in responses."""

import json
from typing import Any

import pytest

from backends.errors import ApiError
from backends.vendors.gemini.request.tools import Names
from tests.backends.vendors.gemini.asking import USER, ask, body_of, called, function, result
from tests.backends.vendors.gemini.validation import Json, validate_completion

F, G = function("f"), function("g")
STRICT = [function("f", strict=True), function("g", strict=True)]
CUSTOM: Json = {
    "type": "custom",
    "custom": {
        "name": "patch",
        "description": "Applies a patch",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}},
    },
}
SEARCH: Json = {"type": "web_search_preview"}


def answer(*parts: Json) -> bytes:
    return json.dumps({"candidates": [{"content": {"parts": list(parts)}}]}).encode()


def named(name: str, **args: Any) -> Json:
    return {"functionCall": {"name": name, "args": args}}


class TestDeclarations:
    def test_all_functions_are_in_one_tool(self) -> None:
        described = function("f", description="does f")
        [tool] = body_of(ask(tools=[described, G]))["tools"]
        schema = {"type": "object", "properties": {"x": {"type": "string"}}}
        assert tool["functionDeclarations"] == [
            {"name": "f", "description": "does f", "parametersJsonSchema": schema},
            {"name": "g", "parametersJsonSchema": schema},
        ]

    @pytest.mark.parametrize("parameters", [None, {}, {"type": "object", "properties": {}}])
    def test_no_parameters(self, parameters: Json | None) -> None:
        tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
        [declared] = body_of(ask(tools=[tool]))["tools"]
        assert declared == {"functionDeclarations": [{"name": "f"}]}

    @pytest.mark.parametrize("tools", [None, []])
    def test_no_tools(self, tools: Any) -> None:
        body = body_of(ask(tools=tools, tool_choice="required"))
        assert not {"tools", "toolConfig"} & body.keys()

    def test_the_first_of_two_with_one_name_wins(self) -> None:
        [tool] = body_of(ask(tools=[function("f", description="1"), F]))["tools"]
        assert [each.get("description") for each in tool["functionDeclarations"]] == ["1"]

    def test_a_custom_tool_takes_a_text(self) -> None:
        [tool] = body_of(ask(tools=[CUSTOM]))["tools"]
        [declaration] = tool["functionDeclarations"]
        assert declaration["description"] == (
            "Applies a patch\n\nThe input must follow this lark grammar:\nstart: A"
        )
        assert declaration["parametersJsonSchema"]["required"] == ["input"]

    def test_legacy_functions(self) -> None:
        body = body_of(ask(functions=[F["function"]], function_call={"name": "f"}))
        assert body["tools"] == body_of(ask(tools=[F]))["tools"]
        calling = body["toolConfig"]["functionCallingConfig"]
        assert calling == {"mode": "ANY", "allowedFunctionNames": ["f"]}

    def test_unknown_types_are_dropped_with_a_warning(self) -> None:
        call = ask(tools=[F, {"type": "mcp"}, "x", {"type": ["mcp"]}])
        assert call.warnings == (
            "tools=type mcp is not supported",
            "tools=type None is not supported",
            "tools=type None is not supported",
        )
        assert len(body_of(call)["tools"]) == 1

    @pytest.mark.parametrize(
        ("tools", "param"),
        [
            ([function(f"f{number}") for number in range(513)], "tools"),
            ("x", "tools"),
            ([{"type": "function", "function": {}}], "tools[0]"),
            ([{"type": "function"}], "tools[0]"),
        ],
    )
    def test_invalid_tools(self, tools: Any, param: str) -> None:
        with pytest.raises(ApiError) as caught:
            ask(tools=tools)
        assert (caught.value.status, caught.value.param) == (400, param)


class TestSearch:
    @pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro"])
    @pytest.mark.parametrize("asked", [{"tools": [SEARCH]}, {"web_search_options": {}}])
    def test_alone(self, model: str, asked: Json) -> None:
        call = ask(model=model, **asked)
        assert body_of(call)["tools"] == [{"googleSearch": {}}]
        assert "toolConfig" not in body_of(call)
        assert call.warnings == ()

    def test_functions_win(self) -> None:
        call = ask(model="gemini-2.5-pro", tools=[F, SEARCH])
        assert len(body_of(call)["tools"]) == 1
        assert call.warnings == ("web_search=not together with functions on this model",)

    def test_with_functions(self) -> None:
        body = body_of(ask(model="gemini-3-pro", tools=[F, SEARCH]))
        assert [list(tool) for tool in body["tools"]] == [
            ["functionDeclarations"],
            ["googleSearch"],
        ]
        assert body["toolConfig"] == {
            "includeServerSideToolInvocations": True,
            "functionCallingConfig": {"mode": "VALIDATED"},
        }


def one(name: str) -> Json:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> Json:
    choice = {"mode": mode, "tools": [one(name) for name in names]}
    return {"type": "allowed_tools", "allowed_tools": choice}


ONLY_F = {"mode": "ANY", "allowedFunctionNames": ["f"]}
CHOICES: dict[str, tuple[Any, Json | None]] = {
    "missing": (None, None),
    "auto": ("auto", None),
    "none": ("none", {"mode": "NONE"}),
    "required": ("required", {"mode": "ANY"}),
    "one": (one("f"), ONLY_F),
    "one, flat": ({"type": "function", "name": "f"}, ONLY_F),
    "custom": (
        {"type": "custom", "custom": {"name": "patch"}},
        {"mode": "ANY", "allowedFunctionNames": ["patch"]},
    ),
    "some, required": (allowed("required", "f"), ONLY_F),
    "some, auto": (
        allowed("auto", "f", "g"),
        {"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]},
    ),
}


@pytest.mark.parametrize(("choice", "config"), CHOICES.values(), ids=CHOICES)
def test_choice(choice: Any, config: Json | None) -> None:
    body = body_of(ask(tools=[F, G, CUSTOM], tool_choice=choice))
    assert body.get("toolConfig") == ({"functionCallingConfig": config} if config else None)
    assert len(body["tools"][0]["functionDeclarations"]) == 3


def test_strict_tools_are_validated_unless_the_choice_says_more() -> None:
    config = body_of(ask(tools=STRICT))["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "VALIDATED"}
    config = body_of(ask(tools=STRICT, tool_choice="none"))["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "NONE"}
    assert "toolConfig" not in body_of(ask(tools=[*STRICT, F | {"function": {"name": "h"}}]))


def test_an_unknown_choice_is_none() -> None:
    call = ask(tools=[F], tool_choice="any")
    assert call.warnings == ("tool_choice=any is not supported",)
    assert "toolConfig" not in body_of(call)


@pytest.mark.parametrize("choice", [one("h"), allowed("required", "f", "h")])
def test_a_choice_of_an_unknown_tool(choice: Json) -> None:
    with pytest.raises(ApiError) as caught:
        ask(tools=[F], tool_choice=choice)
    assert (caught.value.status, caught.value.param) == (400, "tool_choice")


class TestNames:
    @pytest.mark.parametrize(
        ("name", "ours"),
        [
            ("read_file", "read_file"),
            ("ns.tool:x-1", "ns.tool:x-1"),
            ("GET /repos/{owner}", "GET__repos__owner_"),
            ("1st", "_1st"),
            ("", "_"),
            ("Grüße", "Gr__e"),
            ("a" * 128, "a" * 128),
            ("a" * 129, "a" * 60),
        ],
    )
    def test_renaming(self, name: str, ours: str) -> None:
        names = Names([name])
        assert names.to_gemini(name) == ours
        assert names.to_client(ours) == name

    def test_names_stay_unique(self) -> None:
        given = ["a b", "a_b", "a/b", "a\tb"]
        names = Names(given)
        assert names.to_gemini("a_b") == "a_b"
        ours = [names.to_gemini(name) for name in given]
        assert len(set(ours)) == len(given)
        assert [names.to_client(name) for name in ours] == given

    def test_a_stray_prefix_is_removed(self) -> None:
        names = Names(["f", "default_api.g"])
        assert names.to_client("default_api.f") == "f"
        assert names.to_client("default_api:f") == "f"
        assert names.to_client("default_api.g") == "default_api.g"
        assert names.to_client("default_api.h") == "default_api.h"

    def test_renamed_everywhere(self) -> None:
        tool = function("a b")
        call = ask(USER, called(("1", "a b")), result("1"), tools=[tool], tool_choice=one("a b"))
        body = body_of(call)
        assert body["tools"][0]["functionDeclarations"][0]["name"] == "a_b"
        assert body["contents"][1]["parts"][0]["functionCall"]["name"] == "a_b"
        assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == "a_b"
        assert body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == ["a_b"]
        message = call.read_response(answer(named("a_b")))["choices"][0]["message"]
        assert message["tool_calls"][0]["function"]["name"] == "a b"


class TestResponses:
    def test_a_custom_call(self) -> None:
        completion = ask(tools=[CUSTOM]).read_response(answer(named("patch", input="*** x")))
        validate_completion(completion)
        [call] = completion["choices"][0]["message"]["tool_calls"]
        assert call["type"] == "custom"
        assert call["custom"] == {"name": "patch", "input": "*** x"}

    def test_a_legacy_call(self) -> None:
        call = ask(functions=[F["function"]])
        completion = call.read_response(answer(named("f", x=1), named("f", x=2)))
        validate_completion(completion)
        [choice] = completion["choices"]
        assert choice["finish_reason"] == "function_call"
        assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}
        assert choice["message"]["content"] is None

    @pytest.mark.parametrize(("parallel", "count"), [(None, 2), (True, 2), (False, 1)])
    def test_parallel_calls_can_be_refused(self, parallel: bool | None, count: int) -> None:
        call = ask(tools=[F], parallel_tool_calls=parallel)
        message = call.read_response(answer(named("f"), named("f")))["choices"][0]["message"]
        assert len(message["tool_calls"]) == count

    def test_arguments_that_are_not_an_object_are_wrapped(self) -> None:
        tool = function("f", {"type": "array", "items": {"type": "string"}})
        call = ask(USER, called(("1", "f"), arguments='["a"]'), result("1"), tools=[tool])
        [declaration] = body_of(call)["tools"][0]["functionDeclarations"]
        assert declaration["parametersJsonSchema"]["required"] == ["value"]
        part = body_of(call)["contents"][1]["parts"][0]
        assert part["functionCall"]["args"] == {"value": ["a"]}
        message = call.read_response(answer(named("f", value=["b"])))["choices"][0]["message"]
        assert message["tool_calls"][0]["function"]["arguments"] == '["b"]'
