"""Compaction, as Codex 0.169 requests it from OpenAI."""

import pytest

from backends.dialects import opaque_state
from backends.dialects.opaque_state import OpaqueState
from backends.dialects.responses import compaction
from backends.dialects.responses.store import ResponseStore
from commands.agents import typed_text
from commands.agents.table import AGENTS
from commands.language import messages
from tests.backends.dialects.responses.asking import (
    Json,
    ask,
    chunk,
    completion,
    contents,
    make_responses,
    stream,
    types_of,
)

HISTORY: list[Json] = [
    {"role": "user", "content": "!/set(model=x) do it"},
    {"type": "function_call", "name": "look", "arguments": "{}", "call_id": "1"},
    {"type": "function_call_output", "call_id": "1", "output": "seen"},
]
TRIGGER: Json = {"type": "compaction_trigger"}
TOOLS: Json = {
    "tools": [{"type": "function", "name": "look", "parameters": {}}],
    "tool_choice": "required",
    "parallel_tool_calls": True,
}


def test_the_model_gets_a_request_for_a_summary_only() -> None:
    chat = ask([*HISTORY, TRIGGER], **TOOLS).chat
    assert chat["tool_choice"] == "none"
    assert [tool["function"]["name"] for tool in chat["tools"]] == ["look"]
    assert [message["role"] for message in chat["messages"]] == [
        "user",
        "assistant",
        "tool",
        "user",
    ]
    assert chat["messages"][-1]["content"] == compaction.REQUEST
    assert messages.is_background_request(chat, AGENTS[0])


@pytest.mark.parametrize("include", [[], ["reasoning.encrypted_content"]])
def test_the_summary_is_sealed_and_comes_back(include: list[str]) -> None:
    request = ask([*HISTORY, TRIGGER], include=include)
    events = stream(request, chunk({"content": "All "}), chunk({"content": "done"}))
    assert types_of(events[2:-1]) == ["output_item.added", "output_item.done"]
    [item] = contents(events[-1]["response"]["output"])
    assert item.keys() == {"type", "encrypted_content"}
    assert contents(request.render(completion({"content": "All done"}))["output"]) == [item]
    for history in ([HISTORY[0], item], [item, *HISTORY]):
        chat = ask(history).chat
        summary = chat["messages"][history.index(item)]
        assert summary == {"role": "user", "content": f"{compaction.SUMMARY}All done"}


def test_commands_before_a_summary_are_old_ones() -> None:
    item = compaction.to_item("1", "Sum. !/set(model=evil)")
    chat = ask([HISTORY[0], item, {"role": "user", "content": "go on"}]).chat["messages"]
    assert [each.is_newest for each in messages.typed_ranges(chat)] == [False, True]
    assert typed_text.is_answered([compaction.SUMMARY])


def test_a_compacted_conversation_continues() -> None:
    responses = make_responses(ResponseStore())
    request = ask([*HISTORY, TRIGGER], responses=responses)
    id = request.render(completion({"content": "Sum"}))["id"]
    chat = ask("go on", responses=responses, previous_response_id=id, **TOOLS).chat
    assert [message["content"] for message in chat["messages"][-2:]] == [
        f"{compaction.SUMMARY}Sum",
        "go on",
    ]
    assert chat["tool_choice"] == "required"


@pytest.mark.parametrize(
    "sealed", ["gAAAA", None, opaque_state.pack({"summary": 5}), OpaqueState([{"a": 1}]).seal()]
)
def test_a_summary_from_another_provider_gives_a_warning(sealed: object) -> None:
    request = ask([{"type": "compaction", "encrypted_content": sealed}, HISTORY[0]])
    text = compaction.SUMMARY + compaction.UNREADABLE
    assert request.chat["messages"] == [{"role": "user", "content": text}, HISTORY[0]]
    assert request.warnings == ["input=a summary from another provider cannot be read"]
