"""The snapshot of the whole proxy, and who shows it."""

from backends.errors import ApiError
from backends.keys import Key
from commands.builtin import COMMANDS
from commands.language.snapshot import Availability, SessionSnapshot
from commands.routing.attempt import Attempt, AttemptTarget
from commands.routing.cooldowns import Cooldown, Cooldowns
from commands.routing.routes import Route, Routes
from commands.sessions.session import Entry, Sessions
from commands.settings import AvailableBackend, ProxySettings, SessionSettings
from commands.turns.proxy_state import ProxyState

CONFIGURED = ProxySettings("openrouter")
ROUTES = Routes({"n": Route("n", "k")})
ATTEMPT = Attempt("openrouter", "a/b", Key("KEY_1", "the-secret"))


def availability() -> Availability:
    cooldowns = Cooldowns()
    cooldowns.start(ATTEMPT, ApiError(429, "slow down"), now=0.0, epoch=0.0)
    return Availability({"openrouter": AvailableBackend(2)}, cooldowns.active(1.0))


def state_and_sessions() -> tuple[ProxyState, Sessions]:
    sessions = Sessions(SessionSettings(), 10, 10)
    sessions.get("old")
    busy = sessions.get("busy")
    busy.agent = "codex"
    busy.last_target = (busy.settings, ATTEMPT)
    busy.history += [Entry(time, "backend", "", "", "openrouter:a/b") for time in (1.0, 2.5)]
    return ProxyState(CONFIGURED, "x", ("openrouter", "gemini"), routes=ROUTES), sessions


def test_snapshot() -> None:
    state, sessions = state_and_sessions()
    snapshot = state.snapshot(sessions, availability())
    target = AttemptTarget("openrouter", "a/b", "KEY_1")
    assert snapshot.settings == snapshot.configured == CONFIGURED
    assert snapshot.routes == ROUTES
    assert snapshot.known == ("openrouter", "gemini")
    assert snapshot.availability.backends["openrouter"].key_count == 2
    assert snapshot.availability.cooldowns == [Cooldown(target, 4.0)]
    assert snapshot.sessions == (
        SessionSnapshot(
            "busy",
            SessionSettings(),
            "codex",
            last_target=target,
            last_settings=SessionSettings(),
            exchanges=2,
            last_exchange=2.5,
        ),
        SessionSnapshot("old", SessionSettings()),
    )
    assert "secret" not in repr(snapshot)


def test_it_does_not_change_with_the_proxy() -> None:
    state, sessions = state_and_sessions()
    snapshot = state.snapshot(sessions, availability())
    before = repr(snapshot)
    state.routes = Routes()
    session = sessions.get("busy")
    session.settings = SessionSettings(backend="gemini")
    session.history.clear()
    assert repr(snapshot) == before


def test_status_shows_what_the_commands_before_it_have_set() -> None:
    state, sessions = state_and_sessions()
    context = state.context(sessions.get("busy"), availability())
    context.change_session(backend="gemini")
    status = COMMANDS.find("status").run(context, ())
    assert "prompts go to the requested model at gemini (set(backend))" in status
    assert status.endswith("; cooling down: openrouter:a/b with KEY_1 for 4 s")
