"""Where the value of each setting comes from, of all that was given.

Takes the table of settings and finds the value of each; whether it is right is not known here, but
how the user wrote it is, so that an error can say so.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import ErrorDetails

from backends.keys import InvalidKey, Key
from commands.config.levels import ConfigError, Level, Variable, read_levels, shown
from commands.config.yaml_file import Place, YamlFile

__all__ = [
    "ConfigError",
    "ConfigField",
    "Given",
    "Risk",
    "Sources",
    "in_yaml",
    "read_sources",
    "to_line",
]


class Risk(Enum):
    """What a setting may do if the working directory is a stranger's."""

    NONE = "it makes the proxy work in another way"
    NAMED = "it reaches files or hosts, or takes a protection away: it is named at the start"
    ADDRESS = "prompts are sent there, so it is named; and secrets, but none that is trusted more"
    SECRET = "it is only sent to an address that is trusted as much"
    BARRED = "it trusts the working directory, which cannot do that itself"


@dataclass(frozen=True, slots=True)
class ConfigField:
    """How people give a setting, and what they are told about it.

    `const` is what the flag alone means: True or False makes it a switch, a text makes its value
    optional. `read` is there for secrets: given `env` and the variables that are set, it returns
    the secret, or something false. `carries` names the setting whose secrets are sent to this
    address, `risky_part` the only part of the value that has the risk.
    """

    help: str
    risk: Risk
    flag: str | None = None
    env: str | None = None
    metavar: str | None = None
    const: bool | str | None = None
    read: Callable[[str, Mapping[str, str]], Key | tuple[Key, ...] | None] | None = None
    in_yaml: bool = True
    carries: str | None = None
    risky_part: str | None = None
    name: str = ""
    default: object = None

    @property
    def dest(self) -> str:
        """Under what the flag's value is kept: the setting's name, in the singular for keys."""
        return self.name.removesuffix("s") if self.read else self.name

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return isinstance(self.const, bool)

    def argument(self) -> dict[str, Any]:
        """Keywords for `ArgumentParser.add_argument(setting.flag, ...)`; values remain text."""
        common = {"dest": self.dest, "const": self.const, "help": self._full_help()}
        if self.is_switch:
            return {"action": "store_const", **common}
        return {"metavar": self.metavar, "nargs": "?" if self.const else None, **common}

    def _full_help(self) -> str:
        notes = []
        if self.default and not self.is_switch:
            notes.append(f"default {self.default}")
        if self.env:
            meaning = f"={self.const}".lower() if self.is_switch else ""
            notes.append(f"environment {self.env}{meaning}")
        return f"{self.help} ({', '.join(notes)})" if notes else self.help


class Given(NamedTuple):
    """A value that somebody gave, and what errors about it begin with: how it was written.

    `is_trusted`: it does not come from the working directory; of secrets, one does not.
    """

    value: object
    origin: str
    is_trusted: bool = True
    yaml: YamlFile | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given, by setting; `faults` are lines about what should not be there at all.

    `secrets` has every secret by its setting, also those that another one has replaced; `files`
    were read.
    """

    given: Mapping[str, Given]
    faults: list[str]
    secrets: Mapping[str, frozenset[str]]
    files: tuple[str, ...]

    def origin(self, place: Place, value: object) -> str:
        """How the user wrote the value at `place`, which begins with the setting's name."""
        given = self.given[str(place[0])]
        if len(place) > 1 and given.yaml:  # only files have values inside of values
            return in_yaml(given.yaml, place, value)
        return given.origin


def read_sources(
    table: Sequence[ConfigField],
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    directory: Path | None,
) -> Sources:
    """All that was given; of several values for one setting the one from the nearest level.

    `flags` has values by `ConfigField.dest`, None for a flag not given. Raises ConfigError if a file
    cannot be read.
    """
    file = flags.get("settings_file")
    levels = read_levels(None if file is None else str(file), environ, directory)
    variables = {name: each for level in reversed(levels) for name, each in level.variables.items()}
    given: dict[str, Given] = {}
    faults = [line for level in levels for line in _unexpected_keys(level, table)]
    for setting in table:
        try:
            found = _from_flags(setting, flags)
            if found is None and setting.read:
                found = _secret(setting, variables)
            elif found is None:
                found = next(filter(None, (_from_level(setting, level) for level in levels)), None)
        except InvalidKey as error:
            variable = variables.get(error.name)
            origin = variable.origin(error.name) if variable else error.name
            faults.append(f"{origin}: {error.reason}")
        else:
            if found:
                given[setting.name] = found
    secrets = {each.name: _all_secrets(each, flags, levels) for each in table if each.read}
    return Sources(given, faults, secrets, tuple(name for level in levels for name in level.files))


def _from_flags(setting: ConfigField, flags: Mapping[str, object]) -> Given | None:
    value = flags.get(setting.dest)
    if setting.flag is None or value is None:
        return None
    if setting.read:
        return Given(setting.read(setting.flag, {setting.flag: str(value).strip()}), setting.flag)
    origin = setting.flag if setting.is_switch else f"{setting.flag} {shown(value)}"
    return Given(value, origin)


def _secret(setting: ConfigField, variables: Mapping[str, Variable]) -> Given | None:
    """The keys of a setting, from whatever level; told of is one that is trusted, if any."""
    assert setting.read
    assert setting.env
    secret = setting.read(setting.env, {name: each.value for name, each in variables.items()})
    if not secret:
        return None
    names = [key.name for key in ([secret] if isinstance(secret, Key) else secret)]
    name = max(names, key=lambda name: variables[name].is_trusted)
    return Given(secret, variables[name].origin(name), variables[name].is_trusted)


def _all_secrets(
    setting: ConfigField, flags: Mapping[str, object], levels: Sequence[Level]
) -> frozenset[str]:
    numbered = re.compile(rf"{setting.env}(_[0-9]+)?")
    found = [
        variable.value
        for level in levels
        for name, variable in level.variables.items()
        if numbered.fullmatch(name)
    ]
    flag = flags.get(setting.dest)
    return frozenset([*found, *([str(flag).strip()] if flag else [])])


def _from_level(setting: ConfigField, level: Level) -> Given | None:
    if setting.env and setting.env in level.variables:
        variable = level.variables[setting.env]
        origin = variable.origin(f"{setting.env}={shown(variable.value)}")
        return Given(variable.value, origin, level.is_trusted)
    value = level.yaml.values.get(setting.name)
    if value is None or not setting.in_yaml:
        return None
    return Given(value, in_yaml(level.yaml, (setting.name,), value), level.is_trusted, level.yaml)


def in_yaml(file: YamlFile, place: Place, value: object) -> str:
    """How the value at `place` is written in the file."""
    names = [step for step in place if isinstance(step, str)]
    if names[-1] == "[key]":  # pydantic's way to say that the key is wrong, which is the value
        del names[-2:]
    return ": ".join([file.where(place), *names, shown(value)])


def to_line(fault: ErrorDetails, origin: str) -> str:
    """What pydantic finds wrong, behind how the user wrote the value."""
    return f"{origin}: {fault.get('ctx', {}).get('error', fault['msg'])}"


def _unexpected_keys(level: Level, table: Sequence[ConfigField]) -> Iterator[str]:
    """What should not be at this level: names that its file cannot have, trust in itself."""
    allowed = [setting.name for setting in table if setting.in_yaml]
    for name in level.yaml.values:
        if name not in allowed:
            yield f"{level.yaml.where((name,))}: {_why_unexpected(name, table, allowed)}"
    barred = [] if level.is_trusted else [row for row in table if row.risk is Risk.BARRED]
    for setting in barred:
        if setting.env and setting.env in level.variables:
            origin = level.variables[setting.env].origin(setting.env)
            yield f"{origin}: does not count here, use {setting.flag} or the environment"


def _why_unexpected(name: str, table: Sequence[ConfigField], allowed: Sequence[str]) -> str:
    field = name.lower().replace("-", "_")
    for setting in table:
        own_names = (setting.dest, (setting.env or setting.dest).lower())
        if not setting.in_yaml and field.startswith(own_names):
            right = f"{setting.env} in the environment or .env" if setting.env else setting.flag
            return f"'{shown(name)}' does not belong here, use {right}"
    similar = difflib.get_close_matches(field, allowed, n=1)
    return f"unknown setting '{shown(name)}'" + (
        f"; did you mean '{similar[0]}'?" if similar else ""
    )
