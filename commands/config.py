"""The settings of the whole proxy: which there are, where each gets its value from, and what of
it a strange folder may decide.

Keys never come from `proxy.yaml`: such files are shared and end up in repositories.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from backends.keys import Key, read_key, read_keys
from backends.model_id import BackendName
from commands.levels import FILE_FLAG, FILE_VARIABLE, SettingsError
from commands.sections import (
    LLM_HOSTS,
    MODEL_MAPPING,
    FailoverRoutes,
    ModelMapping,
    ProxyWide,
    SessionLimits,
    Timeouts,
)
from commands.settings import PROXY_WIDE
from commands.sources import Risk, Setting, Sources, read_sources
from commands.values import (
    Backend,
    BaseUrl,
    ClientKey,
    Count,
    Demo,
    File,
    HostNames,
    Keys,
    ListenHost,
    Mebibytes,
    Origins,
    PlaybackTiming,
    Port,
    Prefix,
    Seconds,
    StateFile,
    Switch,
    Text,
    is_loopback,
)

__all__ = ["SETTINGS", "Configuration", "Settings", "SettingsError", "load", "read"]


class Settings(BaseModel):
    """What `load` returns: every setting with its value, checked, and with its default here."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: Annotated[
        ListenHost,
        Setting("address to listen on", Risk.NAMED, "--host", "PROXY_HOST", "HOST"),
    ] = "127.0.0.1"
    port: Annotated[
        Port,
        Setting("port to listen on, 0 for any free one", Risk.NONE, "--port", "PROXY_PORT", "PORT"),
    ] = 8000
    default_backend: Annotated[
        Backend | None,
        Setting(
            "backend for models named without one: openrouter or gemini; "
            "needed if both have keys, else the one that has",
            Risk.NONE,
            "--default-backend",
            "LLM_BACKEND",
            "NAME",
        ),
    ] = None
    openrouter_api_keys: Annotated[
        Keys,
        Setting(
            "key for OpenRouter, in place of all in the environment; for several set "
            "OPENROUTER_API_KEY_1 to _20 there",
            Risk.SECRET,
            "--openrouter-api-key",
            "OPENROUTER_API_KEY",
            "KEY",
            read=read_keys,
            in_yaml=False,
        ),
    ] = ()
    openrouter_api_base_url: Annotated[
        BaseUrl,
        Setting(
            "where OpenRouter is",
            Risk.ADDRESS,
            "--openrouter-api-base-url",
            "OPENROUTER_API_BASE_URL",
            "URL",
            carries="openrouter_api_keys",
        ),
    ] = "https://openrouter.ai/api/v1"
    gemini_api_keys: Annotated[
        Keys,
        Setting(
            "key for Gemini, in place of all in the environment; for several set "
            "GEMINI_API_KEY_1 to _20 there",
            Risk.SECRET,
            "--gemini-api-key",
            "GEMINI_API_KEY",
            "KEY",
            read=read_keys,
            in_yaml=False,
        ),
    ] = ()
    gemini_api_base_url: Annotated[
        BaseUrl,
        Setting(
            "where Gemini is",
            Risk.ADDRESS,
            "--gemini-api-base-url",
            "GEMINI_API_BASE_URL",
            "URL",
            carries="gemini_api_keys",
        ),
    ] = "https://generativelanguage.googleapis.com/v1beta"
    client_key: Annotated[
        ClientKey,
        Setting(
            "key that clients have to show; without one a new one is made at each start",
            Risk.SECRET,
            env="LLM_INTERACTIVE_PROXY_API_KEY",
            read=read_key,
            in_yaml=False,
        ),
    ] = None
    disable_auth: Annotated[
        Switch,
        Setting(
            "let clients in without a key; only while listening on loopback",
            Risk.NAMED,
            "--disable-auth",
            "DISABLE_AUTH",
            const=True,
        ),
    ] = False
    allowed_origins: Annotated[
        Origins,
        Setting("web pages that may use the proxy, such as https://app.example", Risk.NAMED),
    ] = ()
    allowed_hosts: Annotated[
        HostNames,
        Setting(
            "names of the proxy for browsers, besides host, localhost and IP addresses", Risk.NAMED
        ),
    ] = ()
    intercept_hosts: Annotated[
        HostNames,
        Setting("hosts whose TLS is opened; all others are tunnelled untouched", Risk.NAMED),
    ] = LLM_HOSTS
    timeout: Annotated[
        Seconds,
        Setting(
            "seconds without a byte from the upstream before it is given up",
            Risk.NONE,
            "--timeout",
            "PROXY_TIMEOUT",
            "SECONDS",
        ),
    ] = 600
    connect_timeout: Annotated[
        Seconds,
        Setting(
            "seconds for connecting to the upstream or noticing that a connection is dead",
            Risk.NONE,
        ),
    ] = 10
    max_connections: Annotated[
        Count,
        Setting("how many upstream connections one client connection may have in use", Risk.NONE),
    ] = 100
    timeouts: Annotated[Timeouts, Setting("timeout for single backends, by name", Risk.NONE)] = {}
    keep_alive: Annotated[
        Seconds,
        Setting("seconds without a byte before a waiting stream gets a comment", Risk.NONE),
    ] = 15
    stop_timeout: Annotated[
        Seconds,
        Setting("seconds that running requests get to finish when the proxy is stopped", Risk.NONE),
    ] = 30
    max_body_mib: Annotated[
        Mebibytes,
        Setting("size in MiB above which a request is refused", Risk.NONE),
    ] = 64
    models_max_age: Annotated[
        Seconds,
        Setting("seconds for which a list of models is kept", Risk.NONE),
    ] = 600
    command_prefix: Annotated[
        Prefix,
        Setting(
            "what introduces a command in the chat, 2 to 10 characters",
            Risk.NONE,
            "--command-prefix",
            "COMMAND_PREFIX",
            "PREFIX",
        ),
    ] = "!/"
    disable_interactive_mode: Annotated[
        Switch,
        Setting(
            "no banner and no confirmations of commands",
            Risk.NONE,
            "--disable-interactive-mode",
            "DISABLE_INTERACTIVE_MODE",
            const=True,
        ),
    ] = False
    disable_interactive_commands: Annotated[
        Switch,
        Setting(
            "do not look for commands in the chat",
            Risk.NONE,
            "--disable-interactive-commands",
            "DISABLE_INTERACTIVE_COMMANDS",
            const=True,
        ),
    ] = False
    chat_may_change: Annotated[
        ProxyWide | None,
        Setting(
            "what commands in the chat may change for everybody: "
            f"{', '.join(PROXY_WIDE)}; default: all on loopback, else none",
            Risk.NAMED,
        ),
    ] = None
    force_set_project: Annotated[
        Switch,
        Setting(
            "refuse prompts until a project name is set",
            Risk.NONE,
            "--force-set-project",
            "FORCE_SET_PROJECT",
            const=True,
        ),
    ] = False
    redact_api_keys_in_prompts: Annotated[
        Switch,
        Setting(
            "do not replace the configured keys where prompts contain them",
            Risk.NAMED,
            "--disable-redact-api-keys-in-prompts",
            "REDACT_API_KEYS_IN_PROMPTS",
            const=False,
        ),
    ] = True
    model_mapping: Annotated[
        ModelMapping,
        Setting("who serves models that are named without a backend, by pattern", Risk.NONE),
    ] = MODEL_MAPPING
    failover_routes: Annotated[
        FailoverRoutes, Setting("routes by name: policy (k, m, km or mk) and elements", Risk.NONE)
    ] = {}
    sticky: Annotated[
        Switch,
        Setting("a session stays with what has answered it last, for the prompt caches", Risk.NONE),
    ] = True
    sessions: Annotated[
        SessionLimits,
        Setting(
            "max, history: how much is remembered; log_dir: a file a session",
            Risk.NAMED,
            risky_part="log_dir",
        ),
    ] = SessionLimits()
    max_flows: Annotated[
        Count,
        Setting(
            "how many flows mitmweb and mitmproxy keep; the oldest finished ones go first",
            Risk.NONE,
        ),
    ] = 500
    app_site_url: Annotated[
        Text | None,
        Setting("site that OpenRouter lists as the application", Risk.NONE, env="APP_SITE_URL"),
    ] = None
    app_x_title: Annotated[
        Text | None,
        Setting("name that OpenRouter lists for the application", Risk.NONE, env="APP_X_TITLE"),
    ] = None
    log: Annotated[
        File | None,
        Setting("file to append the log to", Risk.NAMED, "--log", metavar="FILE"),
    ] = None
    config: Annotated[
        StateFile | None,
        Setting(
            "file in which the proxy keeps routes and defaults set in the chat (.json or .yaml)",
            Risk.NAMED,
            "--config",
            metavar="FILE",
        ),
    ] = None
    record: Annotated[
        File | None,
        Setting(
            "file to append exchanges to",
            Risk.NAMED,
            "--record",
            "PROXY_RECORD",
            "FILE",
            in_yaml=False,
        ),
    ] = None
    playback: Annotated[
        File | None,
        Setting(
            "file of such exchanges to answer from, free and offline",
            Risk.NAMED,
            "--playback",
            "PROXY_PLAYBACK",
            "FILE",
            in_yaml=False,
        ),
    ] = None
    playback_timing: Annotated[
        PlaybackTiming,
        Setting(
            "when answers come in playback: at-once, or as recorded",
            Risk.NONE,
            "--playback-timing",
            "PROXY_PLAYBACK_TIMING",
            "WHEN",
            in_yaml=False,
        ),
    ] = "at-once"
    demo: Annotated[
        Demo,
        Setting(
            "simulate the upstreams: on, off, or auto for only if there is no key",
            Risk.NONE,
            "--demo",
            metavar="WHEN",
            const="on",
            in_yaml=False,
        ),
    ] = "off"
    settings_file: Annotated[
        File | None,
        Setting(
            "file of settings, YAML or .env, before those of the working directory",
            Risk.NONE,
            FILE_FLAG,
            FILE_VARIABLE,
            "FILE",
            in_yaml=False,
        ),
    ] = None
    trust_folder: Annotated[
        Switch,
        Setting(
            "trust proxy.yaml and .env of the working directory, also with keys from elsewhere",
            Risk.BARRED,
            "--trust-folder",
            "LLM_PROXY_TRUST_FOLDER",
            const=True,
            in_yaml=False,
        ),
    ] = False

    @property
    def is_demo(self) -> bool:
        """Whether the upstreams are simulated: with --demo=auto only if there is no key."""
        is_wanted = self.demo == "on" or (self.demo == "auto" and not self.api_keys)
        return is_wanted and not self.playback

    @property
    def api_keys(self) -> Mapping[BackendName, tuple[Key, ...]]:
        """The keys of each backend that has some."""
        keys: dict[BackendName, tuple[Key, ...]] = {
            "openrouter": self.openrouter_api_keys,
            "gemini": self.gemini_api_keys,
        }
        return {backend: some for backend, some in keys.items() if some}

    @property
    def effective_default_backend(self) -> BackendName:
        """The backend that is set, else the only one with keys, else OpenRouter."""
        first: BackendName = next(iter(self.api_keys), "openrouter")
        return self.default_backend or first


SETTINGS = tuple(
    dataclasses.replace(row, name=name, default=field.default)
    for name, field in Settings.model_fields.items()
    for row in field.metadata
    if isinstance(row, Setting)
)
"""The one table that flags, environment, `proxy.yaml` and their documentation are made from."""


class Configuration(NamedTuple):
    """The settings in force, and what there is to tell of their sources.

    `files` were read, nearest first. `secrets` has every configured upstream key, used or not.
    `warning` names what the working directory decides, in one line, if that is worth a look.
    """

    settings: Settings
    files: tuple[str, ...]
    secrets: frozenset[str]
    warning: str | None


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], directory: Path | None
) -> Settings:
    """The settings of `read`, for those who need no more."""
    return read(flags, environ, directory).settings


def read(
    flags: Mapping[str, object], environ: Mapping[str, str], directory: Path | None
) -> Configuration:
    """What is configured; reads `.env` and `proxy.yaml` in `directory`, if it is given.

    `flags` has the flags' values by `Setting.dest`, None for those not given; what else is in it is
    ignored. Raises SettingsError with all that is wrong.
    """
    sources = read_sources(SETTINGS, flags, environ, directory)
    values = {name: given.value for name, given in sources.given.items()}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults = [_to_line(fault, sources) for fault in error.errors(include_url=False)]
        raise SettingsError("\n".join([*sources.faults, *faults])) from None
    faults = [*sources.faults, *_conflicts(settings, sources), *_misdirected(settings, sources)]
    if faults:
        raise SettingsError("\n".join(faults))
    carried = (sources.secrets[each.carries] for each in SETTINGS if each.carries)
    return Configuration(
        settings, sources.files, frozenset().union(*carried), _warning(settings, sources)
    )


def _to_line(fault: ErrorDetails, sources: Sources) -> str:
    reason = fault.get("ctx", {}).get("error", fault["msg"])
    return f"{sources.written(fault['loc'], fault['input'])}: {reason}"


def _conflicts(settings: Settings, sources: Sources) -> Iterator[str]:
    """Settings that are right one by one, but not together."""
    if settings.disable_auth and not is_loopback(settings.host):
        yield (
            f"{sources.given['disable_auth'].written}: needs a loopback host such as 127.0.0.1, "
            f"not {sources.given['host'].written}"
        )
    if settings.record and settings.playback:
        written = [sources.given[name].written for name in ("record", "playback")]
        yield f"{written[0]}: cannot be set together with {written[1]}"
    if len(settings.api_keys) > 1 and not settings.default_backend and _uses_keys(settings):
        yield (
            "Multiple functional backends, specify --default-backend (LLM_BACKEND in the "
            f"environment): {' or '.join(settings.api_keys)}"
        )


def _misdirected(settings: Settings, sources: Sources) -> Iterator[str]:
    """Addresses of the working directory to which the user's secrets would go."""
    if settings.trust_folder or not _uses_keys(settings):
        return
    for setting in SETTINGS:
        address, secret = sources.given.get(setting.name), sources.given.get(setting.carries or "")
        if address and not address.is_trusted and secret and secret.is_trusted:
            yield (
                f"{address.written}: this folder may not say where {secret.written} is sent; set "
                "it in ~/.config/llm-proxy/proxy.yaml or by a flag, or trust the folder with "
                "--trust-folder (LLM_PROXY_TRUST_FOLDER=true)"
            )


def _uses_keys(settings: Settings) -> bool:
    """Whether configured keys are of any use."""
    return settings.demo != "on" and not settings.playback


def _warning(settings: Settings, sources: Sources) -> str | None:
    found = [] if settings.trust_folder else [*_named(sources)]
    if not found:
        return None
    return (
        "Settings of this folder that reach files or hosts, or weaken a protection: "
        f"{'; '.join(found)}. If you trust the folder, say so with --trust-folder"
    )


def _named(sources: Sources) -> Iterator[str]:
    """How the settings of the working directory are written that are to be named at the start."""
    for setting in SETTINGS:
        given = sources.given.get(setting.name)
        if setting.risk not in (Risk.NAMED, Risk.ADDRESS) or given is None or given.is_trusted:
            continue
        if setting.risky_part is None:
            yield given.written
        elif isinstance(given.value, Mapping) and (part := given.value.get(setting.risky_part)):
            yield sources.written((setting.name, setting.risky_part), part)
