"""mitmproxy's command bar: the chat's commands, sessions, asking again, comparing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.exceptions import CommandError
from mitmproxy.http import HTTPFlow

from backends import jsonio
from tests.harness import RunningProxy, running_proxy
from tests.upstream import UpstreamThread, eventually


@pytest.fixture(scope="module")
def proxy(confdir: Path, upstream: UpstreamThread) -> Iterator[RunningProxy]:
    with running_proxy(
        confdir,
        with_view=True,
        openrouter_api_base_url=upstream.simulator.openrouter_url,
        gemini_api_base_url=upstream.simulator.gemini_url,
    ) as running:
        yield running


def ask(proxy: RunningProxy, text: str, session: str, **chat: Any) -> HTTPFlow:
    """The flow of one chat request."""
    messages = [{"role": "user", "content": text}]
    body = {"model": "demo/echo", "messages": messages, **chat}
    with proxy.client(headers={"x-session-id": session}) as client:
        client.post("/v1/chat/completions", json=body)
    return proxy.flows[-1]


def text_of(flow: HTTPFlow) -> str:
    assert flow.response
    message = jsonio.decode(flow.response.content or b"")["choices"][0]["message"]
    return str(message["content"])


class TestChatCommands:
    def test_a_setting_of_a_session(self, proxy: RunningProxy) -> None:
        ask(proxy, "hi", "s1")
        said = proxy.command("llm.set", "s1", "model=gemini:gemini-2.5-flash", "project=x")
        assert said == "model set to gemini:gemini-2.5-flash; project set to x"
        assert ask(proxy, "hi", "s1").metadata["llm_model"] == "gemini:gemini-2.5-flash"
        assert ask(proxy, "hi", "other").metadata["llm_model"] == "openrouter:demo/echo"
        assert "project: x (this session)" in proxy.command("llm.status", "s1")
        assert proxy.command("llm.unset", "s1", "model") == "model unset"
        assert "gemini-2.5-flash" in proxy.command("llm.why", "s1")
        assert proxy.command("llm.usage", "s1").startswith("2 requests to backends")

    def test_a_session_named_by_its_flow(self, proxy: RunningProxy) -> None:
        flow = ask(proxy, "hi", "s2")
        assert proxy.command("llm.set", f"@{flow.id}", "project=y") == "project set to y"
        assert "project: y (this session)" in proxy.command("llm.status", "s2")

    def test_the_default_session_is_there_before_its_first_request(
        self, proxy: RunningProxy
    ) -> None:
        assert proxy.command("llm.set", "default", "project=z") == "project set to z"
        assert proxy.command("llm.unset", "default", "project") == "project unset"

    def test_routes(self, proxy: RunningProxy) -> None:
        assert "failover route r created" in proxy.command("llm.route.create", "name=r", "policy=m")
        proxy.command("llm.route.append", "name=r", "openrouter:demo/echo")
        proxy.command("llm.route.prepend", "name=r", "gemini:gemini-2.5-pro")
        elements = "gemini:gemini-2.5-pro, openrouter:demo/echo"
        assert proxy.command("llm.route.list", "name=r") == elements
        assert ask(proxy, "hi", "routed", model="r").metadata["llm_backend"] == "gemini"
        proxy.command("llm.route.clear", "name=r")
        assert proxy.command("llm.route.names") == "r:m"
        assert proxy.command("llm.route.delete", "name=r") == "failover route r deleted"

    def test_models(self, proxy: RunningProxy) -> None:
        # They are asked for when the proxy starts.
        assert eventually(lambda: "openrouter:demo/echo" in proxy.command("llm.models", "echo"))

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            (("llm.set", "nosuch", "project=x"), "no session nosuch; there are: "),
            (("llm.set", "default", "projekt=x"), "unknown parameter projekt"),
            (("llm.set", "default"), "set: no valid parameters"),
            (("llm.set", "@marked", "project=x"), "no flow of @marked belongs to a session"),
            (("llm.route.list", "name=nosuch"), "route nosuch not found"),
            (("llm.history", "nosuch"), "no session nosuch"),
        ],
    )
    def test_mistakes(self, proxy: RunningProxy, command: tuple[str, ...], said: str) -> None:
        with pytest.raises(CommandError, match=said):
            proxy.command(*command)


class TestSessions:
    def test_list(self, proxy: RunningProxy) -> None:
        ask(proxy, "!/set(project=home)", "listed")
        first = proxy.command("llm.sessions")[0]
        assert first.startswith("listed: project home, 1 exchanges, last at ")

    def test_history(self, proxy: RunningProxy) -> None:
        ask(proxy, "What is\nthis?", "told")
        ask(proxy, "!/status", "told")
        ask(proxy, "x" * 1000, "told", model="demo/error-401")
        asked, status, failed = proxy.command("llm.history", "told")
        assert " openrouter:demo/echo | " in asked
        assert asked.endswith(" | stop | What is this?")
        assert " proxy | " in status
        assert " | 401 User not found. | " in failed
        assert failed.endswith("x" * 100 + "...")


class TestReask:
    def test_another_model_gets_the_same_prompt(self, proxy: RunningProxy) -> None:
        first = ask(proxy, "!/set(model=openrouter:demo/echo) Tell me", "asker", temperature=0.5)
        before = len(proxy.flows)
        said = proxy.command("llm.reask", f"@{first.id}", "gemini:gemini-2.5-flash")
        session = f"reask-{first.id[:8]}"
        assert said == f"asking gemini:gemini-2.5-flash; the new flow belongs to session {session}"
        assert eventually(lambda: len(proxy.flows) > before and not proxy.flows[-1].live)
        second = proxy.flows[-1]
        assert second.metadata["llm_model"] == "gemini:gemini-2.5-flash"
        assert second.metadata["llm_session"] == session
        assert "llm_commands" not in second.metadata
        assert text_of(second).endswith("You said: Tell me")
        sent = jsonio.decode(second.request.content or b"")
        assert sent["generationConfig"] == {"temperature": 0.5}
        # The conversation goes on as if nothing had happened.
        assert len(proxy.command("llm.history", "asker")) == 1

        lines = proxy.command("llm.diff", f"@{first.id}", f"@{second.id}")
        assert "model: openrouter:demo/echo -> gemini:gemini-2.5-flash" in lines
        assert any(line.startswith("-Hello from demo/echo") for line in lines)
        assert any(line.startswith("+Hello from gemini-2.5-flash") for line in lines)
        same = proxy.command("llm.diff", f"@{first.id}", f"@{first.id}")
        assert same == ["the same text and tool calls"]

    def test_flows_without_a_prompt(self, proxy: RunningProxy) -> None:
        with proxy.client() as client:
            client.get("/v1/models")
        models = f"@{proxy.flows[-1].id}"
        with pytest.raises(CommandError, match="not a model request"):
            proxy.command("llm.reask", models, "gemini:x")
        with pytest.raises(CommandError, match="belongs to a session"):
            proxy.command("llm.history", models)

    def test_an_incomplete_prompt(self, proxy: RunningProxy) -> None:
        flow = ask(proxy, "hi", "cut")
        flow.request.content = b'{"model": "x", "mess'
        with pytest.raises(CommandError, match="is incomplete"):
            proxy.command("llm.reask", f"@{flow.id}", "gemini:x")

    def test_a_recorded_prompt_is_not_replayed(self, proxy: RunningProxy) -> None:
        flow = ask(proxy, "hi", "replayed")
        proxy.command("replay.client", f"@{flow.id}")
        assert eventually(lambda: flow.response is not None and flow.response.status_code == 400)
        assert flow.response
        assert "llm.reask" in (flow.response.text or "")
