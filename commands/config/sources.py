"""Finds the value of each configuration field in all levels, and how the user wrote it.

Values are not checked here.
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
from commands.config.yaml_file import KeyPath, YamlFile

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
    """The risk of a value from the working directory of a stranger."""

    NONE = "changes how the proxy works"
    NAMED = "reaches files or hosts, or removes a protection: named in a warning at the start"
    ADDRESS = "receives prompts, so it is named; also secrets, but only equally trusted ones"
    SECRET = "sent only to an equally trusted address"
    BARRED = "trusts the working directory, which must not decide that"


@dataclass(frozen=True, slots=True)
class ConfigField:
    """How users set a field of the configuration, and its help."""

    help: str
    risk: Risk
    flag: str | None = None
    env: str | None = None
    metavar: str | None = None
    const: bool | str | None = None
    """The value of the flag alone: a bool makes it a switch, a text makes its value optional."""
    read: Callable[[str, Mapping[str, str]], Key | tuple[Key, ...] | None] | None = None
    """Reads a secret from `env` and the variables that are set; false if there is none."""
    in_yaml: bool = True
    carries: str | None = None
    """The field whose secrets are sent to this address."""
    risky_part: str | None = None
    """The only part of the value that has the risk."""
    name: str = ""
    default: object = None

    @property
    def dest(self) -> str:
        """The name of the flag's value: that of the field, in the singular for keys."""
        return self.name.removesuffix("s") if self.read else self.name

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return isinstance(self.const, bool)

    def argument(self) -> dict[str, Any]:
        """Keywords for `ArgumentParser.add_argument(flag, ...)`; values remain text."""
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
    """A value that the user set."""

    value: object
    origin: str
    """How the user wrote it, the beginning of error messages."""
    is_trusted: bool = True
    """Whether it comes from outside the working directory; for secrets, whether one does."""
    yaml: YamlFile | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """All values that the user set, by field."""

    given: Mapping[str, Given]
    errors: list[str]
    """Lines about unexpected values and malformed keys."""
    secrets: Mapping[str, frozenset[str]]
    """All secrets by field, also overridden ones."""
    files: tuple[str, ...]
    """The files that were read."""

    def origin(self, path: KeyPath, value: object) -> str:
        """How the user wrote the value at `path`, which begins with the field's name."""
        given = self.given[str(path[0])]
        if len(path) > 1 and given.yaml:  # only files have nested values
            return in_yaml(given.yaml, path, value)
        return given.origin


def read_sources(
    table: Sequence[ConfigField],
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    directory: Path | None,
) -> Sources:
    """Find all values; of several values for one field the nearest level's counts.

    `flags` holds values by `ConfigField.dest`, None for an absent flag. Raises ConfigError if a
    file cannot be read.
    """
    file = flags.get("settings_file")
    levels = read_levels(None if file is None else str(file), environ, directory)
    variables = {name: each for level in reversed(levels) for name, each in level.variables.items()}
    given: dict[str, Given] = {}
    errors = [line for level in levels for line in _unexpected_keys(level, table)]
    for field in table:
        try:
            found = _from_flags(field, flags)
            if found is None and field.read:
                found = _secret(field, variables)
            elif found is None:
                found = next(filter(None, (_from_level(field, level) for level in levels)), None)
        except InvalidKey as error:
            variable = variables.get(error.name)
            origin = variable.origin(error.name) if variable else error.name
            errors.append(f"{origin}: {error.reason}")
        else:
            if found:
                given[field.name] = found
    secrets = {each.name: _all_secrets(each, flags, levels) for each in table if each.read}
    return Sources(given, errors, secrets, tuple(name for level in levels for name in level.files))


def _from_flags(field: ConfigField, flags: Mapping[str, object]) -> Given | None:
    value = flags.get(field.dest)
    if field.flag is None or value is None:
        return None
    if field.read:
        return Given(field.read(field.flag, {field.flag: str(value).strip()}), field.flag)
    origin = field.flag if field.is_switch else f"{field.flag} {shown(value)}"
    return Given(value, origin)


def _secret(field: ConfigField, variables: Mapping[str, Variable]) -> Given | None:
    """The keys of a field, from all levels. Its origin is that of a trusted one, if any."""
    assert field.read
    assert field.env
    secret = field.read(field.env, {name: each.value for name, each in variables.items()})
    if not secret:
        return None
    names = [key.name for key in ([secret] if isinstance(secret, Key) else secret)]
    name = max(names, key=lambda name: variables[name].is_trusted)
    return Given(secret, variables[name].origin(name), variables[name].is_trusted)


def _all_secrets(
    field: ConfigField, flags: Mapping[str, object], levels: Sequence[Level]
) -> frozenset[str]:
    numbered = re.compile(rf"{field.env}(_[0-9]+)?")
    found = [
        variable.value
        for level in levels
        for name, variable in level.variables.items()
        if numbered.fullmatch(name)
    ]
    flag = flags.get(field.dest)
    return frozenset([*found, *([str(flag).strip()] if flag else [])])


def _from_level(field: ConfigField, level: Level) -> Given | None:
    if field.env and field.env in level.variables:
        variable = level.variables[field.env]
        origin = variable.origin(f"{field.env}={shown(variable.value)}")
        return Given(variable.value, origin, level.is_trusted)
    value = level.yaml.values.get(field.name)
    if value is None or not field.in_yaml:
        return None
    return Given(value, in_yaml(level.yaml, (field.name,), value), level.is_trusted, level.yaml)


def in_yaml(file: YamlFile, path: KeyPath, value: object) -> str:
    """How the user wrote the value at `path` of the file."""
    names = [step for step in path if isinstance(step, str)]
    if names[-1] == "[key]":  # pydantic's way to say that the key is wrong, which is the value
        del names[-2:]
    return ": ".join([file.where(path), *names, shown(value)])


def to_line(details: ErrorDetails, origin: str) -> str:
    """What pydantic finds wrong, behind how the user wrote the value."""
    return f"{origin}: {details.get('ctx', {}).get('error', details['msg'])}"


def _unexpected_keys(level: Level, table: Sequence[ConfigField]) -> Iterator[str]:
    """Lines about what this level may not have: unknown names, trust in itself."""
    allowed = [field.name for field in table if field.in_yaml]
    for name in level.yaml.values:
        if name not in allowed:
            yield f"{level.yaml.where((name,))}: {_why_unexpected(name, table, allowed)}"
    barred = [] if level.is_trusted else [row for row in table if row.risk is Risk.BARRED]
    for field in barred:
        if field.env and field.env in level.variables:
            origin = level.variables[field.env].origin(field.env)
            yield f"{origin}: does not count here, use {field.flag} or the environment"


def _why_unexpected(name: str, table: Sequence[ConfigField], allowed: Sequence[str]) -> str:
    normal = name.lower().replace("-", "_")
    for field in table:
        own_names = (field.dest, (field.env or field.dest).lower())
        if not field.in_yaml and normal.startswith(own_names):
            right = f"{field.env} in the environment or .env" if field.env else field.flag
            return f"'{shown(name)}' does not belong here, use {right}"
    similar = difflib.get_close_matches(normal, allowed, n=1)
    return f"unknown setting '{shown(name)}'" + (
        f"; did you mean '{similar[0]}'?" if similar else ""
    )
