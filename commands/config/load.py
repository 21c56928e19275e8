"""Loads the configuration, and checks what a strange folder may not decide."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from backends.vendors.registry import VENDORS
from commands.config.levels import ConfigError
from commands.config.model import CONFIG_FIELDS, Config
from commands.config.sources import Risk, Sources, read_sources, to_line
from commands.config.values import is_loopback


class Configuration(NamedTuple):
    """The configuration and facts about its sources."""

    settings: Config
    files: tuple[str, ...]
    """The files that were read, nearest first."""
    secrets: frozenset[str]
    """All configured upstream keys, used or not."""
    warning: str | None
    """One line about risky settings of the working directory."""


def load(flags: Mapping[str, object], environ: Mapping[str, str], directory: Path | None) -> Config:
    """Load the configuration without the facts of `read`."""
    return read(flags, environ, directory).settings


def read(
    flags: Mapping[str, object], environ: Mapping[str, str], directory: Path | None
) -> Configuration:
    """Load the configuration; reads `.env` and `proxy.yaml` in `directory`, if it is given.

    `flags` holds values by `ConfigField.dest`, None for an absent flag; other names are ignored.
    Raises ConfigError with all errors.
    """
    sources = read_sources(CONFIG_FIELDS, flags, environ, directory)
    values = {name: given.value for name, given in sources.given.items()}
    try:
        settings = Config.model_validate(values, context=VENDORS)
    except ValidationError as validation_error:
        errors = [
            to_line(each, sources.origin(each["loc"], each["input"]))
            for each in validation_error.errors(include_url=False)
        ]
        raise ConfigError("\n".join([*sources.errors, *errors])) from None
    errors = [*sources.errors, *_conflicts(settings, sources), *_misdirected(settings, sources)]
    if errors:
        raise ConfigError("\n".join(errors))
    carried = (sources.secrets[each.carries] for each in CONFIG_FIELDS if each.carries)
    return Configuration(
        settings, sources.files, frozenset().union(*carried), _warning(settings, sources)
    )


def _conflicts(settings: Config, sources: Sources) -> Iterator[str]:
    """Find values that exclude each other."""
    if settings.disable_auth and not is_loopback(settings.host):
        yield (
            f"{sources.given['disable_auth'].origin}: needs a loopback host such as 127.0.0.1, "
            f"not {sources.given['host'].origin}"
        )
    if settings.record and settings.playback:
        origin = [sources.given[name].origin for name in ("record", "playback")]
        yield f"{origin[0]}: cannot be set together with {origin[1]}"


def _misdirected(settings: Config, sources: Sources) -> Iterator[str]:
    """Find addresses of the working directory that would receive the user's secrets."""
    if settings.trust_folder or not _uses_keys(settings):
        return
    for setting in CONFIG_FIELDS:
        address, secret = sources.given.get(setting.name), sources.given.get(setting.carries or "")
        if address and not address.is_trusted and secret and secret.is_trusted:
            yield (
                f"{address.origin}: this folder may not say where {secret.origin} is sent; set "
                "it in ~/.config/llm-proxy/proxy.yaml or by a flag, or trust the folder with "
                "--trust-folder (LLM_PROXY_TRUST_FOLDER=true)"
            )


def _uses_keys(settings: Config) -> bool:
    """Whether prompts reach real upstreams."""
    return settings.demo != "on" and not settings.playback


def _warning(settings: Config, sources: Sources) -> str | None:
    found = [] if settings.trust_folder else [*_named(sources)]
    if not found:
        return None
    return (
        "Settings of this folder that reach files or hosts, or weaken a protection: "
        f"{'; '.join(found)}. If you trust the folder, say so with --trust-folder"
    )


def _named(sources: Sources) -> Iterator[str]:
    """The origins of risky settings that come from the working directory."""
    for setting in CONFIG_FIELDS:
        given = sources.given.get(setting.name)
        if setting.risk not in (Risk.NAMED, Risk.ADDRESS) or given is None or given.is_trusted:
            continue
        if setting.risky_part is None:
            yield given.origin
        elif isinstance(given.value, Mapping) and (part := given.value.get(setting.risky_part)):
            yield sources.origin((setting.name, setting.risky_part), part)
