"""Reads the levels of the configuration, nearest first: this start, working directory, user.

The working directory may belong to a stranger, such as a repository that was just cloned.
"""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import dotenv

from commands.config.yaml_file import YamlError, YamlFile, read_yaml

YAML_NAME = "proxy.yaml"
ENV_NAME = ".env"
FILE_FLAG = "--settings"
FILE_VARIABLE = "LLM_PROXY_SETTINGS"

_NO_FILE = read_yaml("", "")


class ConfigError(Exception):
    """The errors of the configuration, one line each. Without secrets."""


class Variable(NamedTuple):
    """An environment variable that has a value."""

    value: str
    file: str | None
    """The file that defines it; None for the environment itself."""
    is_trusted: bool

    def origin(self, text: str) -> str:
        """The text with the source of the variable."""
        return f"{self.file}: {text}" if self.file else f"{text} (environment)"


class Level(NamedTuple):
    """Values from one source: variables, and a YAML file that they override."""

    variables: Mapping[str, Variable]
    yaml: YamlFile
    is_trusted: bool
    """Whether the user wrote them, not perhaps a stranger."""
    files: tuple[str, ...]
    """The files that were read."""


def read_levels(
    file: str | None, environ: Mapping[str, str], directory: Path | None
) -> list[Level]:
    """Read all levels, nearest first. Skips the working directory if `directory` is None.

    `file` is the value of the flag. Raises ConfigError if a file cannot be read.
    """
    own = user_folder(environ)
    levels = [_for_this_start(file, environ, directory or Path())]
    if directory and directory.resolve() != own:
        levels.append(_in_folder(directory, "", is_trusted=False))
    if own:
        levels.append(_in_folder(own, f"{own}{os.sep}", is_trusted=True))
    return levels


def user_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder of the user's own settings, None if the environment does not name one."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):  # XDG Base Directory Specification: ignore anything else
        return Path(base, "llm-proxy").resolve()
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(home, ".config", "llm-proxy").resolve() if home else None


def unread_files(directory: Path) -> list[str]:
    """The files that a start in this working directory reads."""
    return [name for name in (ENV_NAME, YAML_NAME) if (directory / name).is_file()]


def _for_this_start(flag: str | None, environ: Mapping[str, str], directory: Path) -> Level:
    """The environment, and the file that the flag or the environment names."""
    variables = _to_variables(environ, None, is_trusted=True)
    if flag is None and FILE_VARIABLE not in variables:
        return Level(variables, _NO_FILE, is_trusted=True, files=())
    name = variables[FILE_VARIABLE].value if flag is None else flag
    origin = _origin(variables) if flag is None else f"{FILE_FLAG} {shown(name)}"
    text = _read_named(directory, name, origin)
    if name.endswith(ENV_NAME):
        variables = _read_env(text, name, is_trusted=True) | variables
        return Level(variables, _NO_FILE, is_trusted=True, files=(name,))
    return Level(variables, _to_yaml(text, name), is_trusted=True, files=(name,))


def _in_folder(folder: Path, prefix: str, *, is_trusted: bool) -> Level:
    """`.env` and `proxy.yaml` of a folder, or the file that `.env` names instead of the latter."""
    env, name = _read_text(folder / ENV_NAME), YAML_NAME
    variables = _read_env(env or "", prefix + ENV_NAME, is_trusted=is_trusted)
    text = _read_text(folder / YAML_NAME)
    if text is not None:
        name = prefix + YAML_NAME
    elif FILE_VARIABLE in variables:
        name = variables[FILE_VARIABLE].value
        text = _read_named(folder, name, _origin(variables))
    files = [prefix + ENV_NAME] if env is not None else []
    files += [name] if text is not None else []
    return Level(variables, _to_yaml(text or "", name), is_trusted, tuple(files))


def _origin(variables: Mapping[str, Variable]) -> str:
    variable = variables[FILE_VARIABLE]
    return variable.origin(f"{FILE_VARIABLE}={shown(variable.value)}")


def _read_env(text: str, file: str, *, is_trusted: bool) -> dict[str, Variable]:
    # No interpolation: a `$` is part of a key, and the library takes no `environ` for it.
    values = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    return _to_variables(values, file, is_trusted=is_trusted)


def _to_variables(
    values: Mapping[str, str | None], file: str | None, *, is_trusted: bool
) -> dict[str, Variable]:
    """The variables that have a value; blank ones count as not set."""
    return {
        name: Variable(value.strip(), file, is_trusted)
        for name, value in values.items()
        if value and value.strip()
    }


def _to_yaml(text: str, name: str) -> YamlFile:
    try:
        return read_yaml(text, shown(name))
    except YamlError as error:
        raise ConfigError(str(error)) from None


def _read_named(directory: Path, name: str, origin: str) -> str:
    """The content of a file that the user named, relative to `directory`."""
    text = _read_text(directory / os.path.expanduser(name))
    if text is None:
        raise ConfigError(f"{origin}: must be the path of a file that exists")
    return text


def _read_text(path: Path) -> str | None:
    """The content of a file, None if there is no such file."""
    try:
        return path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None  # .env may also be a virtual environment
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: must be UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def shown(value: object) -> str:
    """The value on one line, quoted if it is not visible; hidden if it may hold a secret."""
    text = str(value)
    if _may_hold_secret(text):
        return "(hidden)"
    return text if text and text.isprintable() else repr(text)


def _may_hold_secret(text: str) -> bool:
    """Whether it may be a URL with a password or a query, with or without its scheme."""
    after_slashes, after_colon = text.partition("//")[2], text.partition(":")[2]
    return "?" in after_slashes or "@" in after_slashes or "@" in after_colon
