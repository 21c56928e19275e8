"""Real agents in front of the simulated upstream, by both ways in: `make test-agents`."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from addon.launch.agents import Mode
from commands.language.messages import is_background_request
from tests.agents.installing import CannotInstall
from tests.agents.table import AGENTS, PRINTED, Agent
from tests.harness import CLIENT_KEY, RunningProxy, running_proxy
from tests.process import clean_environ
from tests.upstream import UpstreamThread

LLM_PROXY = str(Path(sys.executable).with_name("llm-proxy"))
MODEL = "openai/gpt-4o-mini"
OTHER_MODEL = "demo/reasoning"
TIMEOUT_S = 120
_COLOURS = re.compile(r"\x1b\[[\d;?]*[a-zA-Z]")


class Lab(NamedTuple):
    """An agent in a home of its own, in front of a proxy and an upstream of its own."""

    agent: Agent
    mode: Mode
    programs: Path
    home: Path
    proxy: RunningProxy
    upstream: UpstreamThread

    def ask(self, text: str, *, resumes: bool = False) -> str:
        """What the agent shows on a turn; it must end well."""
        environ = {
            "HOME": str(self.home),
            "PATH": path_of(self.programs),
            "LLM_INTERACTIVE_PROXY_API_KEY": CLIENT_KEY,
            "MODULES": str(self.programs.parent),
            **self.agent.variables,
        }
        ours = [LLM_PROXY, "run", f"--mode={self.mode}", f"--port={self.proxy.port}", "--"]
        ended = subprocess.run(
            [*ours, *self.agent.command(text, resumes=resumes)],
            cwd=self.home,
            env=clean_environ(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        return _COLOURS.sub("", ended.stdout)

    @property
    def sent(self) -> list[Any]:
        """All chats that have reached the upstream."""
        requests = self.upstream.simulator.requests
        return [each.json for each in requests if each.path.endswith("/chat/completions")]

    @property
    def turns(self) -> list[Any]:
        """Those of them that are the human's turns, and not the agent's own."""
        from_human = [chat for chat in self.sent if not is_background_request(chat, None)]
        return [chat for chat in from_human if not self.agent.tool or chat.get("tools")]


@pytest.fixture(scope="module", params=AGENTS, ids=lambda agent: agent.name)
def installed(request: pytest.FixtureRequest) -> tuple[Agent, Path]:
    agent: Agent = request.param
    try:
        programs = agent.install()
        environ = {**os.environ, "PATH": path_of(programs)}
        version = [agent.executable, "--version"]
        subprocess.run(version, env=environ, check=True, capture_output=True)
    except (CannotInstall, OSError, subprocess.CalledProcessError) as error:
        pytest.skip(str(error))
    return agent, programs


def path_of(programs: Path) -> str:
    """The PATH with an agent's programs in front."""
    return os.pathsep.join((str(programs), os.environ["PATH"]))


@pytest.fixture(params=Mode)
def lab(
    request: pytest.FixtureRequest,
    installed: tuple[Agent, Path],
    confdir: Path,
    tmp_path: Path,
) -> Iterator[Lab]:
    agent, programs = installed
    mode: Mode = request.param
    if mode not in agent.modes:
        pytest.skip(f"{agent.name} needs a configuration file for this")
    (tmp_path / ".mitmproxy").symlink_to(confdir)
    for name, text in agent.files.items():
        (tmp_path / name).write_text(text)
    with (
        UpstreamThread() as upstream,
        running_proxy(
            confdir,
            openrouter_api_base_url=upstream.simulator.openrouter_url,
            gemini_api_base_url=upstream.simulator.gemini_url,
            disable_interactive_mode=False,
        ) as proxy,
    ):
        yield Lab(agent, mode, programs, tmp_path, proxy, upstream)


def test_a_prompt(lab: Lab) -> None:
    shown = lab.ask("say hello please")
    assert f"Hello from {MODEL}, a simulated model" in shown
    assert "say hello please" in shown
    assert [chat["model"] for chat in lab.turns] == [MODEL]


def test_a_command_alone(lab: Lab) -> None:
    shown = lab.ask(". !/status")
    assert "prompts go to " in " ".join(shown.split())
    assert "a simulated model" not in shown
    assert not lab.turns
    assert "!/status" not in str(lab.sent)


def test_a_command_before_words_and_once_more_from_history(lab: Lab) -> None:
    command = f"{lab.agent.before_command}!/set(model=openrouter:{OTHER_MODEL})"
    told = f"model set to openrouter:{OTHER_MODEL}"
    shown = lab.ask(f"{command} say hello please")
    assert told in shown
    assert f"Hello from {OTHER_MODEL}, a simulated model" in shown
    if lab.agent.resume:
        shown = lab.ask(". !/unset(model)", resumes=True)
        assert "model unset" in shown
        shown = lab.ask("go on then", resumes=True)
        assert told not in shown
        assert f"Hello from {MODEL}, a simulated model" in shown
        assert "say hello please" in str(lab.turns[-1]["messages"][:-1])
        assert lab.turns[-1]["model"] == MODEL
    assert lab.turns[0]["model"] == OTHER_MODEL
    assert "!/set" not in str(lab.sent)
    assert "!/unset" not in str(lab.sent)


def test_a_tool_loop(lab: Lab) -> None:
    if not lab.agent.tool:
        pytest.skip(f"{lab.agent.name} has no tools")
    shown = lab.ask(f"!/set(project=x) call the tool {lab.agent.tool}")
    assert "The tool answered" in shown
    assert PRINTED in shown
    assert shown.count("project set to x") == 1
    first, second = lab.turns
    assert PRINTED not in str(first)
    assert second["messages"][-1]["role"] == "tool"
    assert PRINTED in str(second["messages"][-1]["content"])
    assert "!/set" not in str(lab.sent)


def test_a_history_that_is_summed_up(lab: Lab) -> None:
    if not lab.agent.long_tool:
        pytest.skip(f"{lab.agent.name} is not known to sum up so early")
    shown = lab.ask(f"!/set(project=x) call the tool {lab.agent.long_tool}")
    assert "The tool answered" in shown
    assert shown.count("project set to x") == 1
    assert any("CONTEXT CHECKPOINT" in str(chat["messages"][-1]) for chat in lab.sent)
    assert "!/set" not in str(lab.sent)
