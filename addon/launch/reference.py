"""Writes the guide to agents as Markdown: `python -m addon.launch.reference > docs/agents.md`."""

import shlex
from collections.abc import Iterable, Mapping

from addon.launch.agents import AGENTS, CA_VARIABLES, COMMON, Agent, Mode, Setup

INTRODUCTION = """\
# Agents

<!-- Made by `python -m addon.launch.reference > docs/agents.md`; do not edit. -->

    llm-proxy run -- codex                    # as an HTTPS proxy
    llm-proxy run --mode base-url -- codex    # by its base URL

starts an agent that uses the proxy. If a proxy runs at the configured address, the agent uses that
one. Otherwise `run` starts a proxy in the background, with the settings before `--`, and stops it
after the agent. The agent has the terminal, and `run` returns its exit code. No configuration file
changes: `run` sets the agent's environment and command line, and prints what you have to do
yourself. To share a proxy among agents, start `llm-proxy` by itself, with a client key in
`LLM_INTERACTIVE_PROXY_API_KEY`, and set the same variable for the agents.

    eval "$(llm-proxy env codex)"             # the same environment for the current shell
    llm-proxy doctor codex                    # find what is wrong, and how to fix it

Besides the agent's own exit code `run` returns 2 for wrong usage or settings, 125 if no proxy can
be used, 126 if the agent cannot run, 127 if it is not found, and 128 + n after signal n.

`run`, `env` and `doctor` do not read `.env` and `proxy.yaml` in the working directory, which may be
an untrusted repository. Keep settings in `~/.config/llm-proxy`, or name a file with `--settings`.

`run` replaces configured API keys in the agent's environment with a placeholder. An agent that
needs a key of its own gets a placeholder if it has none.
"""

COMMON_NOTE = """
In both modes `NO_PROXY` holds this machine and the entries it had before, without the LLM hosts.
`$url` is the proxy's URL, `$login` that URL with the client key as password
(`http://x:KEY@127.0.0.1:8000`), `$key` the client key (`$json_key` in quotes), and `$bundle` a file
with mitmproxy's CA and all certificates that were trusted before.

Agents without a row get only this, which suits OpenAI's SDKs and programs built on them. In VS Code
(Cline, Roo Code, Kilo Code, Continue) choose the provider "OpenAI Compatible" with the base URL
`http://127.0.0.1:8000/v1` and the client key.
"""

ABOUT_TRIED = """
`make test-agents` runs the versions under *tried* against simulated models, in both modes unless
one is named. It tries a prompt, a command alone and before other words, a resumed conversation (not
with Cline), and a tool call (not with aider, which has no tools). It also runs OpenAI's Python SDK
3.54, opencode with both of its providers, and Codex when it compacts a history. The other rows
follow the agents' documentation.\
"""

ABOUT_BANG = """
## A leading `!`

Some agents run a line that begins with `!` in a shell instead of sending it. Type something before
the command (`. !/help`; the proxy ignores punctuation around a command), or choose another prefix,
such as `COMMAND_PREFIX=%/`. In headless mode (`exec`, `run`, `-p`) all of them but aider send the
line. These agents do it:
{agents}.
"""


def reference() -> str:
    """The page."""
    return "\n".join(
        (
            INTRODUCTION,
            "## Every agent\n",
            *_table(("mode", "in its environment"), map(_common, Mode)),
            COMMON_NOTE,
            "## Each agent\n",
            *_table(
                (
                    *("agent", "tried", "start", "trusts the CA by"),
                    *(f"with `--mode {mode}`" for mode in Mode),
                ),
                map(_agent, AGENTS),
            ),
            ABOUT_TRIED,
            ABOUT_BANG.format(agents=", ".join(each.name for each in AGENTS if each.keeps_bang)),
        )
    ).rstrip()


def _common(mode: Mode) -> tuple[str, ...]:
    return f"`{mode}`", _setup(COMMON[mode])


def _agent(agent: Agent) -> tuple[str, ...]:
    trusts = "any" if agent.trusts == CA_VARIABLES else _codes(agent.trusts)
    setups = (_setup(agent.setup(mode)) for mode in Mode)
    return agent.name, agent.tried, f"`llm-proxy run -- {agent.example}`", trusts, *setups


def _setup(setup: Setup) -> str:
    parts = (
        _codes(_assignments(setup.variables)),
        f"if unset {_codes(_assignments(setup.defaults))}" if setup.defaults else "",
        f"arguments {_codes([shlex.join(setup.arguments)])}" if setup.arguments else "",
        setup.note or "",
        f"unsupported: {setup.unsupported_reason}" if setup.unsupported_reason else "",
    )
    return "; ".join(filter(None, parts))


def _assignments(variables: Mapping[str, str]) -> Iterable[str]:
    return (f"{name}={value}" for name, value in variables.items())


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    print(reference())
