"""The table of agents: what each needs in its environment and on its command line.

To recognize the agent that sent a request there is another table: `commands.agents`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from string import Template

CA_VARIABLES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Each names a file of trusted certificates, for some family of programs."""

PLACEHOLDER = "sk-placeholder"
"""A key for agents that do not start without one of their own; the proxy ignores it."""


class Mode(StrEnum):
    """How an agent reaches the proxy."""

    PROXY = "proxy"
    BASE_URL = "base-url"


@dataclass(frozen=True, slots=True)
class Setup:
    """What an agent needs in one mode. Its texts hold placeholders, see `Proxy.template_values`."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables to set."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Environment variables to set if they have no value."""
    arguments: tuple[str, ...] = ()
    """Arguments before the user's."""
    note: str | None = None
    """What the user has to do or know."""
    unsupported_reason: str | None = None
    """Why the agent cannot use this mode."""


COMMON = {
    Mode.PROXY: Setup(
        {
            "HTTPS_PROXY": "$login",
            "https_proxy": "$login",
            **dict.fromkeys(CA_VARIABLES, "$bundle"),
            "NODE_USE_ENV_PROXY": "1",
        },
        {"OPENAI_API_KEY": PLACEHOLDER},
    ),
    Mode.BASE_URL: Setup(
        {"OPENAI_BASE_URL": "$url/v1", "OPENAI_API_BASE": "$url/v1", "OPENAI_API_KEY": "$key"}
    ),
}
"""For every agent; the only setup of an agent without a row."""


@dataclass(frozen=True, slots=True)
class Agent:
    """A row of the table."""

    name: str
    executable: str
    example: str
    """A command line that uses it."""
    trusts: tuple[str, ...] = CA_VARIABLES
    """Any of these variables makes it trust a CA."""
    proxy: Setup = Setup()
    base_url: Setup = Setup()
    keeps_bang: bool = False
    """It runs a line that starts with `!` in a shell instead of sending it."""
    obeys_all_proxy: bool = False
    """It uses ALL_PROXY."""
    tried: str = ""
    """The version that `make test-agents` ran, and the mode if it was only one."""

    def setup(self, mode: Mode) -> Setup:
        """What it needs in addition to `COMMON`."""
        return self.proxy if mode is Mode.PROXY else self.base_url


_NODE = ("NODE_EXTRA_CA_CERTS",)
_OPENSSL = ("SSL_CERT_FILE",)

_OPENROUTER_TOO = Setup(defaults={"OPENROUTER_API_KEY": PLACEHOLDER})
# It overrides known providers instead of adding one, so opencode's names of models still work.
_OPENCODE_CONFIG = (
    '{"provider":{'
    '"openai":{"options":{"baseURL":"$url/v1","apiKey":$json_key}},'
    '"openrouter":{"options":{"baseURL":"$url/v1","apiKey":$json_key}}}}'
)
_CODEX_PROVIDER = (
    'model_providers.llm-proxy={name="llm-proxy",base_url="$url/v1",'
    'env_key="OPENAI_API_KEY",wire_api="responses"}'
)
_COPILOT = {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_OFFLINE": "true"}
_COPILOT_MODEL = {"COPILOT_MODEL": "gpt-4o"}
_UNSERVED_API = "it uses {}'s API, which the proxy does not serve"
_SHOWN = f"{_UNSERVED_API} but only shows; the agent needs its own key"

AGENTS = (
    Agent(
        "codex",
        "codex",
        'codex exec "hello"',
        _OPENSSL,
        Setup(defaults={"CODEX_API_KEY": PLACEHOLDER}),
        Setup(arguments=("-c", "model_provider=llm-proxy", "-c", _CODEX_PROVIDER)),
        keeps_bang=True,
        obeys_all_proxy=True,
        tried="0.169.0",
    ),
    Agent(
        "opencode",
        "opencode",
        'opencode run -m openrouter/openai/gpt-4o-mini "hello"',
        ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"),
        _OPENROUTER_TOO,
        Setup({"OPENCODE_CONFIG_CONTENT": _OPENCODE_CONFIG}),
        keeps_bang=True,
        tried="1.18.33",
    ),
    Agent(
        "kilo",
        "kilo",
        'kilo run -m openrouter/openai/gpt-4o-mini "hello"',
        _OPENSSL,
        _OPENROUTER_TOO,
        Setup({"KILO_CONFIG_CONTENT": _OPENCODE_CONFIG}),
        keeps_bang=True,
        tried="7.7.7",
    ),
    Agent(
        "qwen-code",
        "qwen",
        'qwen -p "hello"',
        _NODE,
        Setup(defaults={"OPENAI_BASE_URL": "https://api.openai.com/v1", "OPENAI_MODEL": "gpt-4o"}),
        Setup(defaults={"OPENAI_MODEL": "gpt-4o"}),
        keeps_bang=True,
        tried="0.15.10",
    ),
    Agent(
        "aider",
        "aider",
        "aider --model openai/gpt-4o",
        _OPENSSL,
        _OPENROUTER_TOO,
        Setup({"OPENROUTER_API_BASE": "$url/v1", "OPENROUTER_API_KEY": "$key"}),
        keeps_bang=True,
        obeys_all_proxy=True,
        tried="0.86.0",
    ),
    Agent(
        "cline-cli",
        "cline",
        'cline -P openrouter -k any -m openai/gpt-4o-mini "hello there"',
        ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"),
        base_url=Setup(note="once: cline auth -p openai-compatible -k $key -m MODEL -b $url/v1"),
        tried="3.0.65, as `proxy`",
    ),
    Agent(
        "continue",
        "cn",
        'cn -p "hello"',
        _NODE,
        base_url=Setup(note="in its config.yaml: provider: openai, apiBase: $url/v1"),
        tried="1.5.47, as `proxy`",
    ),
    Agent(
        "pi",
        "pi",
        'pi --model openrouter/openai/gpt-4o-mini -p "hello"',
        _NODE,
        _OPENROUTER_TOO,
        Setup(note="in ~/.pi/agent/models.json: baseUrl $url/v1, api openai-completions"),
        keeps_bang=True,
        tried="0.73.1, as `proxy`",
    ),
    Agent(
        "copilot-cli",
        "copilot",
        'copilot -p "hello"',
        ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"),
        Setup(
            _COPILOT | {"COPILOT_PROVIDER_BASE_URL": "https://api.openai.com/v1"},
            _COPILOT_MODEL | {"COPILOT_PROVIDER_API_KEY": PLACEHOLDER},
        ),
        Setup(
            _COPILOT | {"COPILOT_PROVIDER_BASE_URL": "$url/v1", "COPILOT_PROVIDER_API_KEY": "$key"},
            _COPILOT_MODEL,
        ),
        keeps_bang=True,
        tried="1.0.102",
    ),
    Agent(
        "goose",
        "goose",
        'goose run -t "hello"',
        ("GOOSE_CA_CERT_PATH",),
        Setup({"GOOSE_CA_CERT_PATH": "$bundle"}, {"GOOSE_PROVIDER": "openai"}),
        Setup(
            {"OPENAI_HOST": "$url", "OPENAI_BASE_PATH": "v1/chat/completions"},
            {"GOOSE_PROVIDER": "openai"},
        ),
    ),
    Agent(
        "crush",
        "crush",
        'crush run "hello"',
        _OPENSSL,
        _OPENROUTER_TOO,
        Setup(note="in its crush.json: a provider with type openai-compat, base_url $url/v1"),
    ),
    Agent("llm", "llm", 'llm -m gpt-4o "hello"', _OPENSSL, obeys_all_proxy=True),
    Agent(
        "gemini-cli",
        "gemini",
        'gemini -p "hello"',
        _NODE,
        Setup(note=_SHOWN.format("Gemini")),
        Setup(unsupported_reason=_UNSERVED_API.format("Gemini")),
        keeps_bang=True,
    ),
    Agent(
        "claude-code",
        "claude",
        'claude -p "hello"',
        ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"),
        Setup(note=_SHOWN.format("Anthropic")),
        Setup(unsupported_reason=_UNSERVED_API.format("Anthropic")),
        keeps_bang=True,
    ),
    Agent(
        "node",
        "node",
        "node agent.js",
        _NODE,
        Setup(
            note="before Node 24 fetch() ignores HTTPS_PROXY: use --mode base-url, or pass "
            "undici's ProxyAgent to the SDK"
        ),
        tried="20, OpenAI's SDK 6.49",
    ),
)


def find_agent(word: str) -> Agent:
    """The row for a name or a program's path; an empty row for an unknown agent."""
    name = Path(word).name
    stem = os.path.splitext(name)[0].lower()
    known = (agent for agent in AGENTS if stem in (agent.name, agent.executable))
    return next(known, Agent(name, word, name))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Substitute the `$placeholders` in a text of a `Setup`."""
    return Template(text).substitute(values)
