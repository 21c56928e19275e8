"""Finds the parts of a user message that the human typed, so that nothing else is searched.

Agents send files, tool results and reminders under the user's role. Text counts as typed only if
nothing marks it as the agent's. A human can repeat a missed command; a command found in a file
gives the proxy to the author of the file.

So a block extends to the *last* tag or fence that could close it, since its content may hold a
forged one. It extends further if another block begins inside it and ends behind it. A tag that
nothing closes, a tag without content, and a header line such as `[FILE]` leave the origin of the
following text in doubt: such a block extends to the end of the message.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

Range = tuple[int, int]

CONTEXT_TAGS = frozenset(
    {
        "environment_context",  # Codex
        "user_instructions",
        "user_shell_command",
        "environment_details",  # Kilo, Roo Code, Cline
        "file_content",
        "folder_content",
        "url_content",
        "explicit_instructions",
        "session_context",  # Gemini CLI
        "system-reminder",  # opencode, Claude Code
        "system_reminder",  # Crush
        "current_datetime",  # Copilot CLI
        "info-msg",  # goose
        "mode_notice",  # Cline's SDK
        "environment_info",  # Copilot Chat in VS Code
        "workspace_info",
        "context",
        "editorContext",
        "repoContext",
        "reminderInstructions",
    }
)
"""Blocks that an agent adds to any turn: their presence says nothing about what was typed."""

WRAPPER_TAGS = (
    "task",
    "feedback",
    "answer",
    "user_message",
    "user_query",
    "user_input",  # Cline's SDK, with the origin as an attribute
    "userRequest",  # Copilot Chat in VS Code
)
"""Tags that an agent adds around what the human typed."""

_SUMMARY_STARTS = (
    r"Another language model started to solve this problem",  # Codex
    r"## Conversation Summary$",  # Roo Code (core/condense)
    r"Previous conversation summary:",  # Continue (util/conversationCompaction)
    r"## Current State$",  # Crush (templates/summary.md)
)
"""Beginnings of a line that starts a summary of the conversation, responses included."""

_CONTEXT_STARTS = (
    *_SUMMARY_STARTS,
    r"# AGENTS\.md instructions",  # Codex
    r"This is the (?:Qwen Code|Gemini CLI)\. We are setting up",
    r"--- Content from referenced files ---",  # Qwen Code: `@file`, contents in parts of their own
    r"Called the \w+ tool ",  # opencode: `@file`, the same
    r"Result of calling the \w+ tool",
    r"Reading MCP resource:",
    r"# task_progress",  # Cline
    r"# TODO LIST ",
    r"To suggest changes to a file you MUST",  # aider's reminders, by edit format
    r"# \*SEARCH/REPLACE block\* Rules:",
    r"# File editing rules:",
    r"# V4A Diff Format Rules:",
    r"You are diligent and tireless!",
    r"Pay careful attention to the scope of the user's request\.",
    r"I have \*added th(?:is|ese) file",  # aider's files and repo map
    r"Here are some READ ONLY files",
    r"Here are summaries of some files",
    r"I am working with (?:you on )?code in a git repo",
    r"Here is the content of https?://",
    r"I spoke to you previously about a number of things",
    r"# (?:USER|ASSISTANT)$",  # aider's transcripts, to be summed up
)
"""Beginnings of a line after which nothing in the message is the human's."""

_RESULT_STARTS = (
    # Cline and Roo Code without native tools; arguments may go on over lines.
    r"\[[a-z]+(?:_[a-z]+)+ (?:for|to|in) ",
    r"\[[^\n]*\] Result:",
    r"I ran this command:",  # aider
    r"# Fix any errors below",
    r"# \d+ SEARCH/REPLACE block",
    r"UnifiedDiff\w+:",
    r"diff --git ",
    r"(?:Observation|OBSERVATION):",  # agents whose tools are called in prose
    r"EXECUTION RESULT of ",
    r"Tool output for \S+ tool call:",  # Continue without native tools (convertSystemTools)
    r"Tool Output: ",  # Continue, when it asks for a summary
)
"""The same for tool results: these wait for the model, so the turn is not blank."""

_QUESTION = "[ask_followup_question for "
"""Cline and Roo Code: the model's text follows, so only a separate part can be the human's."""

_RESUMED = "The previous session was interrupted because it got too long"
"""How Crush repeats earlier typed text after a summary (internal/agent/agent.go)."""

_ANSWERS = r"\[(?:attempt_completion|plan_mode_respond|plan_mode_response)\] Result:"

_ANSWERED = re.compile(
    rf"\s*+(?!{_ANSWERS}|{re.escape(_QUESTION)})"
    rf"(?:{'|'.join((*_SUMMARY_STARTS, *_RESULT_STARTS, _RESUMED))})",
    re.MULTILINE,
)

_HEADERS = (
    # Neither a link nor a mark of what the human did.
    r"\[(?!Request interrupted by user|Image #?\d+\])[A-Za-z][^\]\n]+\](?!\()",
    r"(?P<rule>[-=+])(?P=rule){2,}+[ \t]*(?!(?P=rule))\S",
    r"\*{3,}[ \t]+\S",
    r"#{3,}[ \t]+\S[^\n]*#{3}[ \t]*$",
)
"""Lines such as `[FILE]` and `--- a ---`, by which programs introduce the text of others."""

_NAME = r"[^\W\d][\w.:-]*"
_OPENING = re.compile(
    rf"<(?P<tag>{_NAME})(?=[\s/>])"
    # An attribute may not hold `<`: without it the search takes linear time.
    r"(?P<empty>(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+(?<=/)>)?"
    r"|^[ \t]*(?:(?P<fence>`{3,}|~{3,})"
    rf"|(?P<answer>{_ANSWERS})"
    rf"|(?P<result>{'|'.join(_RESULT_STARTS)})"
    rf"|(?P<context>{'|'.join(_CONTEXT_STARTS)})"
    rf"|(?P<header>{'|'.join(_HEADERS)}))",
    re.MULTILINE,
)
_CLOSING = re.compile(rf"</({_NAME})\s*>|^[ \t]*(?:`{{3,}}|~{{3,}})", re.MULTILINE)
_WRAPPERS = rf"(?P<tag>{'|'.join(WRAPPER_TAGS)})(?:\s[^<>]*)?>"
_WRAPPER = re.compile(rf"</?{_WRAPPERS}")
_TYPED_ANSWER = re.compile(
    r"\s*(?:The user has provided feedback on the results\.[^\n]*\n\s*)?" rf"<{_WRAPPERS}"
)


class _Origin(Enum):
    """The origin of the text from here on."""

    TYPED = auto()
    ANSWER = auto()
    """A tool that asks the human: the text is typed if it begins with a wrapper."""
    CONTEXT = auto()
    RESULT = auto()
    DOUBT = auto()
    """A result, unless it is certainly inside a block."""


_ORIGINS = {
    "answer": _Origin.ANSWER,
    "result": _Origin.RESULT,
    "context": _Origin.CONTEXT,
}
"""By the last group of `_OPENING` that matched."""

_CLOSED = ("tag", "fence")
"""The groups that begin a block if something closes it."""


@dataclass(slots=True)
class TypedText:
    """What a text consists of."""

    typed: list[Range] = field(default_factory=list)
    """The human's ranges, in order."""
    has_other_content: bool = False
    """Whether it also has content that is not known to be context, such as a tool's result."""


def read(texts: Iterable[str]) -> list[TypedText]:
    """Find the ranges that the human typed in the texts of one user message, in their order."""
    origin = _Origin.TYPED
    parsed = []
    for text in texts:
        result = TypedText()
        origin = _read(text, origin, result)
        result.has_other_content |= origin is _Origin.RESULT
        parsed.append(result)
    return parsed


def is_answered(texts: Iterable[str]) -> bool:
    """Whether a user message shows that the model has answered what was typed before it.

    It begins with a summary, a tool's result, or a repetition of typed text.
    """
    first = next((text for text in texts if text.strip()), "")
    return _ANSWERED.match(first) is not None


def has_words(text: str, ranges: Sequence[Range]) -> bool:
    """Whether the ranges hold more than wrapper tags, quotes, punctuation and white space."""
    return any(
        character.isalnum() or not (character.isascii() or _is_mark(character))
        for start, end in ranges
        for character in _WRAPPER.sub("", text[start:end])
    )


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PZC"


def _read(text: str, origin: _Origin, result: TypedText) -> _Origin:
    """Fill `result` for a text that begins with this origin. Returns that of the next text."""
    stop = 0
    if origin is _Origin.TYPED:
        if text.startswith(_QUESTION) and text.rstrip().endswith("] Result:"):
            return _Origin.ANSWER
        origin, stop = _search(text, 0, len(text), result)
    if origin is not _Origin.ANSWER:
        return origin
    if answer := _TYPED_ANSWER.match(text, stop):
        end = text.find(f"</{answer['tag']}>", answer.end())
        _search(text, answer.end(), len(text) if end < 0 else end, result)
        return _Origin.CONTEXT
    return _Origin.RESULT if text[stop:].strip() else _Origin.ANSWER


def _search(text: str, start: int, end: int, result: TypedText) -> tuple[_Origin, int]:
    """Fill `result` for a range that begins with typed text.

    Returns the origin of the text behind the range, and the index where the search stopped.
    """
    closings: dict[str | None, list[int]] = {}
    for closing in _CLOSING.finditer(text, start):
        closings.setdefault(closing[1], []).append(closing.end())
    blocks_end = sure_end = start
    for opening in _OPENING.finditer(text, start, end):
        if opening["tag"] in WRAPPER_TAGS:
            continue
        ends = closings.get(opening["tag"], []) if opening.lastgroup in _CLOSED else []
        is_inside = opening.start() < blocks_end
        is_block = bool(ends) and ends[-1] > opening.end()
        origin = None if is_block else _ORIGINS.get(opening.lastgroup or "", _Origin.DOUBT)
        if origin is _Origin.DOUBT:
            is_closing = is_inside and opening.lastgroup == "fence"
            if opening.start() < sure_end or is_closing or _is_glued(opening):
                continue
            origin = _Origin.RESULT
        if opening.start() > blocks_end:
            result.typed.append((blocks_end, opening.start()))
        if origin:
            # Inside a block, the text from here on may hold the tag that seemed to close it.
            return (_Origin.TYPED, end) if is_inside else (origin, opening.end())
        if opening.start() >= sure_end:
            sure_end = ends[bisect_right(ends, opening.end())]
        if ends[-1] > blocks_end:
            result.has_other_content |= opening["tag"] not in CONTEXT_TAGS
            blocks_end = ends[-1]
    if end > blocks_end:
        result.typed.append((blocks_end, end))
    return _Origin.TYPED, end


def _is_glued(opening: re.Match[str]) -> bool:
    """Whether a bare tag follows a word, as in `Vec<String>`: code within a sentence."""
    text, start, end = opening.string, opening.start(), opening.end()
    is_bare = opening.lastgroup == "tag" and text.startswith(">", end)
    before = text[max(start - 1, 0) : start]
    return is_bare and (before.isalnum() or before == "_")
