"""The guide to agents as Markdown: `python -m addon.launch.reference > docs/agents.md`."""

import shlex
from collections.abc import Iterable, Mapping

from addon.launch.agents import AGENTS, CA_VARIABLES, COMMON, Agent, Mode, Setup

INTRODUCTION = """\
# Agents

<!-- Made by `python -m addon.launch.reference > docs/agents.md`; do not edit. -->

    llm-proxy run -- codex                    # as an HTTPS proxy
    llm-proxy run --mode base-url -- codex    # by its base URL

starts an agent so that it uses the proxy. One that runs already at the configured address is used
as it is; else one is started with the settings given before `--`, in the background, for as long as
the agent runs. The agent has the terminal, its exit code is passed on, and no configuration file is
changed: all is in the agent's environment or on its command line. What cannot be told there is
printed. If several agents are to share a proxy, start `llm-proxy` by itself, with a client key in
`LLM_INTERACTIVE_PROXY_API_KEY` that is set for the agents too.

    eval "$(llm-proxy env codex)"             # the same environment for the shell you are in
    llm-proxy doctor codex                    # what is wrong, and the cure

Exit codes of `run` beside the agent's own: 2 for wrong usage or settings, 125 if there is no proxy
to be had, 126 and 127 if the agent cannot be run or is not found, 128 + n if signal n ended it.

`run`, `env` and `doctor` do not read `.env` and `proxy.yaml` of the working directory, which may be
a stranger's repository. Keep settings in `~/.config/llm-proxy`, or name a file with `--settings`.

Configured upstream keys are hidden wherever they stand in the agent's environment. Agents
that want a key of their own get a placeholder if there is none.
"""

COMMON_NOTE = """
In both modes `NO_PROXY` is set to this machine and to what was in it, without the LLM hosts.
`$url` is the proxy's address, `$login` the same with the client key as password
(`http://x:KEY@127.0.0.1:8000`), `$key` that key (`$json_key` in quotes), and `$bundle` a file
with mitmproxy's CA behind everything that was trusted before.

Programs that are not listed get this much, which suits the SDKs of OpenAI and what is built on
them. In VS Code (Cline, Roo Code, Kilo Code, Continue) choose the provider "OpenAI Compatible" with
the base URL `http://127.0.0.1:8000/v1` and the client key.
"""

ABOUT_TRIED = """
The versions under *tried* were run for real, by `make test-agents` with simulated models, in both
modes if none is named: a prompt, a command alone and before other words, a conversation that is
taken up again (but for Cline), and a tool that the model calls (aider has none). So were OpenAI's
Python SDK 3.54, opencode with either of its providers, and Codex with a history that it sums up.
The other rows are made after the agents' documentation.\
"""

ABOUT_BANG = """
## A leading `!`

Some agents take a line that begins with `!` for a shell command, so that it never gets to the
proxy. Put something before the command (`. !/help`; punctuation around a command does not count),
or choose another prefix, such as `COMMAND_PREFIX=%/`. In headless mode (`exec`, `run`, `-p`) all
but aider send the line as it is. These are the agents:
{agents}.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join(
        (
            INTRODUCTION,
            "## What every agent gets\n",
            *_table(("mode", "in its environment"), map(_common, Mode)),
            COMMON_NOTE,
            "## What is particular to each\n",
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
        f"no: {setup.unsupported_reason}" if setup.unsupported_reason else "",
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
