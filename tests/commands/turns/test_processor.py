"""A request's turn: what runs, what is cut out, what the client is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from backends.model_id import ModelId
from commands.agents import typed_text
from commands.agents.table import AGENTS
from commands.config.sources import ConfigError
from commands.language.scanner import Argument
from commands.language.snapshot import Availability
from commands.routing.routes import Route, Routes
from commands.sessions.session import Session, Sessions
from commands.settings import PROXY_WIDE, AvailableBackend, ProxySettings, SessionSettings
from commands.turns.processor import NO_QUERY, CommandProcessor, TurnResult, once_model
from commands.turns.proxy_state import ProxyState

BACKENDS = {
    "gemini": AvailableBackend(1, ["gemini-2.5-pro", "gemini-2.5-flash"]),
    "openrouter": AvailableBackend(2, ["a/b", "a/c", "d/e"]),
}
AVAILABILITY = Availability(BACKENDS)
BANNER = """<thinking>Hello, this is llm-interactive-proxy 0.1.0
Session id: s
Functional backends: gemini (K:1, M:2), openrouter (K:2, M:3)
Type !/help for list of available commands</thinking>"""


def processor(*, are_commands_enabled: bool = True, **options: Any) -> CommandProcessor:
    proxy_state = ProxyState(
        ProxySettings("openrouter"), "llm-interactive-proxy 0.1.0", list(BACKENDS), **options
    )
    proxy_state.is_exposed = False
    return CommandProcessor(proxy_state, are_commands_enabled=are_commands_enabled)


def session(*, interactive: bool = True, banner: bool = False) -> Session:
    made = Sessions(SessionSettings(is_interactive=interactive), 10, 10).get("s")
    made.is_banner_due = banner
    return made


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def system() -> dict[str, Any]:
    return {"role": "system", "content": "Be nice"}


def take(
    *texts: Any, at: CommandProcessor | None = None, of: Session | None = None, **chat: Any
) -> TurnResult:
    messages = [text if isinstance(text, dict) else user(text) for text in texts]
    return (at or processor()).process(
        {"messages": messages, **chat}, of or session(), None, AVAILABILITY
    )


class TestReplies:
    @pytest.mark.parametrize(
        ("text", "reply"),
        [
            ("!/set(project=x)", "project set to x"),
            ("!/set(project=x) !/unset(project)", "project set to x\nproject unset"),
            (
                "!/set(project=x)\n!/nope(1)\n!/unset(project)",
                "project set to x\nunknown command: nope",
            ),
            ("please !/nope(1)", "unknown command: nope"),
            ('"!/set(project=x)"', "project set to x"),
            (". !/set(project=x)", "project set to x"),
            ("<task>\n!/set(project=x)\n</task>", "project set to x"),
        ],
    )
    def test_commands_alone_and_errors(self, text: str, reply: str) -> None:
        assert take(text).reply == reply

    def test_the_banner_is_put_before_the_first(self) -> None:
        of = session(banner=True)
        assert take("!/set(project=x)", of=of).reply == f"{BANNER}\nproject set to x"
        assert take("!/set(project=y)", of=of).reply == "project set to y"

    def test_the_banner_alone_goes_before_the_first_answer(self) -> None:
        assert take("hi", of=session(banner=True)).note == BANNER

    def test_without_interactive_mode_only_what_was_asked_for_is_told(self) -> None:
        of = session(interactive=False, banner=True)
        assert take("!/set(project=x)", of=of).reply == NO_QUERY
        assert (take("!/route-list(name=x)", of=of).reply or "").startswith("route x not found")
        assert take("!/set(project=x) hi", of=of).note == ""

    def test_interactive_mode_again_brings_the_banner(self) -> None:
        of = session(interactive=False)
        assert take("!/set(interactive=on)", of=of).reply == (
            f"{BANNER}\ninteractive mode set to True"
        )


class TestOnce:
    def test_the_same_turn_again_does_not_run_but_gets_the_same_answer(self) -> None:
        at, of = processor(), session()
        take("!/create-failover-route(name=r,policy=k)", at=at, of=of)
        for _ in range(3):
            turn = take("!/route-append(name=r,openrouter:a/b)", at=at, of=of)
            assert turn.reply == "elements appended to r"
        assert at.proxy_state.routes.find("r").elements == (ModelId("openrouter", "a/b"),)

    def test_a_confirmation_tells_what_is_in_force(self) -> None:
        at, me, other = processor(), session(), session()
        for _ in range(3):
            take("!/set(redact-api-keys-in-prompts=off)", at=at, of=other)
            reply = take("!/set(redact-api-keys-in-prompts=on)", at=at, of=me).reply
            assert reply == "redact-api-keys-in-prompts set to True"
            assert at.proxy_state.settings.redact_api_keys_in_prompts

    def test_other_conversations_of_the_session_do_not_make_it_run_again(self) -> None:
        at, of = processor(), session()
        take("!/create-failover-route(name=r,policy=k)", at=at, of=of)
        turn = [system(), user("hi"), {"role": "assistant", "content": "a"}]
        append = user("!/route-append(name=r,gemini:x) go on")
        take(*turn, append, at=at, of=of)
        take("!/set(project=x)", at=at, of=of)
        take("!/route-append(name=r,gemini:y)", at=at, of=of)
        for chat in ([*turn, append], [*turn[1:], append, system()]):
            again = take(*chat, at=at, of=of)
            assert "!/" not in json.dumps(again.chat)
        assert [each.name for each in at.proxy_state.routes.find("r").elements] == ["x", "y"]

    def test_what_does_not_hold_any_more_is_done_again(self) -> None:
        at, of = processor(), session()
        take("!/create-failover-route(name=r,policy=k)", at=at, of=of)
        for _ in range(2):
            assert take("!/route-append(name=r,gemini:x)", at=at, of=of).reply
            assert at.proxy_state.routes.find("r").elements == (ModelId("gemini", "x"),)
            assert take("!/route-clear(name=r)", at=at, of=of).reply == "route r cleared"
            assert at.proxy_state.routes.find("r").elements == ()

    def test_a_change_of_the_prefix_is_repeated(self) -> None:
        at, of = processor(), session()
        for _ in range(2):
            turn = take("!/set(command-prefix=#?) hi", at=at, of=of)
            assert turn.chat["messages"] == [user("hi")]

    def test_an_error_is_repeated_too(self) -> None:
        of = session()
        for _ in range(2):
            turn = take("!/set(project=x) !/nope(1) and text", of=of)
            assert turn.reply == "project set to x\nunknown command: nope"

    def test_questions_are_answered_anew(self) -> None:
        of = session()
        assert "project: none" in (take("!/status", of=of).reply or "")
        take("!/set(project=x)", of=of)
        assert "project: x" in (take("!/status", of=of).reply or "")

    def test_side_requests_run_nothing(self) -> None:
        title = {"role": "system", "content": "You are a title generator. Output a title."}
        of = session()
        turn = take(title, "!/set(project=x)", of=of)
        assert (turn.reply, turn.note) == (None, "")
        assert of.settings.project is None
        assert "!/" not in json.dumps(turn.chat)
        assert turn.chat["messages"][1]["content"]

    def test_a_model_for_one_turn(self) -> None:
        of = session()
        messages = [user("!/once(model=gemini:gemini-2.5-pro) go")]
        processor().process({"messages": messages}, of, None, AVAILABILITY)
        loop = [*messages, {"role": "assistant", "content": "x"}, {"role": "tool", "content": "y"}]
        assert once_model({"messages": loop}, of) == ModelId("gemini", "gemini-2.5-pro")
        assert once_model({"messages": [*loop, user("next")]}, of) is None
        assert once_model({"messages": loop}, of) is None


class TestChangesForEverybody:
    COMMANDS = (
        ("default-backend", "!/set(default-backend=gemini)"),
        ("command-prefix", "!/set(command-prefix=#?)"),
        ("redact-api-keys-in-prompts", "!/set(redact-api-keys-in-prompts=off)"),
        ("routes", "!/create-failover-route(name=r,policy=k)"),
    )

    @pytest.mark.parametrize(("name", "text"), COMMANDS)
    def test_what_the_chat_may_change(self, name: str, text: str) -> None:
        for allowed in ((), set(PROXY_WIDE) - {name}):
            at, of = processor(chat_may_change=allowed), session(interactive=False)
            before = at.proxy_state.settings, at.proxy_state.routes, of.settings
            assert take(f"{text} hi", at=at, of=of).reply == (
                f"{name} cannot be changed from the chat: chat_may_change in proxy.yaml does not "
                "allow it"
            )
            assert (at.proxy_state.settings, at.proxy_state.routes, of.settings) == before
        for allowed in (None, (name,)):
            at = processor(chat_may_change=allowed)
            before = at.proxy_state.settings, at.proxy_state.routes, of.settings
            take(text, at=at)
            assert (at.proxy_state.settings, at.proxy_state.routes, of.settings) != before

    def test_nothing_once_the_proxy_is_exposed_or_as_long_as_nobody_knows(self) -> None:
        at = processor()
        at.proxy_state.is_exposed = True
        assert "cannot be changed" in (take("!/set(command-prefix=#?)", at=at).reply or "")
        assert "cannot be changed" in (
            take("!/set(project=x, default-backend=gemini)", at=at).reply or ""
        )
        assert take("!/set(project=x)", at=at).reply == "project set to x"
        at = processor(chat_may_change=("command-prefix",))
        at.proxy_state.is_exposed = True
        assert take("!/set(command-prefix=#?)", at=at).reply == "command prefix set to #?"

    @pytest.mark.parametrize(
        "text",
        [
            "!/route-append(name=r, gemini:x)",
            "!/route-prepend(name=r, gemini:x)",
            "!/route-clear(name=r)",
            "!/delete-failover-route(name=r)",
        ],
    )
    def test_routes_that_are_there(self, text: str) -> None:
        at = processor(chat_may_change=(), routes=Routes({"r": Route("r", "k")}))
        assert (take(text, at=at).reply or "").startswith("routes cannot be changed")
        assert take("!/list-failover-routes", at=at).reply == "r:k"

    def test_what_is_so_already_may_be_set(self) -> None:
        reply = take("!/set(default-backend=openrouter)", at=processor(chat_may_change=())).reply
        assert reply == "default backend set to openrouter"

    def test_mitmproxy_may_change_all(self) -> None:
        at = processor(chat_may_change=())
        argument = Argument("redact-api-keys-in-prompts", "off")
        at.proxy_state.run("set", [argument], session(), AVAILABILITY)
        assert not at.proxy_state.settings.redact_api_keys_in_prompts

    def test_each_is_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        at, of = processor(), session()
        of.agent = "codex"
        for _ in range(2):
            take("!/set(redact-api-keys-in-prompts=off, project=p) !/help", at=at, of=of)
        take(
            "!/create-failover-route(name=r,policy=k) !/route-append(name=r,gemini:x,openrouter:y)",
            at=at,
        )
        take("!/delete-failover-route(name=r)", at=at)
        at.proxy_state.run("unset", [Argument("redact-api-keys-in-prompts")], of, AVAILABILITY)
        assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
            ("WARNING", "redact-api-keys-in-prompts is now False, by session s of codex"),
            ("WARNING", "route r is now k:gemini:x,openrouter:y, by session s of an unknown agent"),
            ("WARNING", "route r is now deleted, by session s of an unknown agent"),
            ("WARNING", "redact-api-keys-in-prompts is now True, by mitmproxy"),
        ]


class TestWhatGoesUp:
    def test_without_commands_the_very_same_chat(self) -> None:
        chat = {"messages": [user("a\u2028 !/usr/bin  !/bin/bash\t"), {"role": "x"}, 3]}
        assert processor().process(chat, session(), None, AVAILABILITY).chat is chat

    def test_disabled_commands_are_text(self) -> None:
        chat = {"messages": [user("!/help"), user("!/set(project=x)")]}
        of = session()
        turn = processor(are_commands_enabled=False).process(chat, of, None, AVAILABILITY)
        assert (turn.chat is chat, turn.reply) == (True, None)

    def test_another_prefix(self) -> None:
        at, of = processor(), session()
        turn = take("!/set(command-prefix=#?) then #?set(project=x) go", at=at, of=of)
        assert turn.chat["messages"][0]["content"] == "then go"
        assert turn.note == "command prefix set to #?\nproject set to x"
        answered = {"role": "assistant", "content": "ok"}
        later = take("a !/help", answered, "now !/help", at=at, of=of).chat["messages"]
        assert [message["content"] for message in later] == ["a", "ok", "now !/help"]

    @given(st.text(alphabet=st.characters(codec="utf-8")), st.booleans())
    def test_any_text_without_a_command(self, text: str, as_part: bool) -> None:
        text = text.replace("!/", "! /")
        content = [{"type": "text", "text": text}] if as_part else text
        chat = {"messages": [user(content)]}
        assert processor().process(chat, session(), None, AVAILABILITY).chat is chat

    @given(
        st.lists(
            st.text(alphabet="ab <>{}\"'\\\n\té\u2028#-", min_size=1).filter(str.strip),
            min_size=2,
            max_size=5,
        )
    )
    def test_exactly_the_commands_go(self, texts: list[str]) -> None:
        """Cut out of the middle of a line each takes one space along."""
        texts = [f"x{text}x" for text in texts]
        whole = " ".join(texts)
        assume(typed_text.read([whole])[0].typed == [(0, len(whole))])
        turn = take(" !/set(project=p) ".join(texts))
        if turn.reply is None:
            (message,) = turn.chat["messages"]
            assert message["content"] == " ".join(texts)

    @given(st.text(alphabet="!/helpst()=,\"' \n\\ax", max_size=60))
    def test_nothing_makes_it_stumble(self, text: str) -> None:
        take(text)
        take(text, {"role": "assistant", "content": "x"}, "hi")


class TestNotes:
    def test_an_inline_command_is_confirmed_in_front(self) -> None:
        turn = take("!/set(project=x) hi")
        assert (turn.reply, turn.note, turn.prompt) == (None, "project set to x", "hi")

    @pytest.mark.parametrize(
        "chat",
        [{"response_format": {"type": "json_schema"}}, {"n": 2}],
        ids=["JSON", "several choices"],
    )
    def test_it_waits_where_it_has_no_place(self, chat: dict[str, Any]) -> None:
        of = session(banner=True)
        assert take("!/set(project=x) hi", of=of, **chat).note == ""
        assert take("go on", of=of).note == f"project set to x\n{BANNER}"


class TestState:
    def test_changes_outlive_the_proxy(self, tmp_path: Path) -> None:
        file = tmp_path / "state.yaml"
        take(
            "!/create-failover-route(name=r,policy=km) !/route-append(name=r,openrouter:a/b)"
            " !/set(default-backend=gemini)",
            at=processor(state_file=file),
        )
        again = processor(state_file=file)
        assert again.proxy_state.settings.default_backend == "gemini"
        assert again.proxy_state.routes.find("r").elements == (ModelId("openrouter", "a/b"),)

    def test_a_broken_file_is_told_and_kept(self, tmp_path: Path) -> None:
        file = tmp_path / "state.json"
        file.write_text('{"failover_routes": ')
        with pytest.raises(ConfigError, match="line 1"):
            processor(state_file=file)
        assert file.read_text() == '{"failover_routes": '

    def test_what_cannot_be_saved_is_said(self, tmp_path: Path) -> None:
        file = tmp_path / "state.json"
        at = processor(state_file=file)
        file.write_text("{")
        reply = take("!/set(default-backend=gemini)", at=at).reply or ""
        assert reply.startswith("default backend set to gemini\nnot saved: ")
        assert at.proxy_state.settings.default_backend == "gemini"
        assert file.read_text() == "{"


class TestSessions:
    def test_the_oldest_go(self) -> None:
        sessions = Sessions(SessionSettings(), 1000, 5)
        kept = sessions.get("kept")
        for number in range(5000):
            sessions.get(f"s{number}")
            assert sessions.get("kept") is kept
        assert len(sessions) == 1000


def test_every_agent_s_conversation_goes_through(tmp_path: Path) -> None:
    wire = Path(__file__).resolve().parents[2] / "wire" / "agents"
    names = {agent.name: agent for agent in AGENTS}
    for file in sorted(wire.glob("*.json")):
        recorded = json.loads(file.read_text())
        chat = recorded.get("body", recorded)
        if isinstance(chat, dict) and "messages" in chat:
            turn = processor().process(chat, session(), names.get(file.stem), AVAILABILITY)
            assert turn.chat["messages"]
