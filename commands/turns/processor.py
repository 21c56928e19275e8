"""Where commands are run: takes a request's turn, runs what is new, takes all commands out."""

import re
from collections.abc import Mapping, Sequence
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
    TypedRange,
    drop_old_commands,
    is_background_request,
    is_blank,
    remove,
    typed_ranges,
)
from commands.language.registry import CommandContext
from commands.language.scanner import ParsedCommand, scan
from commands.sessions.session import Run, Session, digest
from commands.settings import AvailableBackends
from commands.turns.proxy_state import ProxyState

Place = tuple[int, int | None]
"""A text: the index of its message, and of its part if the content is a list."""

NO_QUERY = "Proxy command processed. No query sent to LLM."


class TurnResult(NamedTuple):
    """What a request comes to.

    `chat` is what may go upstream: without commands, the same object if there were none. `reply`
    answers the client instead, if it is not None. `note` is to be put in front of the answer.
    `prompt` is the human's newest text, for the history; `commands` are those in it, as typed.
    """

    chat: Chat
    reply: str | None
    note: str
    prompt: str
    commands: Sequence[str] = ()


class CommandProcessor:
    """Takes the turns of all sessions; their commands are run against `proxy_state`."""

    def __init__(self, proxy_state: ProxyState, *, are_commands_enabled: bool = True) -> None:
        self.proxy_state = proxy_state
        self._are_commands_enabled = are_commands_enabled

    def process(
        self,
        chat: Chat,
        session: Session,
        agent: Agent | None,
        backends: AvailableBackends,
        cooldowns: Sequence[str] = (),
        typed_from: int | None = 0,
    ) -> TurnResult:
        """Run the newest turn's commands, unless it is the very same again, and cut all out.

        `typed_from` is what `ClientRequest` says: where nobody types, nothing is searched or added.
        """
        messages: Messages = chat["messages"]
        if typed_from is None:
            return TurnResult(chat, None, "", newest_text(messages))
        is_side = is_background_request(chat, agent)
        found = typed_ranges(messages, typed_from) if self._may_hold_commands(messages) else []
        new = [] if is_side else [typed_range for typed_range in found if typed_range.is_newest]
        context = self.proxy_state.context(session, backends, cooldowns)
        run = self._run(messages, new, session, context, _turn_id(messages, found)) if new else None
        is_all_old = is_side or (run is not None and run.replayed is not None)
        old = [typed_range for typed_range in found if is_all_old or not typed_range.is_newest]
        spans = self._old_spans(messages, old, session) | (run.spans if run else {})
        left = remove(messages, spans) if spans else messages
        if spans:
            places = {index for index, _ in spans}
            going_up = drop_old_commands(left, places, typed_from, is_background_request=is_side)
            chat = {**chat, "messages": going_up}
        prompt = newest_text(left) or newest_text(messages)
        typed = _typed(messages, new, spans)
        if run and (run.has_failed or is_blank(left, typed_from)):
            return TurnResult(chat, self._reply(run, session, backends), "", prompt, typed)
        note = "" if is_side else self._note(chat, run, session, backends)
        return TurnResult(chat, None, note, prompt, typed)

    # Finding and running

    def _may_hold_commands(self, messages: Messages) -> bool:
        """A quick look, so that most requests cost nothing."""
        # To find something so short, a pattern is faster than `in`.
        found = re.compile("|".join(map(re.escape, self.proxy_state.prefixes))).search
        return self._are_commands_enabled and any(
            found(text)
            for message in messages
            if isinstance(message, dict) and message.get("role") == "user"
            for _, text in texts_of(message)
        )

    def _run(
        self,
        messages: Messages,
        new: Sequence[TypedRange],
        session: Session,
        context: CommandContext,
        turn_id: str,
    ) -> "_CommandRun | None":
        """Run the commands in `new` in order, up to the first that fails; None if there is none."""
        if session.once and session.once[1] == turn_id:
            context.once = session.once[0]
        before = facts_of(context)
        for last in session.runs:
            if last.turn_id == turn_id and still_hold(last.changed, before):
                return _CommandRun(context, replayed=last.reply, has_failed=last.has_failed)
        run = _CommandRun(context)
        for typed_range in new:
            text, at = text_at(messages, typed_range), typed_range.start
            while call := scan(
                text, at, typed_range.end, run.context.proxy.command_prefix, _is_known
            ):
                at = call.end
                if call.name in COMMANDS or run.context.session.is_interactive:
                    run.process(call, typed_range)
        if not run.spans:
            return None
        if changed := changes(before, facts_of(context)):
            said = "\n".join(run.messages)
            session.runs.appendleft(Run(turn_id, said, run.has_failed, changed))
        self._keep(run, session, turn_id)
        return run

    def _keep(self, run: "_CommandRun", session: Session, turn_id: str) -> None:
        """Make what the commands have changed the state of things."""
        context = run.context
        if context.once:
            session.once = (context.once, turn_id)
        if save_error := self.proxy_state.commit(context, session):
            run.messages.append(save_error)

    def _old_spans(
        self, messages: Messages, old: Sequence[TypedRange], session: Session
    ) -> dict[Place, list[Range]]:
        """The commands in pieces where they do not run: any more, or at all."""
        spans: dict[Place, list[Range]] = {}
        for typed_range in old:
            text, at = text_at(messages, typed_range), typed_range.start
            while call := self._next_old(text, at, typed_range.end):
                at = call.end
                if call.name in COMMANDS or session.settings.is_interactive:
                    place = (typed_range.message, typed_range.part)
                    spans.setdefault(place, []).append((call.start, call.end))
        return spans

    def _next_old(self, text: str, start: int, end: int) -> ParsedCommand | None:
        """The next command by any prefix that was ever in force."""
        calls = (scan(text, start, end, prefix, _is_known) for prefix in self.proxy_state.prefixes)
        return min(filter(None, calls), key=lambda call: call.start, default=None)

    # What the client is told

    def _reply(self, run: "_CommandRun", session: Session, backends: AvailableBackends) -> str:
        """The answer to a message of commands alone."""
        if run.replayed is not None:
            return run.replayed or NO_QUERY
        return self._with_greeting(run.messages, session, backends) or NO_QUERY

    def _note(
        self, chat: Chat, run: "_CommandRun | None", session: Session, backends: AvailableBackends
    ) -> str:
        """What goes in front of the model's answer; kept for a later one if this has no place."""
        messages = run.messages if run else []
        if not session.settings.is_interactive:
            return ""
        if not _has_place_for_note(chat):
            session.note = "\n".join(filter(None, (session.note, *messages)))
            return ""
        return self._with_greeting(messages, session, backends)

    def _with_greeting(
        self, messages: Sequence[str], session: Session, backends: AvailableBackends
    ) -> str:
        """The messages behind what is still to be told: an earlier note, the banner."""
        texts = [session.note]
        if session.is_banner_due and session.settings.is_interactive:
            texts.append(self.proxy_state.banner(session.id, backends))
            session.is_banner_due = False
        session.note = ""
        return "\n".join(filter(None, (*texts, *messages)))


@dataclass(slots=True)
class _CommandRun:
    """What running a turn's commands comes to; `replayed` is what was said if they ran before."""

    context: CommandContext
    spans: dict[Place, list[Range]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    has_failed: bool = False
    replayed: str | None = None

    def process(self, call: ParsedCommand, typed_range: TypedRange) -> None:
        """Run one command, unless one before it has failed."""
        self.spans.setdefault((typed_range.message, typed_range.part), []).append(
            (call.start, call.end)
        )
        if self.has_failed:
            return
        before = self._state()
        try:
            message = COMMANDS.run(call, self.context)
        except CommandError as error:
            self.has_failed = True
            message = str(error)
        has_changed = before != self._state()
        # A confirmation is for interactive sessions only; what was asked for is always told.
        if self.context.session.is_interactive or self.has_failed or not has_changed:
            self.messages.append(message)

    def _state(self) -> tuple[object, ...]:
        """What `facts_of` is made of: quicker, and there may be many commands."""
        context = self.context
        return context.session, context.proxy, context.routes, context.once


def once_model(chat: Chat, session: Session) -> ModelId | None:
    """The model of `!/once`, while the turn lasts that it was given in, tool calls included."""
    if session.once is None:
        return None
    model, turn_id = session.once
    if _turn_id(chat["messages"], typed_ranges(chat["messages"])) == turn_id:
        return model
    session.once = None
    return None


def text_at(messages: Messages, typed_range: TypedRange) -> str:
    """The text that a piece is a range of."""
    content = messages[typed_range.message]["content"]
    return str(content if typed_range.part is None else content[typed_range.part]["text"])


def _typed(
    messages: Messages, new: Sequence[TypedRange], spans: Mapping[Place, Sequence[Range]]
) -> tuple[str, ...]:
    """The commands of the newest turn, as the human wrote them."""
    return tuple(
        text_at(messages, typed_range)[start:end]
        for typed_range in new
        for start, end in spans.get((typed_range.message, typed_range.part), ())
        if typed_range.start <= start < typed_range.end
    )


def newest_text(messages: Messages) -> str:
    """The text of the last message of the user's."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return "\n".join(text for _, text in texts_of(message))
    return ""


def _is_known(name: str) -> bool:
    return name in COMMANDS


def _turn_id(messages: Messages, typed: Sequence[TypedRange]) -> str:
    """Tells a turn from every other: all that the human has said up to it."""
    texts = (
        (text_at(messages, typed_range), (typed_range.start, typed_range.end))
        for typed_range in typed
    )
    said = [text[slice(*place)] for text, place in texts if has_words(text, [place])]
    return digest(jsonio.encode(said))


def _has_place_for_note(chat: Chat) -> bool:
    """Not where text in front would break the answer, or be multiplied."""
    wanted = chat.get("response_format")
    is_text = not isinstance(wanted, dict) or wanted.get("type") in (None, "text")
    return is_text and chat.get("n") in (None, 1)
