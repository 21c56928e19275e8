"""The settings as flags on a command line, and what stands behind `--` for another program."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

from commands.config.model import CONFIG_FIELDS
from commands.config.sources import Risk


def add_settings(parser: ArgumentParser, *, reads_folder: bool = False) -> None:
    """A flag for each setting that has one; some are only for who reads the working directory."""
    for setting in CONFIG_FIELDS:
        if setting.flag and (reads_folder or setting.risk is not Risk.BARRED):
            parser.add_argument(setting.flag, **setting.argument())


def to_argv(flags: Mapping[str, object]) -> list[str]:
    """The flags that were given, as one would type them; `flags` has the values by name."""
    given = [
        (setting, setting.flag, flags[setting.dest])
        for setting in CONFIG_FIELDS
        if setting.flag and flags.get(setting.dest) is not None
    ]
    return [flag if setting.is_switch else f"{flag}={value}" for setting, flag, value in given]


def split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Our flags, and what stands behind the first `--`."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]
