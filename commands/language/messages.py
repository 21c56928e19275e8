"""Finds what the human typed in a chat's messages, and removes commands from them.

No function changes a message: it copies what differs and keeps all other objects. Messages of
shapes that OpenAI does not know stay as they are.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from backends.openai_wire import Chat
from commands.agents import typed_text
from commands.agents.table import COMPLETION_TOOL, Agent, prompt_heads, texts_of
from commands.agents.typed_text import Range

Messages = list[Any]

PLACEHOLDER_TEXT = "Hello"
"""Replaces a message that consisted of commands, where the conversation needs a message."""

_BACKGROUND_ROLES = ("system", "developer")
"""Roles that do not end a turn: aider and Claude Code send a system message after the human's."""

_SPACES = (" ", "\t")
_SPACE = "".join(_SPACES)
_LINE_END = re.compile(r"[ \t]*(\r?\n|\Z)")

_BACKGROUND_PROMPTS = re.compile(
    r"You are a title generator"  # opencode, Kilo
    r"|Generate a (?:concise |short |brief )?title"
    r"|[Yy]ou will generate a short title"  # Crush
    r"|specialized Task Routing AI"  # Gemini CLI
    r"|managed memory extraction subagent"  # Qwen Code
    r"|create a detailed summary of the conversation"  # Roo Code
    r"|generates concise, (?:\\\n)?one-line Git commit messages"  # aider
    r"|\*Briefly\* summarize this partial conversation"
)
"""Texts at the beginning of a system prompt for a request of the agent itself."""

_BACKGROUND_TEXTS = re.compile(
    r"\s*(?:Generate a concise, single-line task title"  # Codex
    r"|You are performing a CONTEXT CHECKPOINT"
    r"|Generate a (?:concise |short |brief )?title for "  # opencode, Kilo, Crush
    r"|Create a comprehensive summary of this conversation"  # Continue
    r"|Write a brief catch-up for a user returning)"
)
"""The same for the beginning of the newest turn."""


class TextPath(NamedTuple):
    """Where a text is in the messages."""

    message: int
    part: int | None
    """None where the content itself is the text."""


@dataclass(frozen=True, slots=True)
class TypedRange:
    """A range of a text that the human typed, so that commands in it are the human's."""

    message: int
    part: int | None
    start: int
    end: int
    is_newest: bool
    """Whether commands in it run: it is in the newest turn's last message that has any."""

    @property
    def path(self) -> TextPath:
        return TextPath(self.message, self.part)


Spans = Mapping[TextPath, Sequence[Range]]
"""The ranges to remove from each text, in order and without overlaps."""


def typed_ranges(messages: Messages, since: int = 0) -> list[TypedRange]:
    """Find everything that the human typed, in order, by the rules of `typed_text`.

    The model has answered everything before the message with the index `since`.
    """
    turn = _turns(messages, since)[-1]
    newest = -1
    ranges: list[tuple[int, int | None, Range]] = []
    for index, message in enumerate(messages):
        if _role(message) == "user":
            texts = list(texts_of(message))
            parsed = typed_text.read(text for _, text in texts)
            ranges += [
                (index, part, each)
                for (part, _), text in zip(texts, parsed, strict=True)
                for each in text.typed
            ]
            if index in turn and (_has_more_than_text(message) or _has_words(texts, parsed)):
                newest = index
    return [TypedRange(index, part, *each, index == newest) for index, part, each in ranges]


def remove(messages: Messages, spans: Spans) -> Messages:
    """Remove the spans, each with one adjoining space or the rest of its empty line.

    A text part of which only white space remains is removed too. Empty messages stay (see
    `drop_old_commands`), so that indexes do.
    """
    result = list(messages)
    for index in {index for index, _ in spans}:
        content = messages[index]["content"]
        if isinstance(content, str):
            content = _remove_from_text(content, spans[TextPath(index, None)])
        else:
            content = [
                rest
                for number, part in enumerate(content)
                for rest in _remove_from_part(part, spans.get(TextPath(index, number), ()))
            ]
        result[index] = {**messages[index], "content": content}
    return result


def is_blank(messages: Messages, since: int = 0) -> bool:
    """Whether the newest turn asks the model for nothing, once the commands are removed.

    Context that agents add does not count, nor do quotes and punctuation. Images, files and tool
    results do.
    """
    newest = _newest_from_user(messages, since)
    return bool(newest) and all(map(_is_blank, newest))


def drop_old_commands(
    messages: Messages,
    changed: Collection[int],
    since: int = 0,
    *,
    is_background: bool = False,
) -> Messages:
    """Drop messages that were only commands, and the proxy's own responses to them.

    `changed` are the indexes of messages that commands were removed from. `PLACEHOLDER_TEXT`
    replaces a message that the conversation needs: the subject of a background request, or one
    that a model's response follows.
    """
    result: dict[int, Any] = dict(enumerate(messages))
    for turn in _turns(messages, since):
        users = [index for index in turn if _role(messages[index]) == "user"]
        emptied = [index for index in users if index in changed and _is_blank(messages[index])]
        if not emptied:
            continue
        is_all = all(_is_blank(messages[index]) for index in users)
        is_newest = turn.stop == len(messages)
        answer = _own_answer(messages, turn.stop) if is_all else None
        for index in (*emptied, *(answer or ())):
            del result[index]
        if (is_newest and is_background) or (is_all and not answer):
            result[emptied[-1]] = {**messages[emptied[-1]], "content": PLACEHOLDER_TEXT}
        for index in answer or ():
            if index > turn.stop and not _is_blank(messages[index]):
                result[index] = {"role": "user", "content": messages[index]["content"]}
    return [result[index] for index in sorted(result)]


def is_background_request(chat: Chat, agent: Agent | None) -> bool:
    """Whether an agent quotes the human in its own request, for a title, summary or memory.

    Commands in such a request are removed but do not run.
    """
    if any(_BACKGROUND_PROMPTS.search(head) for head in prompt_heads(chat)):
        return True
    if agent is None:
        return False
    form = chat.get("response_format")
    if isinstance(form, dict) and form.get("type") in ("json_schema", "json_object"):
        return True
    if agent.always_offers_tools and not chat.get("tools"):
        return True
    newest = _newest_from_user(chat["messages"])
    return any(_BACKGROUND_TEXTS.match(text) for message in newest for _, text in texts_of(message))


def _role(message: object) -> object:
    return message.get("role") if isinstance(message, dict) else None


def _turns(messages: Messages, since: int = 0) -> list[range]:
    """Runs of messages, maybe empty, between those of models and tools; the newest is last.

    The last run starts at `since` or later.
    """
    ends = [index for index, message in enumerate(messages) if _ends_turn(message)]
    starts = [0, *(end + 1 for end in ends)]
    turns = [range(*turn) for turn in zip(starts, [*ends, len(messages)], strict=True)]
    if turns[-1].start < since:
        turns[-1:] = [range(turns[-1].start, since), range(since, len(messages))]
    return turns


def _ends_turn(message: object) -> bool:
    """Whether the model has answered everything before, by role or by what the text shows."""
    if not isinstance(message, dict) or message.get("role") != "user":
        return _role(message) not in _BACKGROUND_ROLES
    return typed_text.is_answered(text for _, text in texts_of(message))


def _newest_from_user(messages: Messages, since: int = 0) -> Messages:
    return [messages[i] for i in _turns(messages, since)[-1] if _role(messages[i]) == "user"]


def _is_blank(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    if not isinstance(content, str | list):
        return content is None
    if _has_more_than_text(message):
        return False
    texts = list(texts_of(message))
    parsed = typed_text.read(text for _, text in texts)
    return not (any(text.has_other_content for text in parsed) or _has_words(texts, parsed))


def _has_more_than_text(message: Mapping[str, Any]) -> bool:
    """Whether there are images, files or other parts."""
    content = message.get("content")
    return isinstance(content, list) and len(list(texts_of(message))) < len(content)


def _has_words(
    texts: Sequence[tuple[int | None, str]], parsed: Sequence[typed_text.TypedText]
) -> bool:
    """Whether the human has typed any."""
    return any(
        typed_text.has_words(text, each.typed)
        for (_, text), each in zip(texts, parsed, strict=True)
    )


def _own_answer(messages: Messages, start: int) -> range | None:
    """The messages of the proxy's response at `start`: a text, or our tool call and its results.

    Returns None if there is no such response, or if no message for the model follows it.
    """
    response = messages[start] if start < len(messages) else None
    if not isinstance(response, dict) or response.get("role") != "assistant":
        return None
    stop = start + 1
    if calls := response.get("tool_calls"):
        if not isinstance(calls, list) or not all(map(_is_completion, calls)):
            return None
        while stop < len(messages) and _role(messages[stop]) == "tool":
            stop += 1
    results, rest = messages[start + 1 : stop], messages[stop:]
    goes_on = any(not _is_blank(result) for result in results) or any(
        _role(message) not in _BACKGROUND_ROLES for message in rest
    )
    return range(start, stop) if goes_on else None


def _is_completion(call: object) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return isinstance(function, dict) and function.get("name") == COMPLETION_TOOL


def _remove_from_part(part: Any, spans: Sequence[Range]) -> list[Any]:
    """The part without the spans, if anything remains of it."""
    if not spans:
        return [part]
    text = _remove_from_text(part["text"], spans)
    return [{**part, "text": text}] if text.strip() else []


def _remove_from_text(text: str, spans: Sequence[Range]) -> str:
    kept: list[str] = []
    done = 0
    is_last_line = False
    for run in _runs(text, spans):
        start, end = run[0][0], run[-1][1]
        line = done + len(text[done:start].rstrip(_SPACE))
        line_end = _LINE_END.match(text, end)
        if line_end and (line == 0 or text[line - 1] == "\n"):
            kept.append(text[done:line])
            done = line_end.end()
            is_last_line = not line_end[1]
            continue
        for start, end in run:
            has_space = start > done and text[start - 1] in _SPACE
            kept.append(text[done : start - has_space])
            done = end + (not has_space and text.startswith(_SPACES, end))
    if is_last_line:
        return re.sub(r"\r?\n\Z", "", "".join(kept))
    return "".join((*kept, text[done:]))


def _runs(text: str, spans: Sequence[Range]) -> Iterator[list[Range]]:
    """Group spans that only spaces separate."""
    run: list[Range] = []
    for span in spans:
        if run and text[run[-1][1] : span[0]].strip(_SPACE):
            yield run
            run = []
        run.append(span)
    if run:
        yield run
