"""Tools as functions of a chat, and which of them may be called."""

from typing import Any

import pytest

from backends.dialects.responses.tools import flat_name
from tests.backends.dialects.responses.asking import Json, ask

F: Json = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
G: Json = {"type": "function", "name": "g"}
PATCH: Json = {
    "type": "custom",
    "name": "patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /x+/\n"},
}
CHAT_F = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object"}, "strict": False},
}
CHAT_G = {"type": "function", "function": {"name": "g"}}
SEARCH = {"type": "web_search", "search_context_size": "low"}


def names(chat: Json) -> list[str]:
    return [tool["function"]["name"] for tool in chat.get("tools", [])]


def test_functions_pass() -> None:
    more = {"defer_loading": True, "allowed_callers": ["direct"], "description": None}
    assert ask(tools=[F | more, G]).chat["tools"] == [CHAT_F, CHAT_G]


def test_a_free_text_tool_becomes_a_function() -> None:
    (tool,) = ask(tools=[PATCH]).chat["tools"]
    assert tool["function"]["name"] == "patch"
    assert tool["function"]["description"] == (
        "Edits files.\n\nThe text goes into 'input' and must follow this lark grammar:\nstart: /x+/"
    )
    assert tool["function"]["parameters"]["required"] == ["input"]


def test_built_in_tools_become_functions() -> None:
    kinds = ["local_shell", "shell", "apply_patch"]
    chat = ask(tools=[{"type": kind} for kind in kinds]).chat
    assert names(chat) == kinds
    assert all(tool["function"]["parameters"]["required"] for tool in chat["tools"])


def test_a_namespace_is_part_of_the_name() -> None:
    space = {"type": "namespace", "name": "crm", "description": "d", "tools": [F, PATCH]}
    assert names(ask(tools=[space, F]).chat) == ["crm__f", "crm__patch", "f"]


def test_long_names_are_cut_and_stay_distinct() -> None:
    long = "mcp__" + "x" * 60
    cut = {flat_name(long, "a"), flat_name(long, "b"), flat_name(long, "a")}
    assert {len(name) for name in cut} == {64}
    assert len(cut) == 2


def test_of_two_by_one_name_the_first_counts() -> None:
    assert ask(tools=[G, {**G, "description": "other"}]).chat["tools"] == [CHAT_G]


def test_items_declare_tools() -> None:
    items = [{"type": "additional_tools", "role": "developer", "tools": [G]}, {"role": "user"}]
    assert ask(items, tools=[F]).chat["tools"] == [CHAT_F, CHAT_G]


def test_web_search_passes() -> None:
    assert ask(tools=[SEARCH]).chat["tools"] == [SEARCH]


NAMED_F = {"type": "function", "function": {"name": "f"}}
CHOICES: dict[str, tuple[Any, Any, list[str]]] = {
    "auto": ("auto", "auto", ["f", "patch", "crm__g", "shell"]),
    "required": ("required", "required", ["f", "patch", "crm__g", "shell"]),
    "a function": (
        {"type": "function", "name": "f"},
        NAMED_F,
        ["f", "patch", "crm__g", "shell"],
    ),
    "a free-text tool": (
        {"type": "custom", "name": "patch"},
        {"type": "function", "function": {"name": "patch"}},
        ["f", "patch", "crm__g", "shell"],
    ),
    "a built-in tool": (
        {"type": "shell"},
        {"type": "function", "function": {"name": "shell"}},
        ["f", "patch", "crm__g", "shell"],
    ),
    "some": (
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [
                {"type": "custom", "name": "patch"},
                {"type": "function", "name": "g", "namespace": "crm"},
                {"type": "mcp", "server_label": "x"},
            ],
        },
        "required",
        ["patch", "crm__g"],
    ),
    "search": (
        {"type": "web_search"},
        {"type": "web_search"},
        ["f", "patch", "crm__g", "shell"],
    ),
}


@pytest.mark.parametrize(("given", "choice", "offered"), CHOICES.values(), ids=CHOICES)
def test_choice(given: Any, choice: Any, offered: list[str]) -> None:
    tools = [F, PATCH, {"type": "namespace", "name": "crm", "tools": [G]}, {"type": "shell"}]
    chat = ask(tools=tools, tool_choice=given, parallel_tool_calls=False).chat
    assert chat["tool_choice"] == choice
    assert chat["parallel_tool_calls"] is False
    assert names(chat) == offered
