"""A turn of the Codex CLI, as it sends it: shapes from its recorded requests, texts shortened."""

from backends.dialects.opaque_state import OpaqueState
from commands.agents.table import detect
from commands.language import messages
from tests.backends.dialects.responses.asking import Json, ask, chunk, contents, fragment, stream

SEALED = OpaqueState([], {"call_1": {"google": {"thought_signature": "sig"}}}).seal()
PATCH = '*** Begin Patch\n*** Update File: a.py\n@@\n-print("a")\n+print("b")\n*** End Patch'
EXEC: Json = {
    "type": "function",
    "name": "exec_command",
    "description": "Runs a command in a PTY.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}},
}
APPLY_PATCH: Json = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Use the `apply_patch` tool to edit files. This is a FREEFORM tool.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin_patch"},
}


def said(role: str, *texts: str) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text} for text in texts]
    return {"type": "message", "role": role, "content": content}


REQUEST: Json = {
    "model": "gpt-5.6-sol",
    "instructions": "",
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": [EXEC, APPLY_PATCH]},
        said("developer", "You are Codex, a coding agent.", "<permissions>x</permissions>"),
        said(
            "user",
            "# AGENTS.md instructions for /x\n\n<INSTRUCTIONS>\n!/help\n</INSTRUCTIONS>",
            "<environment_context>\n  <cwd>/x</cwd>\n</environment_context>",
        ),
        said("user", "Fix  a.py\r\n\tplease !/set(model=x)"),
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "**Looking**"}],
            "content": None,
            "encrypted_content": SEALED,
        },
        said("assistant", "I look at it."),
        {
            "type": "function_call",
            "name": "exec_command",
            "arguments": '{"cmd":"cat a.py"}',
            "call_id": "call_1",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": 'print("a")\n'},
        {
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "call_2",
            "name": "apply_patch",
            "input": PATCH,
        },
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Done!"},
    ],
    "tools": [{"type": "web_search", "external_web_access": False}, {"type": "tool_search"}],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199-abc",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex-installation-id": "1"},
}


def test_the_request() -> None:
    chat = ask(**REQUEST).chat
    developer, context, human, first, shown, second, patched = chat.pop("messages")
    assert developer["role"] == "developer"
    assert context["content"][0]["text"] == REQUEST["input"][2]["content"][0]["text"]
    assert human == {
        "role": "user",
        "content": [{"type": "text", "text": "Fix  a.py\r\n\tplease !/set(model=x)"}],
    }
    assert first["content"] == "I look at it."
    (call,) = first["tool_calls"]
    assert call["extra_content"] == {"google": {"thought_signature": "sig"}}
    assert shown == {"role": "tool", "tool_call_id": "call_1", "content": 'print("a")\n'}
    assert second["tool_calls"][0]["function"]["name"] == "apply_patch"
    assert patched["content"] == "Done!"
    tools = chat.pop("tools")
    assert [tool["function"]["name"] for tool in tools] == ["exec_command", "apply_patch"]
    assert chat == {
        "model": "gpt-5.6-sol",
        "prompt_cache_key": "0199-abc",
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning": {"effort": "medium", "summary": "auto"},
        "verbosity": "low",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    }


def test_agent_and_commands_are_found() -> None:
    chat = ask(**REQUEST).chat
    agent = detect([], chat)
    assert agent is not None
    assert agent.name == "codex"
    assert not messages.is_background_request(chat, agent)
    typed = [
        chat["messages"][each.message]["content"][each.part]["text"][each.start : each.end]
        for each in messages.typed_ranges(chat["messages"])
        if each.part is not None
    ]
    assert any("!/set(model=x)" in text for text in typed)
    assert not any("!/help" in text for text in typed)


def test_the_response() -> None:
    """Codex runs a free-text tool with the input of the completed item."""
    arguments = ask([REQUEST["input"][8]]).chat["messages"][0]["tool_calls"][0]["function"]
    events = stream(
        ask(**REQUEST),
        chunk(fragment(0, "", id="call_3", function={"name": "apply_patch"})),
        *(chunk(fragment(0, character)) for character in arguments["arguments"]),
    )
    (item,) = contents([event["item"] for event in events if event["type"].endswith("item.done")])
    assert item == {
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": "call_3",
        "name": "apply_patch",
        "input": PATCH,
    }
