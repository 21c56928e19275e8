"""Declares the configuration: each field with its default, help, flag, variable and risk.

Keys never come from `proxy.yaml`: people share such files and commit them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from backends.keys import Key, read_key, read_keys
from backends.model_id import BackendName
from backends.vendors.registry import VENDORS
from commands.config.levels import FILE_FLAG, FILE_VARIABLE
from commands.config.sources import ConfigField, Risk
from commands.config.values import (
    LLM_HOSTS,
    MODEL_MAPPING,
    Aliases,
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
    ModelMapping,
    Origins,
    PlaybackTiming,
    Port,
    Prefix,
    ProxyWide,
    RouteSection,
    RoutesOf,
    Seconds,
    SessionLimits,
    StateFile,
    Switch,
    Text,
    Timeouts,
)
from commands.settings import PROXY_WIDE


class _Row(NamedTuple):
    field: ConfigField
    flag: bool | str


def setting(default: Any, help: str, risk: Risk, *, flag: bool | str = False, **others: Any) -> Any:
    """Declare a field and its row in the table; `others` are attributes of the row.

    `flag` True makes a flag from the field's name. Its value is named after the last word, unless
    there is a `metavar`. The flag of a bool is a switch.
    """
    field = Field(default)
    field.metadata.append(_Row(ConfigField(help, risk, **others), flag))
    return field


def _keys_setting(vendor: BackendName) -> Any:
    variable, title = VENDORS[vendor].key_variable, VENDORS[vendor].title
    return setting(
        (),
        f"key for {title}, in place of all in the environment; for several set "
        f"{variable}_1 to _20 there",
        Risk.SECRET,
        flag=True,
        env=variable,
        read=read_keys,
        in_yaml=False,
    )


def _url_setting(vendor: BackendName) -> Any:
    return setting(
        VENDORS[vendor].base_url,
        f"where {VENDORS[vendor].title} is",
        Risk.ADDRESS,
        flag=True,
        env=f"{vendor.upper()}_API_BASE_URL",
        carries=f"{vendor}_api_keys",
    )


class Config(BaseModel):
    """The checked configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: ListenHost = setting(
        "127.0.0.1", "address to listen on", Risk.NAMED, flag=True, env="PROXY_HOST"
    )
    port: Port = setting(
        8000, "port to listen on, 0 for any free one", Risk.NONE, flag=True, env="PROXY_PORT"
    )
    default_backend: Backend | None = setting(
        None,
        f"backend for models that no other rule finds: {' or '.join(VENDORS)}; default: the "
        "first that has a key",
        Risk.NONE,
        flag=True,
        env="LLM_BACKEND",
        metavar="NAME",
    )
    openrouter_api_keys: Keys = _keys_setting("openrouter")
    openrouter_api_base_url: BaseUrl = _url_setting("openrouter")
    gemini_api_keys: Keys = _keys_setting("gemini")
    gemini_api_base_url: BaseUrl = _url_setting("gemini")
    client_key: ClientKey = setting(
        None,
        "key that clients must send; by default a new one at each start",
        Risk.SECRET,
        env="LLM_INTERACTIVE_PROXY_API_KEY",
        read=read_key,
        in_yaml=False,
    )
    disable_auth: Switch = setting(
        False,
        "do not require a client key (loopback only)",
        Risk.NAMED,
        flag=True,
        env="DISABLE_AUTH",
    )
    allowed_origins: Origins = setting(
        (), "web pages that may use the proxy, such as https://app.example", Risk.NAMED
    )
    allowed_hosts: HostNames = setting(
        (), "names of the proxy for browsers, besides host, localhost and IP addresses", Risk.NAMED
    )
    intercept_hosts: HostNames = setting(
        LLM_HOSTS, "hosts whose TLS is decrypted; all others are tunnelled", Risk.NAMED
    )
    timeout: Seconds = setting(
        600,
        "read timeout for upstreams, in seconds",
        Risk.NONE,
        flag=True,
        env="PROXY_TIMEOUT",
        metavar="SECONDS",
    )
    connect_timeout: Seconds = setting(
        10,
        "timeout for connecting to an upstream and for noticing a dead connection, in seconds",
        Risk.NONE,
    )
    max_connections: Count = setting(
        100, "limit of upstream connections in use by one client connection", Risk.NONE
    )
    timeouts: Timeouts = setting({}, "timeout for single backends, by name", Risk.NONE)
    keep_alive: Seconds = setting(
        15, "seconds of silence before a stream gets a comment", Risk.NONE
    )
    stop_timeout: Seconds = setting(
        30, "seconds for running requests to finish when the proxy stops", Risk.NONE
    )
    max_body_mib: Mebibytes = setting(64, "size limit of requests and responses, in MiB", Risk.NONE)
    models_max_age: Seconds = setting(600, "seconds before a list of models is stale", Risk.NONE)
    command_prefix: Prefix = setting(
        "!/",
        "text that introduces a command in the chat, 2 to 10 characters",
        Risk.NONE,
        flag=True,
        env="COMMAND_PREFIX",
    )
    disable_interactive_mode: Switch = setting(
        False,
        "no banner and no confirmations of commands",
        Risk.NONE,
        flag=True,
        env="DISABLE_INTERACTIVE_MODE",
    )
    disable_interactive_commands: Switch = setting(
        False,
        "do not look for commands in the chat",
        Risk.NONE,
        flag=True,
        env="DISABLE_INTERACTIVE_COMMANDS",
    )
    chat_may_change: ProxyWide | None = setting(
        None,
        "what commands in the chat may change for all clients: "
        f"{', '.join(PROXY_WIDE)}; default: all on loopback, else none",
        Risk.NAMED,
    )
    force_set_project: Switch = setting(
        False,
        "refuse prompts until a project name is set",
        Risk.NONE,
        flag=True,
        env="FORCE_SET_PROJECT",
    )
    redact_api_keys_in_prompts: Switch = setting(
        True,
        "do not replace the configured keys where prompts contain them",
        Risk.NAMED,
        flag="--disable-redact-api-keys-in-prompts",
        env="REDACT_API_KEYS_IN_PROMPTS",
        const=False,
    )
    aliases: Aliases = setting({}, "models by short names of your own", Risk.NONE)
    model_mapping: ModelMapping = setting(
        MODEL_MAPPING, "targets of models that are named without a backend, by pattern", Risk.NONE
    )
    failover_routes: RoutesOf[RouteSection] = setting(
        {},
        "routes by name or pattern: policy (k, m, km or mk; default: km) and elements",
        Risk.NONE,
    )
    sticky: Switch = setting(
        True, "keep a session on its last working target, to reuse prompt caches", Risk.NONE
    )
    sessions: SessionLimits = setting(
        SessionLimits(),
        "max, history: limits of memory; log_dir: folder with a file per session",
        Risk.NAMED,
        risky_part="log_dir",
    )
    max_flows: Count = setting(
        500,
        "limit of flows in mitmweb and mitmproxy; the oldest finished ones are dropped first",
        Risk.NONE,
    )
    app_site_url: Text | None = setting(
        None, "site that OpenRouter shows as the application", Risk.NONE, env="APP_SITE_URL"
    )
    app_x_title: Text | None = setting(
        None, "name that OpenRouter shows for the application", Risk.NONE, env="APP_X_TITLE"
    )
    log: File | None = setting(
        None, "file to append the log to", Risk.NAMED, flag=True, metavar="FILE"
    )
    config: StateFile | None = setting(
        None,
        "file in which the proxy keeps routes and defaults set in the chat (.json or .yaml)",
        Risk.NAMED,
        flag=True,
        metavar="FILE",
    )
    record: File | None = setting(
        None,
        "file to append exchanges to",
        Risk.NAMED,
        flag=True,
        env="PROXY_RECORD",
        metavar="FILE",
        in_yaml=False,
    )
    playback: File | None = setting(
        None,
        "file of recorded exchanges to answer from, free and offline",
        Risk.NAMED,
        flag=True,
        env="PROXY_PLAYBACK",
        metavar="FILE",
        in_yaml=False,
    )
    playback_timing: PlaybackTiming = setting(
        "at-once",
        "timing of responses in playback: at-once, or as recorded",
        Risk.NONE,
        flag=True,
        env="PROXY_PLAYBACK_TIMING",
        metavar="WHEN",
        in_yaml=False,
    )
    demo: Demo = setting(
        "off",
        "simulate the upstreams: on, off, or auto (only without a key)",
        Risk.NONE,
        flag=True,
        metavar="WHEN",
        const="on",
        in_yaml=False,
    )
    settings_file: File | None = setting(
        None,
        "file of settings, YAML or .env, which override those of the working directory",
        Risk.NONE,
        flag=FILE_FLAG,
        env=FILE_VARIABLE,
        in_yaml=False,
    )
    trust_folder: Switch = setting(
        False,
        "trust proxy.yaml and .env of the working directory, also with keys from elsewhere",
        Risk.BARRED,
        flag=True,
        env="LLM_PROXY_TRUST_FOLDER",
        in_yaml=False,
    )

    @property
    def is_demo(self) -> bool:
        """Whether the upstreams are simulated."""
        is_wanted = self.demo == "on" or (self.demo == "auto" and not self.api_keys)
        return is_wanted and not self.playback

    @property
    def api_keys(self) -> Mapping[BackendName, tuple[Key, ...]]:
        """The keys of each backend that has some."""
        keys = {name: getattr(self, f"{name}_api_keys") for name in VENDORS}
        return {backend: some for backend, some in keys.items() if some}

    @property
    def base_urls(self) -> Mapping[BackendName, str]:
        """The base URL of each backend."""
        return {name: getattr(self, f"{name}_api_base_url") for name in VENDORS}

    @property
    def effective_default_backend(self) -> BackendName:
        """The backend that is set, else the only one with keys, else the first."""
        return self.default_backend or next(iter(self.api_keys or VENDORS))


def _setting(name: str, field: FieldInfo) -> ConfigField:
    (row,) = (each for each in field.metadata if isinstance(each, _Row))
    made = dataclasses.replace(row.field, name=name, default=field.default)
    if not row.flag:
        return made
    is_switch = field.annotation is bool and made.const is None
    return dataclasses.replace(
        made,
        flag=f"--{made.dest.replace('_', '-')}" if row.flag is True else row.flag,
        metavar=made.metavar or made.dest.rpartition("_")[2].upper(),
        const=True if is_switch else made.const,
    )


CONFIG_FIELDS = tuple(_setting(name, field) for name, field in Config.model_fields.items())
"""The table behind flags, environment, `proxy.yaml` and their documentation."""
