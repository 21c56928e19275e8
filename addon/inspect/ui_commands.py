"""Commands in mitmproxy's and mitmweb's command bar; most run the same handlers as the chat's."""

import time
from collections.abc import Callable, Sequence
from inspect import signature

from mitmproxy import ctx, exceptions, flow, http
from mitmproxy.addonmanager import Loader

from addon.endpoints.chat import ChatEndpoint
from addon.inspect import diff
from addon.inspect.reask import Reask
from addon.inspect.views import Clean
from backends.usage import Usage
from commands.builtin import COMMANDS
from commands.errors import CommandError
from commands.language.registry import Command
from commands.language.scanner import Argument
from commands.language.snapshot import SessionSnapshot
from commands.sessions.session import Entry, Session, Sessions
from commands.sessions.session_id import DEFAULT

UI_ONLY = ("sessions", "history", "reask", "diff")
"""Methods of `UiCommands` that are commands."""

MAX_PROMPT = 100


class UiCommands:
    """Adds the commands. A session is given by its id, or by a flow of it such as `@focus`."""

    name = "llm_ui_commands"

    def __init__(self, chat: ChatEndpoint, sessions: Sessions, reask: Reask, clean: Clean) -> None:
        self._chat = chat
        self._sessions = sessions
        self._reask = reask
        self._clean = clean

    def load(self, loader: Loader) -> None:
        for name in UI_ONLY:
            loader.add_command(f"llm.{name}", getattr(self, name))
        for command in COMMANDS:
            if command.ui_name:
                loader.add_command(command.ui_name, self._runner(command))

    def _runner(self, command: Command) -> Callable[..., str]:
        """The function whose signature and docstring mitmproxy reads."""

        def in_session(session: str, *arguments: str) -> str:
            return self._run(command, self._session(session), arguments)

        def in_proxy(*arguments: str) -> str:
            return self._run(command, self._sessions.get(DEFAULT), arguments)

        run = in_session if command.scope == "session" else in_proxy
        run.__doc__ = command.help_text("")
        return run

    def _run(self, command: Command, session: Session, arguments: Sequence[str]) -> str:
        try:
            return self._chat.command(command.name, [*map(_argument, arguments)], session)
        except CommandError as error:
            raise exceptions.CommandError(str(error)) from None

    def _session(self, name: str) -> Session:
        if name.startswith("@"):
            flows = ctx.master.commands.call("view.flows.resolve", name)
            ids = [each.metadata["llm_session"] for each in flows if "llm_session" in each.metadata]
            if not ids:
                raise exceptions.CommandError(f"no flow of {name} belongs to a session")
            name = ids[0]
        session = self._sessions.peek(name)
        if session is None and name != DEFAULT:
            known = ", ".join(each.id for each in self._sessions)
            raise exceptions.CommandError(f"no session {name}; there are: {known or 'none'}")
        return session or self._sessions.get(DEFAULT)

    def sessions(self) -> Sequence[str]:
        """List the sessions, last used first."""
        return [_session_line(each) for each in self._chat.snapshot().sessions]

    def history(self, session: str) -> Sequence[str]:
        """List the exchanges of a session, newest last."""
        return [_entry_line(each) for each in self._session(session).history]

    def reask(self, flow: flow.Flow, model: str) -> str:
        """Send the prompt of a recorded flow to another model, as a new flow."""
        return self._reask.start(_http(flow), model)

    def diff(self, first: flow.Flow, second: flow.Flow) -> Sequence[str]:
        """Compare the responses of two flows: text, tool calls, tokens, times."""
        return diff.responses(_http(first), _http(second), self._clean)


def _argument(word: str) -> Argument:
    key, sign, value = word.partition("=")
    return Argument(key, value if sign else None)


def _http(flow: flow.Flow) -> http.HTTPFlow:
    if not isinstance(flow, http.HTTPFlow):
        raise exceptions.CommandError("not an HTTP flow")
    return flow


def _session_line(session: SessionSnapshot) -> str:
    settings = session.settings
    parts = [
        session.agent,
        settings.model and f"model {settings.model}",
        settings.backend and f"backend {settings.backend}",
        settings.project and f"project {settings.project}",
        f"{session.exchanges} exchanges",
        session.last_exchange and f"last at {_clock(session.last_exchange)}",
    ]
    return f"{session.id}: {', '.join(str(part) for part in parts if part)}"


def _entry_line(entry: Entry) -> str:
    usage = entry.usage or Usage()
    tokens = f"{usage.prompt_tokens}+{usage.completion_tokens} tok"
    end = entry.error or entry.finish_reason or "answered"
    who = entry.model if entry.handler == "backend" else "proxy"
    prompt = " ".join(entry.prompt.split())
    if len(prompt) > MAX_PROMPT:
        prompt = f"{prompt[:MAX_PROMPT]}..."
    return f"{_clock(entry.time)} {who} | {tokens} | {entry.total_s or 0:.1f}s | {end} | {prompt}"


def _clock(epoch: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(epoch))


def reference() -> str:
    """The list of docs/inspect.md: `python -m addon.inspect.ui_commands` prints it."""
    rows = [("command", "what it does"), ("---", "---")]
    for name in UI_ONLY:
        method = getattr(UiCommands, name)
        parameters = [each.upper() for each in signature(method).parameters if each != "self"]
        rows.append((f"`{' '.join([f'llm.{name}', *parameters])}`", method.__doc__))
    rows += [(f"`{_usage(each)}`", each.summary) for each in COMMANDS if each.ui_name]
    return "\n".join(f"| {command} | {about} |" for command, about in rows)


def _usage(command: Command) -> str:
    """Its first example as one types it into the command bar."""
    session = ["SESSION"] if command.scope == "session" else []
    arguments = command.examples[0].removeprefix(command.name).strip("()").split(", ")
    return " ".join(filter(None, [command.ui_name, *session, *arguments]))


if __name__ == "__main__":
    print(reference())
