"""Runs the commands of the newest turn and removes all commands from the request."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from backends import jsonio
from backends.model_id import ModelId
from backends.openai_wire import Chat
from commands.agents.table import Agent, texts_of
from commands.agents.typed_text import Range, has_words
from commands.builtin import COMMANDS
from commands.errors import CommandError
from commands.language.changes import changes, facts_of, still_hold
from commands.language.messages import (
    Messages,
    TextPath,
    TypedRange,
    drop_old_commands,
    is_background_request,
    is_blank,
    remove,
    typed_ranges,
)
from commands.language.registry import CommandContext
from commands.language.scanner import ParsedCommand, Scanner
from commands.language.snapshot import Availability
from commands.sessions.session import Run, Session, digest
from commands.turns.proxy_state import ProxyState

_BEFORE = ParsedCommand("", (), -1, -1)
"""In front of every text."""

NO_QUERY = "Proxy command processed. No query sent to LLM."


class TurnResult(NamedTuple):
    """The result of processing a request."""

    chat: Chat
    """The request without commands; the same object if it had none."""
    reply: str | None
    """Text for the client instead of a model's response."""
    note: str
    """Text for the client in front of the model's response."""
    prompt: str
    """The human's newest text, for the history."""
    commands: Sequence[str] = ()
    """The commands of the newest turn, as typed."""


class CommandProcessor:
    """Processes the requests of all sessions; their commands change `proxy_state`."""

    def __init__(self, proxy_state: ProxyState, *, are_commands_enabled: bool = True) -> None:
        self.proxy_state = proxy_state
        self._are_commands_enabled = are_commands_enabled

    def process(
        self,
        chat: Chat,
        session: Session,
        agent: Agent | None,
        availability: Availability,
        typed_from: int | None = 0,
    ) -> TurnResult:
        """Run the newest turn's commands unless they ran already, and remove all commands.

        `typed_from` is that of `ClientRequest`: with None nobody types, so nothing is searched.
        """
        messages: Messages = chat["messages"]
        is_background = is_background_request(chat, agent)
        if not is_background:
            session.requested = chat.get("model")
        if typed_from is None:
            return TurnResult(chat, None, "", newest_text(messages))
        found = typed_ranges(messages, typed_from) if self._may_hold_commands(messages) else []
        newest = [] if is_background else [each for each in found if each.is_newest]
        scanner = Scanner(COMMANDS.__contains__)
        turn_id = _turn_id(messages, found)
        run = self._run(scanner, messages, newest, session, availability, turn_id)
        is_all_old = is_background or (run is not None and run.replayed is not None)
        old = [each for each in found if is_all_old or not each.is_newest]
        spans = self._old_spans(scanner, messages, old, session) | (run.spans if run else {})
        rest = remove(messages, spans) if spans else messages
        if spans:
            kept = drop_old_commands(
                rest, {path.message for path in spans}, typed_from, is_background=is_background
            )
            chat = {**chat, "messages": kept}
        prompt = newest_text(rest) or newest_text(messages)
        typed = _typed(messages, newest, spans)
        if run and (run.has_failed or is_blank(rest, typed_from)):
            return TurnResult(chat, self._reply(run, session, availability), "", prompt, typed)
        note = "" if is_background else self._note(chat, run, session, availability)
        return TurnResult(chat, None, note, prompt, typed)

    # Finding and running

    def _may_hold_commands(self, messages: Messages) -> bool:
        """Whether a prefix is anywhere: quick, so that most requests cost nothing."""
        # For such a short text a pattern is faster than `in`.
        search = re.compile("|".join(map(re.escape, self.proxy_state.prefixes))).search
        return self._are_commands_enabled and any(
            search(text)
            for message in messages
            if isinstance(message, dict) and message.get("role") == "user"
            for _, text in texts_of(message)
        )

    def _run(
        self,
        scanner: Scanner,
        messages: Messages,
        newest: Sequence[TypedRange],
        session: Session,
        availability: Availability,
        turn_id: str,
    ) -> "_CommandRun | None":
        """Run the commands in order up to the first that fails; None if there is none."""
        if not newest:
            return None
        context = self.proxy_state.context(session, availability)
        if session.once and session.once[1] == turn_id:
            context.once = session.once[0]
        before = facts_of(context)
        for last in session.runs:
            if last.turn_id == turn_id and still_hold(last.changed, before):
                return _CommandRun(context, replayed=last.reply, has_failed=last.has_failed)
        run = _CommandRun(context)
        for each in newest:
            text, at = text_at(messages, each), each.start
            while parsed := scanner.find(text, at, each.end, run.context.proxy.command_prefix):
                at = parsed.end
                if parsed.name in COMMANDS or run.context.session.is_interactive:
                    run.add(parsed, each)
        if not run.spans:
            return None
        if changed := changes(before, facts_of(context)):
            reply = "\n".join(run.messages)
            session.runs.appendleft(Run(turn_id, reply, run.has_failed, changed))
        if context.once:
            session.once = (context.once, turn_id)
        if save_error := self.proxy_state.commit(context, session):
            run.messages.append(save_error)
        return run

    def _old_spans(
        self, scanner: Scanner, messages: Messages, old: Sequence[TypedRange], session: Session
    ) -> dict[TextPath, list[Range]]:
        """The commands that do not run: those of earlier turns and of background requests."""
        spans: dict[TextPath, list[Range]] = {}
        for each in old:
            for parsed in self._by_any_prefix(scanner, text_at(messages, each), each):
                if parsed.name in COMMANDS or session.settings.is_interactive:
                    spans.setdefault(each.path, []).append((parsed.start, parsed.end))
        return spans

    def _by_any_prefix(
        self, scanner: Scanner, text: str, within: TypedRange
    ) -> Iterator[ParsedCommand]:
        """The commands by any prefix since the start, in order."""
        at = within.start
        nearest: dict[str, ParsedCommand | None] = dict.fromkeys(self.proxy_state.prefixes, _BEFORE)
        while True:
            for prefix, last in nearest.items():
                # A search from here on finds more than the last one only where it begins.
                if (last and last.start < at) or text.startswith(prefix, at, within.end):
                    nearest[prefix] = scanner.find(text, at, within.end, prefix)
            found = [parsed for parsed in nearest.values() if parsed]
            if not found:
                return
            yield (first := min(found, key=lambda parsed: parsed.start))
            at = first.end

    # Texts for the client

    def _reply(self, run: "_CommandRun", session: Session, availability: Availability) -> str:
        """The response to a message of commands alone."""
        if run.replayed is not None:
            return run.replayed or NO_QUERY
        return self._with_greeting(run.messages, session, availability) or NO_QUERY

    def _note(
        self, chat: Chat, run: "_CommandRun | None", session: Session, availability: Availability
    ) -> str:
        """The text in front of the response; saved for a later one if this has no place."""
        messages = run.messages if run else []
        if not session.settings.is_interactive:
            return ""
        if not _has_place_for_note(chat):
            session.note = "\n".join(filter(None, (session.note, *messages)))
            return ""
        return self._with_greeting(messages, session, availability)

    def _with_greeting(
        self, messages: Sequence[str], session: Session, availability: Availability
    ) -> str:
        """The messages behind the note that waits and the banner, if it is due."""
        texts = [session.note]
        if session.is_banner_due and session.settings.is_interactive:
            texts.append(self.proxy_state.banner(session.id, availability.backends))
            session.is_banner_due = False
        session.note = ""
        return "\n".join(filter(None, (*texts, *messages)))


@dataclass(slots=True)
class _CommandRun:
    """The commands of one turn while they run."""

    context: CommandContext
    spans: dict[TextPath, list[Range]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    has_failed: bool = False
    replayed: str | None = None
    """The earlier confirmation, if the same turn ran before."""

    def add(self, parsed: ParsedCommand, within: TypedRange) -> None:
        """Run one command, unless one before it has failed."""
        self.spans.setdefault(within.path, []).append((parsed.start, parsed.end))
        if self.has_failed:
            return
        before = self._state()
        try:
            message = COMMANDS.find(parsed.name).run(self.context, parsed.arguments)
        except CommandError as error:
            self.has_failed = True
            message = str(error)
        has_changed = before != self._state()
        # Only interactive sessions show confirmations; all show what was asked for.
        if self.context.session.is_interactive or self.has_failed or not has_changed:
            self.messages.append(message)

    def _state(self) -> tuple[object, ...]:
        """The values behind `facts_of`: quicker, since there may be many commands."""
        context = self.context
        return context.session, context.proxy, context.routes, context.once


def once_model(chat: Chat, session: Session) -> ModelId | None:
    """The model of `!/once` until its turn ends, tool calls included."""
    if session.once is None:
        return None
    model, turn_id = session.once
    if _turn_id(chat["messages"], typed_ranges(chat["messages"])) == turn_id:
        return model
    session.once = None
    return None


def text_at(messages: Messages, within: TypedRange) -> str:
    """The text that contains the range."""
    content = messages[within.path.message]["content"]
    part = within.path.part
    return str(content if part is None else content[part]["text"])


def _typed(
    messages: Messages, newest: Sequence[TypedRange], spans: Mapping[TextPath, Sequence[Range]]
) -> tuple[str, ...]:
    """The commands of the newest turn, as typed."""
    return tuple(
        text_at(messages, each)[start:end]
        for each in newest
        for start, end in spans.get(each.path, ())
        if each.start <= start < each.end
    )


def newest_text(messages: Messages) -> str:
    """The text of the last user message."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return "\n".join(text for _, text in texts_of(message))
    return ""


def _turn_id(messages: Messages, typed: Sequence[TypedRange]) -> str:
    """Identifies a turn by everything that the human typed up to it."""
    texts = ((text_at(messages, each), (each.start, each.end)) for each in typed)
    words = [text[slice(*span)] for text, span in texts if has_words(text, [span])]
    return digest(jsonio.encode(words))


def _has_place_for_note(chat: Chat) -> bool:
    """False where text in front would break the response, or appear several times."""
    response_format = chat.get("response_format")
    is_text = not isinstance(response_format, dict) or response_format.get("type") in (None, "text")
    return is_text and chat.get("n") in (None, 1)
