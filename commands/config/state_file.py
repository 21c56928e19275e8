"""Keeps the changes of commands to the whole proxy in the file of `--config`.

The file is JSON or YAML by its ending. Saving merges a change into the current content, so several
proxies can share a file, and unknown keys stay. A file that cannot be read is never overwritten.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import BeforeValidator, ConfigDict, ValidationError, ValidationInfo, create_model

from backends.model_id import BackendName
from commands.config.sources import ConfigError, in_yaml, to_line
from commands.config.values import RouteSection, RoutesOf, known_backends
from commands.config.yaml_file import YamlError, YamlFile, read_yaml
from commands.errors import CommandError
from commands.routing.routes import Routes
from commands.settings import PERSISTED

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


ROUTES = "failover_routes"
# Everything else waits for a command that saves, so a lock must not keep it for long.
LOCK_TRIES = 200
LOCK_PAUSE_S = 0.005


@dataclass(frozen=True, slots=True)
class State:
    """The changes that a file holds."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ProxySettings` that a command has given another value."""
    routes: Routes = field(default_factory=Routes)


class _Document(NamedTuple):
    """A file's content."""

    data: dict[str, Any]
    """Typed values, for writing the file again."""
    file: YamlFile
    """Texts with line numbers, for reading it."""


def load_state(path: Path, known: Collection[BackendName]) -> State:
    """Read a file; a missing one has no changes. Raises ConfigError with file and line."""
    return _checked(_read(path).file, known)


def save_state(path: Path, before: State, after: State, known: Collection[BackendName]) -> State:
    """Merge the changes from `before` to `after` into the file. Returns its new content.

    Waits up to a second while another proxy saves. Raises ConfigError if the file is broken, which
    stays as it is, or cannot be locked or written.
    """
    path = path.resolve()  # keep a symbolic link
    try:
        with _locked(path):
            data, file = _read(path)
            now = _checked(file, known)
            merged = State(
                _merged(now.defaults, before.defaults, after.defaults),
                Routes(_merged(now.routes.by_name, before.routes.by_name, after.routes.by_name)),
            )
            if merged != now:
                _put(merged, data)
                _replace(path, _encoded(path, data))
            return merged
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: cannot be saved: {error}") from None


def _merged[T](
    now: Mapping[str, T], before: Mapping[str, T], after: Mapping[str, T]
) -> dict[str, T]:
    """Apply the differences between `before` and `after` to `now`."""
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    removed = before.keys() - after.keys()
    return {key: value for key, value in {**now, **changed}.items() if key not in removed}


def _put(state: State, data: dict[str, Any]) -> None:
    """Write the state into the typed content; other keys stay."""
    for row in PERSISTED:
        data.pop(row.field, None)
    data.update(state.defaults)
    routes = data.get(ROUTES) or {}
    data[ROUTES] = {
        name: {
            **(routes.get(name) or {}),
            "policy": route.policy,
            "elements": [str(element) for element in route.elements],
        }
        for name, route in state.routes.by_name.items()
    }


# Validation


def _check_setting(value: object, info: ValidationInfo) -> Any:
    """Parse the value of a setting, written as in the chat."""
    if not isinstance(value, str):
        raise ValueError("must be a single value")
    (row,) = (row for row in PERSISTED if row.field == info.field_name)
    try:
        return row.parse(value, known_backends(info))
    except CommandError as error:
        raise ValueError(str(error)) from None


class _Route(RouteSection):
    model_config = ConfigDict(extra="ignore")


_Setting = Annotated[Any, BeforeValidator(_check_setting)]
_FIELDS: dict[str, Any] = {row.field: (_Setting, None) for row in PERSISTED}
_Content: Any = create_model("_Content", **_FIELDS, failover_routes=(RoutesOf[_Route], {}))
"""The keys that the proxy knows; others may be in the file."""


def _checked(file: YamlFile, known: Collection[BackendName]) -> State:
    values = {name: value for name, value in file.values.items() if value is not None}
    try:
        content = _Content.model_validate(values, context=known)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ConfigError(to_line(fault, in_yaml(file, fault["loc"], fault["input"]))) from None
    defaults = {row.field: getattr(content, row.field) for row in PERSISTED if row.field in values}
    sections: Mapping[str, RouteSection] = content.failover_routes
    return State(defaults, Routes({name: each.to_route(name) for name, each in sections.items()}))


# Reading and writing


def _read(path: Path) -> _Document:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        text = ""
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path} line {line}: must be UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return _decoded(path, text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} line {error.lineno}: {error.msg}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path} line {line}: {error.problem}") from None
    except YamlError as error:
        raise ConfigError(str(error)) from None
    except ValueError as error:  # an impossible date, in an unknown key
        raise ConfigError(f"{path}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path} line 1: nested too deeply") from None


def _decoded(path: Path, text: str) -> _Document:
    if path.suffix == ".json":
        data = json.loads(text if text.strip() else "{}")
        # Read it also as YAML, for the lines. That differs from JSON in tabs only, which JSON has
        # nowhere but between values.
        return _Document(data or {}, read_yaml(text.replace("\t", " "), str(path)))
    file = read_yaml(text, str(path))
    return _Document(yaml.safe_load(text) or {}, file)


def _encoded(path: Path, data: dict[str, Any]) -> str:
    if path.suffix == ".json":
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock out other threads and processes. Keep the lock file: deleting it would admit two."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)  # releases the lock


def _lock(descriptor: int) -> None:
    for _ in range(LOCK_TRIES):
        try:
            return _try_lock(descriptor)
        except (BlockingIOError, PermissionError):
            time.sleep(LOCK_PAUSE_S)
    raise TimeoutError("another process keeps it locked")


def _replace(path: Path, text: str) -> None:
    """Write the whole file or keep the old one; only its owner can read a new one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileNotFoundError):
            shutil.copymode(path, name)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
