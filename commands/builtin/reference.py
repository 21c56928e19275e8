"""Writes all commands as Markdown: `python -m commands.builtin.reference > docs/commands.md`."""

from collections.abc import Iterable

from commands.builtin import COMMANDS
from commands.settings import DEFAULT_PREFIX, SETTINGS, Setting

INTRODUCTION = f"""\
# Commands

<!-- Made by `python -m commands.builtin.reference > docs/commands.md`; do not edit. -->

Type a command into the newest message of a chat, alone or anywhere between other text. The proxy
runs it and takes it out; if nothing else is left, it answers by itself and no model is asked.
Several commands run from left to right. The first that fails stops the others, and the proxy
answers with the reason.

Only the last message that you have typed is searched, and of it only the text that nothing marks as
somebody else's. Text behind a tag without an end, a tag without content (`<br/>`) or a line such as
`[FILE]` or `--- a.py ---` is not searched: put the command before it. Code sent to
`/v1/completions` is not searched at all.

A command is the prefix `{DEFAULT_PREFIX}`, a name in whatever case and, if it needs them, arguments
in parentheses: `key=value` or bare words, separated by commas. A value with commas or parentheses
in it goes into quotes, single or double. What has no closing quote or parenthesis is ordinary text,
and so is a bare name that is no command or that goes on like a path (`!/usr/bin`).
"""

ABOUT_SETTINGS = """\
Of several settings in one `set` or `unset` all are applied, or none if one is wrong. The settings
of the proxy hold for everybody who uses it and, with `--config FILE`, after a restart too, just
like the failover routes; those of a session end with it. What the chat may change for everybody is
listed by `chat_may_change` in `proxy.yaml`: all of it while the proxy listens on loopback, nothing
once it listens on anything else. Each such change is a warning in the log.
"""


def reference() -> str:
    """The whole page."""
    commands = (
        (
            f"`{command.format}`".replace("|", "\\|"),
            command.summary,
            ", ".join(f"`{DEFAULT_PREFIX}{example}`" for example in command.examples),
        )
        for command in COMMANDS
    )
    return "\n".join(
        (
            INTRODUCTION,
            *_table(("command", "what it does", "examples"), commands),
            "\n## Settings\n",
            ABOUT_SETTINGS,
            *_table(("setting", "of the", "values", "what it is"), map(_setting, SETTINGS)),
        )
    )


def _setting(row: Setting) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`" for name in (row.name, *row.aliases))
    values = f"`{row.values}`".replace("|", "\\|")
    return names, row.scope, values, row.help


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    print(reference())
