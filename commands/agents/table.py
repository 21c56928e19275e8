"""Recognises coding agents and shapes replies for them, by one row an agent.

The text that agents add around the human's words is the subject of `typed_text`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backends.backend import Headers
from backends.openai_wire import Chat

COMPLETION_TOOL = "attempt_completion"
"""The tool that ends a task in Cline and Roo Code; they treat a text without it as a mistake."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A reply as a call of one of the agent's tools."""

    name: str
    arguments: Mapping[str, str]


Reply = str | ToolCall


def _plain(chat: Chat, text: str) -> Reply:
    return text


def _inert(text: str) -> str:
    """Hide everything that aider takes for an edit: it strips lines before it looks for marks."""
    text = re.sub(r"([`~<=>])\1{2,}", lambda run: " ".join(run[0]), text)
    return "\n".join(f"    {line}" for line in text.split("\n")) if "\n" in text else text


def _completed(chat: Chat, text: str) -> Reply:
    """End the task with a tool call or with tags, whichever the request uses."""
    if COMPLETION_TOOL in tool_names(chat):
        return ToolCall(COMPLETION_TOOL, {"result": text})
    tag = f"<{COMPLETION_TOOL}>"
    if not chat.get("tools") and any(tag in prompt for prompt in system_texts(chat)):
        return f"{tag}\n<result>\n{text}\n</result>\n</{COMPLETION_TOOL}>"
    return text


@dataclass(frozen=True, slots=True)
class Agent:
    """How to recognise one agent, and what it needs."""

    name: str
    headers: tuple[tuple[str, str], ...] = ()
    """Names and prefixes of values; one of them suffices."""
    prompts: tuple[str, ...] = ()
    """Prefixes of system prompts; one of them suffices."""
    tools: frozenset[str] = frozenset()
    """Names of tools; the request offers all of them."""
    always_offers_tools: bool = False
    """Whether each turn of the human's offers tools, so that others are the agent's own."""
    wrap: Callable[[Chat, str], Reply] = _plain
    """Makes a reply that the agent shows and does not act upon."""
    fit: Callable[[str], str] = str
    """The same for a text in front of a model's response."""


AGENTS = (
    Agent(
        "codex",
        (
            ("user-agent", "codex_"),
            ("user-agent", "codex-tui"),
            ("originator", "codex_"),
            ("originator", "codex-tui"),
            ("x-codex-turn-metadata", ""),
        ),
        ("You are Codex, a", "You are a coding agent running in the Codex CLI"),
        frozenset({"exec_command", "apply_patch"}),
        always_offers_tools=True,
    ),
    Agent(
        "opencode",
        (("user-agent", "opencode/"), ("originator", "opencode"), ("x-title", "opencode")),
        ("You are opencode,",),
        always_offers_tools=True,
    ),
    Agent(
        "kilo",
        (("user-agent", "Kilo-Code/"), ("x-title", "Kilo Code")),
        ("You are Kilo,",),
        always_offers_tools=True,
        wrap=_completed,
    ),
    Agent(
        "qwen-code",
        (("user-agent", "QwenCode/"), ("x-openrouter-title", "Qwen Code")),
        ("You are Qwen Code,",),
        always_offers_tools=True,
    ),
    Agent(
        "gemini-cli",
        (("user-agent", "GeminiCLI"),),
        ("You are a non-interactive CLI agent", "You are Gemini CLI"),
        always_offers_tools=True,
    ),
    Agent(
        "claude-code",
        (("user-agent", "claude-cli/"), ("x-app", "cli"), ("x-claude-code-session-id", "")),
        ("You are Claude Code", "You are a Claude agent"),
        always_offers_tools=True,
    ),
    Agent(
        "aider",
        (("x-title", "Aider"), ("http-referer", "https://aider.chat")),
        (
            "Act as an expert software developer",
            "Act as an expert code analyst",
            "Act as an expert software engineer",
            "You are an expert software engineer that generates concise",
            "*Briefly* summarize this partial conversation",
        ),
        wrap=lambda chat, text: _inert(text),
        fit=_inert,
    ),
    Agent(
        "cline",
        (
            ("x-title", "Cline"),
            ("http-referer", "https://cline.bot"),
            ("x-client-type", "cline-"),
        ),
        ("You are Cline, a highly skilled software engineer",),
        wrap=_completed,
    ),
    Agent(
        "cline-cli",
        prompts=("You are Cline,",),
        tools=frozenset({"read_files", "run_commands", "ask_question"}),
    ),
    Agent(
        "roo-code",
        (("user-agent", "RooCode/"), ("x-title", "Roo Code"), ("x-roo-task-id", "")),
        ("You are Roo,",),
        wrap=_completed,
    ),
    Agent("continue", (("x-openrouter-title", "Continue"),), ("You are an agent in the Continue",)),
    Agent("pi", prompts=("You are an expert coding assistant operating inside pi",)),
    Agent(
        "copilot-cli",
        (("x-initiator", ""), ("x-interaction-type", "")),
        ("You are the GitHub Copilot CLI",),
    ),
    Agent(
        "copilot-chat",  # in VS Code (vscode-copilot-chat, agentPrompt.tsx)
        prompts=(
            "You are an expert AI programming assistant, working with a user in the VS Code editor",
        ),
    ),
    Agent(
        "crush",
        (("user-agent", "Charm-Crush/"),),
        ("You are Crush,",),
        always_offers_tools=True,
    ),
    Agent(
        "goose",
        (("goose-session-id", ""),),
        ("You are a general-purpose AI agent called goose",),
        always_offers_tools=True,
    ),
)
"""A row whose prompt starts with another row's prompt comes before that row."""

_TITLES = frozenset({"originator", "x-title", "x-openrouter-title"})
_STAGES: tuple[Callable[[str], bool], ...] = (
    lambda name: name == "user-agent",
    lambda name: name in _TITLES,
    lambda name: name != "user-agent" and name not in _TITLES,
)
"""Header names by reliability: some agents send the user agent of an SDK, and some set a title or
referrer only for OpenRouter's rankings."""

_HEADER_MARKS = tuple(
    (mark, prefix, agent)
    for is_in_stage in _STAGES
    for agent in AGENTS
    for mark, prefix in agent.headers
    if is_in_stage(mark)
)
_PREFIXES = {
    mark: tuple(prefix for name, prefix, _ in _HEADER_MARKS if name == mark)
    for mark, _, _ in _HEADER_MARKS
}

_MAX_MESSAGES = 8
_MAX_PROMPTS = 4
_PROMPT_HEAD = 200


def detect(headers: Headers, chat: Chat) -> Agent | None:
    """The agent that sent the request, by headers, else system prompt, else tools."""
    candidates = [
        (name, value)
        for name, value in headers
        if name in _PREFIXES and value.startswith(_PREFIXES[name])
    ]
    for mark, prefix, agent in _HEADER_MARKS if candidates else ():
        if any(name == mark and value.startswith(prefix) for name, value in candidates):
            return agent
    heads = prompt_heads(chat)
    for agent in AGENTS if heads else ():
        if any(head.startswith(agent.prompts) for head in heads):
            return agent
    offered = tool_names(chat)
    for agent in AGENTS if offered else ():
        if agent.tools and agent.tools <= offered:
            return agent
    return None


def wrap_reply(agent: Agent | None, chat: Chat, text: str) -> Reply:
    """The reply by which the agent that sent `chat` shows the text and does nothing else."""
    return agent.wrap(chat, text) if agent else text


def fit_note(agent: Agent | None, text: str) -> str:
    """The text in a form that may precede a model's response to this agent."""
    return agent.fit(text) if agent else text


def prompt_heads(chat: Chat) -> list[str]:
    """The beginnings of the first system prompts; the main one may follow a billing line."""
    first = islice(system_texts(chat, _MAX_MESSAGES), _MAX_PROMPTS)
    return [prompt[:_PROMPT_HEAD].lstrip() for prompt in first]


def system_texts(chat: Chat, limit: int | None = None) -> Iterator[str]:
    """The texts of system and developer messages among the first `limit` messages, in order."""
    messages = chat.get("messages")
    for message in messages[:limit] if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") in ("system", "developer"):
            yield from (text for _, text in texts_of(message))


def texts_of(message: Mapping[str, Any]) -> Iterator[tuple[int | None, str]]:
    """Each text of a message with the index of its part; None where the content is the text."""
    content = message.get("content")
    if isinstance(content, str):
        yield None, content
    elif isinstance(content, list):
        for index, part in enumerate(content):
            if isinstance(part, dict) and part.get("type") in ("text", "input_text"):
                text = part.get("text")
                if isinstance(text, str):
                    yield index, text


def tool_names(chat: Chat) -> frozenset[str]:
    """The names of the tools that the request offers to the model."""
    tools = chat.get("tools")
    names = set()
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str):
            names.add(name)
    return frozenset(names)
