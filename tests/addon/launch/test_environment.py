"""What is put into an agent's environment."""

from collections.abc import Mapping

import pytest

from addon.launch.agents import PLACEHOLDER, Mode, find_agent
from addon.launch.environment import Proxy, additions, direct_hosts, is_direct, without_secrets

HOSTS = ("api.openai.com", "openrouter.ai")
PROXY = Proxy("http://127.0.0.1:8000", "p@ss/word")


def added(agent: str, mode: Mode, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    return additions(find_agent(agent), mode, PROXY, inherited or {}, HOSTS)


def test_the_key_is_a_password_in_the_proxy_s_address() -> None:
    variables = added("codex", Mode.PROXY)
    assert variables["HTTPS_PROXY"] == "http://x:p%40ss%2Fword@127.0.0.1:8000"
    assert variables["https_proxy"] == variables["HTTPS_PROXY"]
    assert variables["SSL_CERT_FILE"] == variables["NODE_EXTRA_CA_CERTS"]


def test_the_key_is_the_api_key_at_the_base_url() -> None:
    variables = added("unheard-of", Mode.BASE_URL)
    assert variables["OPENAI_BASE_URL"] == "http://127.0.0.1:8000/v1"
    assert variables["OPENAI_API_KEY"] == PROXY.key
    assert "HTTPS_PROXY" not in variables


def test_a_placeholder_only_where_there_is_no_key() -> None:
    assert added("codex", Mode.PROXY)["CODEX_API_KEY"] == PLACEHOLDER
    inherited = {"CODEX_API_KEY": "sk-own", "OPENAI_API_KEY": ""}
    variables = added("codex", Mode.PROXY, inherited)
    assert "CODEX_API_KEY" not in variables
    assert variables["OPENAI_API_KEY"] == PLACEHOLDER


@pytest.mark.parametrize(
    ("inherited", "expected"),
    [
        ({}, "localhost,127.0.0.1"),
        ({"NO_PROXY": "*"}, "localhost,127.0.0.1"),
        ({"no_proxy": ".corp, openai.com ,10.0.0.1"}, "localhost,127.0.0.1,.corp,10.0.0.1"),
        (
            {"NO_PROXY": "a.corp,localhost", "no_proxy": "b.corp"},
            "localhost,127.0.0.1,a.corp,b.corp",
        ),
    ],
)
def test_no_llm_host_is_kept_from_the_proxy(inherited: dict[str, str], expected: str) -> None:
    variables = added("codex", Mode.PROXY, inherited)
    assert variables["NO_PROXY"] == variables["no_proxy"] == expected


@pytest.mark.parametrize(
    ("no_proxy", "is_kept"),
    [
        ("", False),
        ("*", True),
        ("api.openai.com", True),
        ("API.OpenAI.com:443", True),
        ("openai.com", True),
        (".openai.com", True),
        ("*.openai.com", True),
        ("penai.com", False),
        ("x.api.openai.com", False),
    ],
)
def test_what_an_entry_covers(no_proxy: str, is_kept: bool) -> None:
    assert is_direct("api.openai.com", direct_hosts(no_proxy)) is is_kept


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        (" a-long-key ", PLACEHOLDER),
        ("Bearer a-long-key", f"Bearer {PLACEHOLDER}"),
        ("a-long-key-2,a-long-key", f"{PLACEHOLDER},{PLACEHOLDER}"),
        ("short", PLACEHOLDER),
        ("a short one", "a short one"),
        ("", ""),
    ],
)
def test_secrets_are_hidden_wherever_they_stand(value: str, hidden: str) -> None:
    secrets = {"a-long-key", "a-long-key-2", "short"}
    assert without_secrets({"NAME": value}, secrets) == {"NAME": hidden}


def test_nothing_is_hidden_where_there_is_no_secret() -> None:
    assert without_secrets({"NAME": "value"}, ()) == {"NAME": "value"}
