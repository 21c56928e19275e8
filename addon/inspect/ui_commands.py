"""The commands of mitmproxy's and mitmweb's command bar, on the same handlers as the chat's."""

import time
from collections.abc import Callable, Sequence

from mitmproxy import ctx, exceptions, flow, http
from mitmproxy.addonmanager import Loader

from addon.endpoints.chat import ChatEndpoint
from addon.inspect import diff
from addon.inspect.reask import Reask
from backends.usage import Usage
from commands.builtin import COMMANDS
from commands.errors import CommandError
from commands.language.scanner import Argument
from commands.language.snapshot import SessionSnapshot
from commands.sessions.session import Entry, Session, Sessions
from commands.sessions.session_id import DEFAULT

# By mitmproxy's name for them. These belong to a session, which is the first argument ...
OF_A_SESSION = {
    "llm.set": "set",
    "llm.unset": "unset",
    "llm.status": "status",
    "llm.usage": "usage",
    "llm.why": "why",
}
# ... and these to the whole proxy.
OF_THE_PROXY = {
    "llm.models": "models",
    "llm.route.create": "create-failover-route",
    "llm.route.delete": "delete-failover-route",
    "llm.route.names": "list-failover-routes",
    "llm.route.list": "route-list",
    "llm.route.append": "route-append",
    "llm.route.prepend": "route-prepend",
    "llm.route.clear": "route-clear",
}

LONGEST_LINE = 100


class UiCommands:
    """Sessions are named by their id, or by a flow such as `@focus` that belongs to one."""

    name = "llm_ui_commands"

    def __init__(self, chat: ChatEndpoint, sessions: Sessions, reask: Reask) -> None:
        self._chat = chat
        self._sessions = sessions
        self._reask = reask

    def load(self, loader: Loader) -> None:
        loader.add_command("llm.sessions", self.sessions)
        loader.add_command("llm.history", self.history)
        loader.add_command("llm.reask", self.reask)
        loader.add_command("llm.diff", self.diff)
        for name, chat_name in OF_A_SESSION.items():
            loader.add_command(name, self._of_a_session(chat_name))
        for name, chat_name in OF_THE_PROXY.items():
            loader.add_command(name, self._of_the_proxy(chat_name))

    def _of_a_session(self, name: str) -> Callable[..., str]:
        def run(session: str, *arguments: str) -> str:
            return self._run(name, self._session(session), arguments)

        run.__doc__ = COMMANDS.find(name).help_text("")
        return run

    def _of_the_proxy(self, name: str) -> Callable[..., str]:
        def run(*arguments: str) -> str:
            return self._run(name, self._sessions.get(DEFAULT), arguments)

        run.__doc__ = COMMANDS.find(name).help_text("")
        return run

    def _run(self, name: str, session: Session, arguments: Sequence[str]) -> str:
        try:
            return self._chat.command(name, [_argument(each) for each in arguments], session)
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
        """List the sessions, the one used last first."""
        return [_session_line(each) for each in self._chat.snapshot().sessions]

    def history(self, session: str) -> Sequence[str]:
        """List what was said in a session, the newest last."""
        return [_entry_line(each) for each in self._session(session).history]

    def reask(self, flow: flow.Flow, model: str) -> str:
        """Put the prompt of a recorded flow to another model, as a new flow."""
        return self._reask.start(_http(flow), model)

    def diff(self, first: flow.Flow, second: flow.Flow) -> Sequence[str]:
        """Compare the answers of two flows: text, tool calls, tokens, time."""
        return diff.answers(_http(first), _http(second))


def _argument(word: str) -> Argument:
    key, sign, value = word.partition("=")
    return Argument(key, value if sign else None)


def _http(flow: flow.Flow) -> http.HTTPFlow:
    if not isinstance(flow, http.HTTPFlow):
        raise exceptions.CommandError("this flow is no HTTP request")
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
    if len(prompt) > LONGEST_LINE:
        prompt = f"{prompt[:LONGEST_LINE]}..."
    return f"{_clock(entry.time)} {who} | {tokens} | {entry.total_s or 0:.1f}s | {end} | {prompt}"


def _clock(epoch: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(epoch))
