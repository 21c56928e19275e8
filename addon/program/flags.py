"""Command-line flags for the settings, and the split at `--` before another program's arguments."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

from commands.config.model import CONFIG_FIELDS
from commands.config.sources import Risk


def add_settings(parser: ArgumentParser, *, reads_folder: bool = False) -> None:
    """Add a flag for each setting that has one.

    Some flags matter only to a program that reads the working directory: `reads_folder`.
    """
    for setting in CONFIG_FIELDS:
        if setting.flag and (reads_folder or setting.risk is not Risk.BARRED):
            parser.add_argument(setting.flag, **setting.argument())


def to_argv(flags: Mapping[str, object]) -> list[str]:
    """The given flags as arguments; `flags` holds their values by name."""
    given = [
        (setting, setting.flag, flags[setting.dest])
        for setting in CONFIG_FIELDS
        if setting.flag and flags.get(setting.dest) is not None
    ]
    return [flag if setting.is_switch else f"{flag}={value}" for setting, flag, value in given]


def split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The arguments before the first `--`, and those after it."""
    index = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:index], arguments[index + 1 :]
