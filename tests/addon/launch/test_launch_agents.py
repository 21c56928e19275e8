"""The rows: known by the names that requests are recognised by, and complete."""

import json

import pytest

from addon.launch.agents import AGENTS, CA_VARIABLES, COMMON, Agent, Mode, fill, find_agent
from addon.launch.environment import Proxy
from commands.agents.table import AGENTS as KNOWN

VALUES = Proxy("http://127.0.0.1:8000", "k'e\"y").template_values
BY_ID = {"ids": lambda agent: agent.name}


@pytest.mark.parametrize("agent", AGENTS, **BY_ID)
def test_a_row_has_the_name_by_which_requests_are_known(agent: Agent) -> None:
    without_marks = {"llm", "node"}
    assert agent.name in {each.name for each in KNOWN} | without_marks


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("agent", AGENTS, **BY_ID)
def test_there_is_something_for_every_gap(agent: Agent, mode: Mode) -> None:
    for setup in (COMMON[mode], agent.setup(mode)):
        texts = [*setup.variables.values(), *setup.arguments, setup.note or ""]
        assert "$" not in "".join(fill(text, VALUES) for text in texts)


@pytest.mark.parametrize("agent", AGENTS, **BY_ID)
def test_what_it_trusts_is_set(agent: Agent) -> None:
    assert set(agent.trusts) <= {*CA_VARIABLES, *agent.proxy.variables}


@pytest.mark.parametrize("name", ["opencode", "kilo"])
def test_the_inline_configuration_is_json(name: str) -> None:
    (text,) = find_agent(name).base_url.variables.values()
    values = Proxy("http://[::1]:8000", "sk-1").template_values
    options = {"baseURL": "http://[::1]:8000/v1", "apiKey": "sk-1"}
    assert json.loads(fill(text, values))["provider"]["openai"]["options"] == options


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("codex", "codex"),
        ("/usr/local/bin/qwen", "qwen-code"),
        ("qwen-code", "qwen-code"),
        ("claude.cmd", "claude-code"),
        ("./my-agent", "my-agent"),
    ],
)
def test_finding_a_row(word: str, name: str) -> None:
    assert find_agent(word).name == name
