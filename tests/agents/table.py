"""The agents that are run: a row of `AGENTS` tells all that is particular to one."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from addon.launch.agents import Mode
from tests.agents.installing import npm, pip

HERE = shlex.quote(str(Path(__file__).parent))
COMMAND = "printf %s-%s it worked"
"""Harmless, and what it prints stands nowhere in the prompt."""
PRINTED = "it-worked"


@dataclass(frozen=True, slots=True)
class Agent:
    """A row. `install` gives the folder of the agent's programs.

    `start` is its command line up to the prompt; where it has a gap comes `resume`, if an earlier
    conversation is to go on. `tool` is a call of its shell, `long_tool` one with so long a result
    that the agent sums the history up. `variables`, and `files` in its home, are what it needs to
    run without a human. `before_command` keeps it from taking a `!` for its own.
    """

    name: str
    install: Callable[[], Path]
    start: str
    resume: str = ""
    tool: str = ""
    long_tool: str = ""
    modes: tuple[Mode, ...] = tuple(Mode)
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    before_command: str = ""

    @property
    def executable(self) -> str:
        return shlex.split(self.start)[0]

    def command(self, text: str, *, resumes: bool) -> list[str]:
        """What to run for a turn."""
        return [*shlex.split(self.start.format(self.resume if resumes else "")), text]


_NODE_SDK = partial(npm, "openai@^6", "undici@^6")
_BASH = f"bash(command={COMMAND}, description=it)"
_SHELL = f"shell(command={COMMAND})"
_CONTINUE_CONFIG = """\
name: test
version: 0.0.1
schema: v1
models:
  - {name: mini, provider: openai, model: gpt-4o-mini, apiKey: sk-placeholder, roles: [chat]}
"""


def _here() -> Path:
    return Path(sys.executable).parent


AGENTS = (
    Agent(
        "codex",
        partial(npm, "@openai/codex@~0.169"),
        "codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox "
        "-m gpt-4o-mini -c model_auto_compact_token_limit=12000 {}",
        "resume --last",
        f"exec_command(cmd={COMMAND})",
        "exec_command(cmd=seq 9000)",
    ),
    *(
        Agent(
            f"opencode-{provider}",
            partial(npm, "opencode-ai@~1.18"),
            f"opencode run -m {provider}/gpt-4o-mini {{}}",
            "--continue",
            _BASH,
        )
        for provider in ("openai", "openrouter/openai")
    ),
    *(
        Agent(f"{name}-{api}", install, f"{program} {api} {{}}", "--resume", _SHELL)
        for name, install, program in (
            ("python-sdk", _here, f"python {HERE}/sdk_agent.py"),
            ("node-sdk", _NODE_SDK, f"node {HERE}/sdk_agent.mjs"),
        )
        for api in ("chat", "responses")
    ),
    Agent(
        "qwen-code",
        partial(npm, "@qwen-code/qwen-code@~0.15"),
        "qwen --auth-type openai --yolo {} -p",
        "--continue",
        f"run_shell_command(command={COMMAND}, is_background=false)",
        variables={"OPENAI_MODEL": "gpt-4o-mini"},
    ),
    *(
        Agent(
            f"aider-{provider}",
            partial(pip, "aider-chat~=0.86.0", "3.12"),
            f"aider --model {provider}/gpt-4o-mini --no-git --yes-always --no-pretty "
            "--no-check-update --no-analytics --no-show-model-warnings {} --message",
            "--restore-chat-history",
            before_command=". ",
        )
        for provider in ("openai", "openrouter/openai")
    ),
    Agent(
        "kilo",
        partial(npm, "@kilocode/cli@~7.7"),
        "kilo run --auto -m openrouter/openai/gpt-4o-mini {}",
        "--continue",
        _BASH,
    ),
    Agent(
        "copilot-cli",
        partial(npm, "@github/copilot@~1.0"),
        "copilot --allow-all-tools {} -p",
        "--continue",
        _BASH,
        variables={"COPILOT_MODEL": "gpt-4o-mini"},
    ),
    Agent(
        "pi",
        partial(npm, "@mariozechner/pi-coding-agent@~0.73"),
        "pi --model openrouter/openai/gpt-4o-mini {} -p",
        "--continue",
        f"bash(command={COMMAND})",
        modes=(Mode.PROXY,),
    ),
    Agent(
        "cline-cli",
        partial(npm, "cline@~3.0"),
        "cline -P openrouter -k any -m openai/gpt-4o-mini",
        tool=f'run_commands(commands=["{COMMAND}"])',
        modes=(Mode.PROXY,),
    ),
    Agent(
        "continue",
        partial(npm, "@continuedev/cli@~1.5"),
        "cn --config config.yaml --auto {} -p",
        "--resume",
        f"Bash(command={COMMAND})",
        modes=(Mode.PROXY,),
        files={"config.yaml": _CONTINUE_CONFIG},
    ),
)
