"""Writes all commands as Markdown: `python -m commands.builtin.reference > docs/commands.md`."""

from collections.abc import Iterator

from commands.builtin import COMMANDS
from commands.language.registry import Command
from commands.language.scanner import MAX_ARGUMENTS
from commands.settings import DEFAULT_PREFIX, SETTINGS, Setting

INTRODUCTION = f"""\
# Commands

<!-- Made by `python -m commands.builtin.reference > docs/commands.md`; do not edit. -->

Type a command into a chat message, alone or between other text. The proxy runs it and removes it
from the request. If nothing else is left, the proxy answers, and no model gets a request.

## How to write one

- A command is the prefix `{DEFAULT_PREFIX}`, a name in any case, and arguments in parentheses if it
  takes any.
- Arguments are `key=value` or single words, separated by commas. Put a value that contains commas
  or parentheses into single or double quotes. All arguments have up to {MAX_ARGUMENTS} characters.
- Text without a closing quote or parenthesis is ordinary text. So is a bare name that is unknown or
  continues like a path (`!/usr/bin`).

## Which commands run

- Only those in the last message that you typed. Earlier ones are removed from the request.
- Only those in text that you typed: not in files, tool results or other text that agents add.
- None behind a tag without an end, a tag without content (`<br/>`), or a line such as `[FILE]` or
  `--- a.py ---`: write the command in front of it.
- None in code sent to `/v1/completions`.
- Several commands run from left to right. The first that fails stops the others, and the proxy
  answers with the reason.
- A turn that the agent sends again does not run again, as long as its changes are in force.

## All commands
"""

ABOUT_SETTINGS = """\
## Settings

`set` and `unset` apply all their settings, or none if one is wrong.

- Settings of the **session** apply to one conversation and end with it.
- Settings of the **proxy** apply to all clients, as the failover routes do. With `--config FILE`
  they outlive a restart. Each change is a warning in the log.
- `chat_may_change` in `proxy.yaml` lists what the chat may change for all clients. By default that
  is everything while the proxy listens on loopback only, and nothing otherwise.
"""


def reference() -> str:
    """The whole page."""
    commands = (line for command in COMMANDS for line in _command(command))
    settings = (line for setting in SETTINGS for line in _setting(setting))
    return "\n".join((INTRODUCTION, *commands, ABOUT_SETTINGS, *settings)).rstrip("\n")


def _command(command: Command) -> Iterator[str]:
    yield f"### {command.name}\n"
    yield f"{_sentence(command.summary)}\n"
    if command.format != command.name:
        yield f"    {DEFAULT_PREFIX}{command.format}\n"
    examples = " or ".join(f"`{DEFAULT_PREFIX}{example}`" for example in command.examples)
    yield f"Example: {examples}\n"


def _setting(setting: Setting) -> Iterator[str]:
    aliases = "".join(f", also `{alias}`" for alias in setting.aliases)
    yield f"### {setting.name}\n"
    yield f"{_sentence(setting.help)}\n"
    yield f"Of the {setting.scope}; values: `{setting.values}`{aliases}\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


if __name__ == "__main__":
    print(reference())
