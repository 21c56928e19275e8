"""Which agent a request is from, and replies in its shape."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from backends.openai_wire import Chat
from commands.agents.table import AGENTS, ToolCall, detect, wrap_reply
from commands.language import messages
from commands.language.scanner import Scanner
from commands.sessions.session_id import session_id
from tests.backends.dialects.responses.asking import ask

WIRE = Path(__file__).resolve().parents[2] / "wire" / "agents"
REQUESTS = sorted(WIRE.glob("*.json"))
BY_NAME = {agent.name: agent for agent in AGENTS}
OPENAI_SDK = [("user-agent", "OpenAI/Python 1.99.1"), ("x-stainless-lang", "python")]


def prompted(*texts: Any, role: str = "system", tools: tuple[str, ...] = ()) -> Chat:
    chat: Chat = {"messages": [{"role": role, "content": text} for text in texts]}
    if tools:
        chat["tools"] = [{"type": "function", "function": {"name": name}} for name in tools]
    return chat


def name_of(headers: list[tuple[str, str]], chat: Chat) -> str | None:
    agent = detect(headers, chat)
    return agent.name if agent else None


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_requests_of_agents(path: Path) -> None:
    sample = json.loads(path.read_text("utf-8"))
    headers = [(name, value) for name, value in sample["headers"]]
    chat = sample.get("chat") or ask(**sample["response"]).chat
    expected = sample["expected"]
    agent = detect(headers, chat)
    assert (agent.name if agent else None) == expected["agent"]
    assert session_id(headers, chat, agent) == expected["session"]
    assert messages.is_background_request(chat, agent) == expected["is_background_request"]
    typed = []
    commands: dict[tuple[int, int | None], list[tuple[int, int]]] = {}
    for piece in messages.typed_ranges(chat["messages"]):
        content = chat["messages"][piece.message]["content"]
        text = content if piece.part is None else content[piece.part]["text"]
        assert "evil" not in text[piece.start : piece.end]
        if piece.is_newest and (words := text[piece.start : piece.end].strip()):
            typed.append(words)
        at, scanner = piece.start, Scanner(lambda name: True)
        while call := scanner.find(text, at, piece.end, "!/"):
            commands.setdefault((piece.message, piece.part), []).append((call.start, call.end))
            at = call.end
    assert typed == expected["typed"]
    left = str(messages.remove(chat["messages"], commands))
    assert re.findall(r"!/\w+\((?!\w+=evil)", left) == []


@pytest.mark.parametrize(
    ("header", "value", "name"),
    [
        ("user-agent", "codex_exec/0.169", "codex"),
        ("user-agent", "codex-tui/0.169", "codex"),
        ("originator", "codex_exec", "codex"),
        ("originator", "codex_cli_rs", "codex"),
        ("originator", "codex-tui", "codex"),
        ("x-codex-turn-metadata", "{}", "codex"),
        ("user-agent", "opencode/1.18", "opencode"),
        ("originator", "opencode", "opencode"),
        ("x-title", "opencode", "opencode"),
        ("user-agent", "Kilo-Code/7", "kilo"),
        ("x-title", "Kilo Code", "kilo"),
        ("user-agent", "QwenCode/0.15", "qwen-code"),
        ("x-openrouter-title", "Qwen Code", "qwen-code"),
        ("user-agent", "GeminiCLI/0.61", "gemini-cli"),
        ("user-agent", "claude-cli/2.1", "claude-code"),
        ("x-app", "cli", "claude-code"),
        ("x-claude-code-session-id", "1", "claude-code"),
        ("x-title", "Aider", "aider"),
        ("http-referer", "https://aider.chat", "aider"),
        ("http-referer", "https://cline.bot", "cline"),
        ("x-title", "Cline", "cline"),
        ("x-client-type", "cline-vscode", "cline"),
        ("user-agent", "RooCode/3", "roo-code"),
        ("x-title", "Roo Code", "roo-code"),
        ("x-openrouter-title", "Continue", "continue"),
        ("x-initiator", "user", "copilot-cli"),
        ("x-interaction-type", "conversation-user", "copilot-cli"),
        ("user-agent", "Charm-Crush/0.2", "crush"),
        ("goose-session-id", "1", "goose"),
        ("user-agent", "OpenAI/Python 3.54", None),
        ("user-agent", "OpenAI/JS 6.49", None),
        ("user-agent", "curl/8", None),
        ("user-agent", "my-codex_exec", None),
    ],
)
def test_by_header(header: str, value: str, name: str | None) -> None:
    assert name_of([("accept", "*/*"), (header, value)], prompted("Hi")) == name


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("You are Codex, a coding agent", "codex"),
        ("You are a coding agent running in the Codex CLI, a", "codex"),
        ("You are opencode, a tool", "opencode"),
        ("You are Kilo, a tool", "kilo"),
        ("You are Qwen Code, a tool", "qwen-code"),
        ("You are a non-interactive CLI agent", "gemini-cli"),
        ("You are Gemini CLI", "gemini-cli"),
        ("You are Claude Code, a tool", "claude-code"),
        ("You are a Claude agent", "claude-code"),
        ("Act as an expert software developer.", "aider"),
        ("Act as an expert code analyst.", "aider"),
        ("Act as an expert software engineer.", "aider"),
        ("You are Cline, a highly skilled software engineer", "cline"),
        ("You are Cline, an agent", "cline-cli"),
        ("You are Roo, a tool", "roo-code"),
        ("\nYou are an agent in the Continue CLI", "continue"),
        ("You are an expert coding assistant operating inside pi", "pi"),
        ("You are the GitHub Copilot CLI", "copilot-cli"),
        (
            "You are an expert AI programming assistant, working with a user in the VS Code editor",
            "copilot-chat",
        ),
        ("You are Crush, a tool", "crush"),
        ("You are a general-purpose AI agent called goose", "goose"),
        ("Compare: You are Crush, a tool", None),
        (" " * 200 + "You are Crush,", None),
    ],
)
def test_by_prompt(prompt: str, name: str | None) -> None:
    parts = [{"type": "image_url"}, {"type": "text", "text": prompt}]
    assert name_of(OPENAI_SDK, prompted(prompt)) == name
    assert name_of(OPENAI_SDK, prompted("billing: 1", prompt)) == name
    assert name_of(OPENAI_SDK, prompted(parts, role="developer")) == name
    assert name_of(OPENAI_SDK, prompted(prompt, role="user")) is None


def test_by_tools() -> None:
    tools = ("ask_question", "other", "read_files", "run_commands")
    assert name_of(OPENAI_SDK, prompted("Hi", tools=tools)) == "cline-cli"
    assert name_of(OPENAI_SDK, prompted("Hi", tools=tools[:3])) is None


def test_the_order_of_marks() -> None:
    chat = prompted("You are Crush,", tools=("exec_command", "apply_patch"))
    headers = [("x-initiator", "user"), ("x-title", "Aider"), ("user-agent", "RooCode/3")]
    for name in ("roo-code", "aider", "copilot-cli"):
        assert name_of(headers, chat) == name
        headers.pop()
    assert name_of([], chat) == "crush"
    del chat["messages"][0]
    assert name_of([], chat) == "codex"


@pytest.mark.parametrize(
    "chat",
    [
        {"messages": [], "tools": 5},
        {"messages": 5, "tools": [5, {}, {"function": 5}, {"function": {"name": []}}]},
        {"messages": [5, {}, {"role": []}, {"role": "system"}, {"role": "system", "content": [5]}]},
        {"messages": [{"role": "system", "content": [{"type": [], "text": 5}]}]},
    ],
    ids=repr,
)
def test_odd_requests_are_from_no_agent(chat: Chat) -> None:
    assert detect([], chat) is None


XML = "You are {}, a highly skilled software engineer\nUse <attempt_completion>."
IN_XML = "<attempt_completion>\n<result>\na\nb\n</result>\n</attempt_completion>"
CALL = ToolCall("attempt_completion", {"result": "a\nb"})


@pytest.mark.parametrize(
    ("prompt", "tools", "reply"),
    [
        ("Be nice", (), "a\nb"),
        ("You are Codex, a", (), "a\nb"),
        ("Act as an expert software developer", (), "    a\n    b"),
        (XML.format("Cline"), (), IN_XML),
        (XML.format("Roo"), (), IN_XML),
        ("You are Roo, a", ("attempt_completion",), CALL),
        ("You are Cline, a highly skilled software engineer", ("attempt_completion",), CALL),
        ("You are Kilo, a", ("read",), "a\nb"),
        ("You are Roo, a", (), "a\nb"),
        ("You are Cline, a", ("read_files", "run_commands", "ask_question"), "a\nb"),
    ],
)
def test_wrapped_replies(prompt: str, tools: tuple[str, ...], reply: object) -> None:
    chat = prompted(prompt, tools=tools)
    assert wrap_reply(detect([], chat), chat, "a\nb") == reply


def test_a_reply_never_looks_like_an_edit_to_aider() -> None:
    chat = prompted("Act as an expert software developer")
    agent = detect([], chat)
    assert wrap_reply(agent, chat, "model set to a:b") == "model set to a:b"
    reply = wrap_reply(agent, chat, "a.py\n```python\n<<<<<<< SEARCH\n=======\n>>>>>>> R\n")
    assert isinstance(reply, str)
    assert not any(mark in reply for mark in ("```", "<<<", "===", ">>>"))
    assert all(line.startswith("    ") for line in reply.split("\n"))


def test_no_agent_has_a_prompt_hidden_behind_another() -> None:
    for index, agent in enumerate(AGENTS):
        for later in AGENTS[index + 1 :]:
            assert not any(prompt.startswith(agent.prompts or ("\0",)) for prompt in later.prompts)


JSON = {"response_format": {"type": "json_schema", "json_schema": {}}}
TOOLS = {"tools": [{"type": "function", "function": {"name": "read"}}]}


@pytest.mark.parametrize(
    ("agent", "prompt", "typed", "fields", "expected"),
    [
        (None, "Be nice", "hi", {}, False),
        (None, "Be nice", "hi", JSON, False),
        (None, "Be nice", "Generate a title for this song", {}, False),
        (None, "You are a title generator. You output ONLY a title", "hi", {}, True),
        (None, "You are now acting as the managed memory extraction subagent", "hi", TOOLS, True),
        (None, "You are a specialized Task Routing AI", "hi", {}, True),
        ("aider", "Act as an expert software developer", "hi", {}, False),
        ("aider", "*Briefly* summarize this partial conversation about", "hi", {}, True),
        ("opencode", "You are opencode", "hi", TOOLS, False),
        ("opencode", "You are opencode", "hi", {}, True),
        ("opencode", "You are opencode", "hi", TOOLS | JSON, True),
        ("roo-code", "You are Roo", "hi", {}, False),
        ("roo-code", "You have to create a detailed summary of the conversation", "a", {}, True),
        ("codex", "You are Codex", "Generate a concise, single-line task title of", TOOLS, True),
        (
            "codex",
            "You are Codex",
            "You are performing a CONTEXT CHECKPOINT COMPACTION.",
            TOOLS,
            True,
        ),
        ("copilot-cli", "You are the GitHub Copilot CLI", "hi", {}, False),
        (
            "continue",
            "You are",
            "Create a comprehensive summary of this conversation that",
            {},
            True,
        ),
    ],
)
def test_side_requests(
    agent: str | None, prompt: str, typed: str, fields: dict[str, Any], expected: bool
) -> None:
    chat = {
        "messages": [*prompted(prompt)["messages"], {"role": "user", "content": typed}],
        **fields,
    }
    assert messages.is_background_request(chat, BY_NAME[agent] if agent else None) is expected
