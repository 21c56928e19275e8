"""Where settings come from: flags, environment, `.env` and `proxy.yaml`, in this order.

Takes the table of settings and finds the value of each; whether it is right is not known here, but
how the user wrote it is, so that an error can say so.
"""

import difflib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dotenv

from backends.keys import InvalidKey
from commands.yaml_file import Place, YamlError, YamlFile, read_yaml

YAML_NAME = "proxy.yaml"
YAML_VARIABLE = "LLM_PROXY_SETTINGS"
"""Names the file to read where the working directory has no `proxy.yaml`."""


class SettingsError(Exception):
    """What is wrong with the settings, one line for each fault, fit for the user's eyes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How people give a setting, and what they are told about it.

    `const` is what the flag alone means: True or False makes it a switch, a text makes its value
    optional. `read` is there for secrets: given `env` and the variables that are set, it returns
    the secret, or something false.
    """

    help: str
    flag: str | None = None
    env: str | None = None
    metavar: str | None = None
    const: bool | str | None = None
    read: Callable[[str, Mapping[str, str]], object] | None = None
    in_yaml: bool = True
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
    """A value that somebody gave, and what errors about it begin with: how it was written."""

    value: object
    written: str


class Variable(NamedTuple):
    """An environment variable; `origin` has a gap for what is to be told of it."""

    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given, by setting; `faults` are lines about what should not be there at all."""

    given: Mapping[str, Given]
    faults: list[str]
    file: YamlFile

    def written(self, place: Place, value: object) -> str:
        """How the user wrote the value at `place`, which begins with the setting's name."""
        if len(place) > 1:  # only the file has values inside of values
            return _in_yaml(self.file, place, value)
        return self.given[str(place[0])].written


def read_sources(
    table: Sequence[Setting],
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    directory: Path,
) -> Sources:
    """All that was given; of several values for one setting the one from the first source.

    `flags` has values by `Setting.dest`, None for a flag not given. Raises SettingsError if a file
    cannot be read.
    """
    variables = _read_variables(environ, directory)
    file = _read_yaml_file(variables, directory)
    given: dict[str, Given] = {}
    faults = [f"{file.where((name,))}: {why}" for name, why in _misplaced(file, table)]
    for setting in table:
        try:
            found = (
                _from_flags(setting, flags)
                or _from_variables(setting, variables)
                or _from_yaml(setting, file)
            )
        except InvalidKey as error:
            variable = variables.get(error.name)
            written = variable.origin.format(error.name) if variable else error.name
            faults.append(f"{written}: {error.reason}")
        else:
            if found:
                given[setting.name] = found
    return Sources(given, faults, file)


def _from_flags(setting: Setting, flags: Mapping[str, object]) -> Given | None:
    value = flags.get(setting.dest)
    if setting.flag is None or value is None:
        return None
    if setting.read:
        return Given(setting.read(setting.flag, {setting.flag: str(value).strip()}), setting.flag)
    written = setting.flag if setting.is_switch else f"{setting.flag} {_shown(value)}"
    return Given(value, written)


def _from_variables(setting: Setting, variables: Mapping[str, Variable]) -> Given | None:
    if setting.env is None:
        return None
    if setting.read:
        secret = setting.read(setting.env, {name: each.value for name, each in variables.items()})
        return Given(secret, setting.env) if secret else None
    variable = variables.get(setting.env)
    if variable is None:
        return None
    return Given(variable.value, variable.origin.format(f"{setting.env}={_shown(variable.value)}"))


def _from_yaml(setting: Setting, file: YamlFile) -> Given | None:
    value = file.values.get(setting.name)
    if value is None or not setting.in_yaml:
        return None
    return Given(value, _in_yaml(file, (setting.name,), value))


def _in_yaml(file: YamlFile, place: Place, value: object) -> str:
    names = [step for step in place if isinstance(step, str)]
    return ": ".join([file.where(place), *names, _shown(value)])


def _shown(value: object) -> str:
    """The value on one line, and visible even if it is empty."""
    text = str(value)
    return text if text and text.isprintable() else repr(text)


def _misplaced(file: YamlFile, table: Sequence[Setting]) -> Iterator[tuple[str, str]]:
    """The names at the top of the file that do not belong there, each with the reason."""
    allowed = [setting.name for setting in table if setting.in_yaml]
    for name in file.values:
        if name not in allowed:
            yield name, _why_misplaced(name, table, allowed)


def _why_misplaced(name: str, table: Sequence[Setting], allowed: Sequence[str]) -> str:
    field = name.lower().replace("-", "_")
    for setting in table:
        own_names = (setting.dest, (setting.env or setting.dest).lower())
        if not setting.in_yaml and field.startswith(own_names):
            right = f"{setting.env} in the environment or .env" if setting.env else setting.flag
            return f"'{name}' does not belong here, use {right}"
    similar = difflib.get_close_matches(field, allowed, n=1)
    return f"unknown setting '{name}'" + (f"; did you mean '{similar[0]}'?" if similar else "")


def _read_variables(environ: Mapping[str, str], directory: Path) -> dict[str, Variable]:
    """The variables that have a value: blank ones count as not set."""
    text = _read_text(directory / ".env") or ""
    # Not interpolated: a `$` in a key is part of it, and there is no way to hand over `environ`.
    from_file = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {
        name: Variable(value.strip(), origin)
        for origin, values in ((".env: {}", from_file), ("{} (environment)", environ))
        for name, value in values.items()
        if value and value.strip()
    }


def _read_yaml_file(variables: Mapping[str, Variable], directory: Path) -> YamlFile:
    """`proxy.yaml` of the directory, else the file the environment names, else an empty one."""
    name, text = YAML_NAME, _read_text(directory / YAML_NAME)
    if text is None and YAML_VARIABLE in variables:
        name, origin = variables[YAML_VARIABLE]
        text = _read_text(directory / os.path.expanduser(name))
        if text is None:
            written = origin.format(f"{YAML_VARIABLE}={name}")
            raise SettingsError(f"{written}: must be the path of a file that exists")
    try:
        return read_yaml(text or "", name)
    except YamlError as error:
        raise SettingsError(str(error)) from None


def _read_text(path: Path) -> str | None:
    """What is in a file, None if there is none."""
    try:
        return path.read_text("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):  # some keep a virtual environment in .env
        return None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: must be UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
