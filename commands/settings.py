"""The settings that commands change: one row a setting, for `set`, `unset`, help and saved state.

A value passes two checks. `parse` accepts or refuses its text, wherever that comes from. `check`
knows which backends can serve now; only commands use it.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backends.model_id import BackendName, ModelId
from commands.errors import CommandError, did_you_mean

DEFAULT_PREFIX = "!/"

Scope = Literal["session", "proxy"]


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings of one session."""

    model: ModelId | None = None
    is_model_invalid: bool = False
    """Whether the backend does not offer the model."""
    backend: BackendName | None = None
    project: str | None = None
    is_interactive: bool = True


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The settings of the whole proxy."""

    default_backend: BackendName
    redact_api_keys_in_prompts: bool = True
    command_prefix: str = DEFAULT_PREFIX


@dataclass(frozen=True, slots=True)
class AvailableBackend:
    """A backend that has a key."""

    key_count: int
    models: Sequence[str] | None = None
    """The vendor's names of its models; None until they are known."""


AvailableBackends = Mapping[BackendName, AvailableBackend]


# Parsers. A ValueError holds the rule, which follows the label of the setting in the message. A
# CommandError is a whole message.


def check_prefix(text: str) -> str:
    """Return the text if it can introduce commands. Raises ValueError with the broken rule."""
    if not 2 <= len(text) <= 10:
        raise ValueError("must be 2 to 10 characters long")
    if any(character.isspace() for character in text):
        raise ValueError("must not contain spaces")
    if not text.isprintable():
        raise ValueError("must consist of printable characters")
    if len(text) == 2 and text[0] == text[1]:
        raise ValueError("must not be the same character twice")
    return text


def parse_backend(text: str, known: Collection[BackendName]) -> BackendName:
    if not text:
        raise ValueError(f"must be one of {', '.join(known)}")
    for name in known:
        if name == text.lower():
            return name
    raise CommandError(f"backend {text} not supported{did_you_mean(text, known)}")


def parse_model(text: str, known: Collection[BackendName]) -> ModelId:
    backend, _, name = (part.strip() for part in text.partition(":"))
    # A slash belongs to OpenRouter's own names, which may have a colon too: `vendor/model:free`.
    if not (backend and name) or "/" in backend or not text.isprintable():
        raise CommandError("model must be specified as <backend>:<model>")
    return ModelId(parse_backend(backend, known), name)


def parse_name(text: str, known: Collection[BackendName]) -> ModelId:
    """A model with or without its backend; without one also the name of a route or an alias."""
    backend, colon, _ = text.partition(":")
    is_plain = text and text.isprintable() and (not colon or "/" in backend)
    return ModelId(None, text) if is_plain else parse_model(text, known)


def parse_line(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("must be one line of text")
    return text


_SWITCH = {
    **dict.fromkeys(("true", "on", "yes", "1"), True),
    **dict.fromkeys(("false", "off", "no", "0"), False),
}


def parse_switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ValueError(f"must be one of {', '.join(_SWITCH)}, not '{text}'")
    return _SWITCH[text.lower()]


# Checks whether a value can be served now.


def check_nothing(value: object, backends: AvailableBackends) -> None:
    pass


def check_backend(name: BackendName | None, backends: AvailableBackends) -> None:
    if name not in backends:
        raise CommandError(f"backend {name} not functional")


def _nothing(configured: ProxySettings) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting."""

    name: str
    help: str
    values: str
    """The values it takes, for the help."""
    scope: Scope
    field: str
    """The field of `SessionSettings` or `ProxySettings`, by scope."""
    parse: Callable[[str, Collection[BackendName]], Any]
    check: Callable[[Any, AvailableBackends], None] = check_nothing
    unset_value: Callable[[ProxySettings], object] = _nothing
    """Makes the value after `unset` from the configured settings."""
    aliases: tuple[str, ...] = ()
    label: str = ""
    """Its name in messages; by default `name`."""
    unset_label: str = ""
    """The same in the confirmation of `unset`."""

    def read(self, text: str, known: Collection[BackendName]) -> Any:
        """Parse a text from the chat. Raises CommandError."""
        try:
            return self.parse(text, known)
        except ValueError as error:
            raise CommandError(f"{self.label or self.name} {error}") from None

    def set_message(self, value: object) -> str:
        return f"{self.label or self.name} set to {value}"

    @property
    def unset_message(self) -> str:
        return f"{self.unset_label or self.label or self.name} unset"


SETTINGS = (
    Setting(
        "model",
        "model for this session, in place of that in requests: <backend>:<model>, a route, an "
        "alias, or a name that only one model has or contains",
        "<model>",
        scope="session",
        field="model",
        parse=parse_name,
    ),
    Setting(
        "backend",
        "backend for this session; it has to offer the requested model, and requested routes keep "
        "their own backends",
        "<backend>",
        scope="session",
        field="backend",
        parse=parse_backend,
        check=check_backend,
    ),
    Setting(
        "default-backend",
        "backend for requests that do not name one",
        "<backend>",
        scope="proxy",
        field="default_backend",
        parse=parse_backend,
        check=check_backend,
        unset_value=lambda configured: configured.default_backend,
        label="default backend",
        unset_label="default-backend",
    ),
    Setting(
        "project",
        "name of the project that this session belongs to",
        "<text>",
        scope="session",
        field="project",
        parse=lambda text, known: parse_line(text),
        aliases=("project-name",),
    ),
    Setting(
        "interactive",
        "whether this session shows the banner and the confirmations of commands",
        "true|false",
        scope="session",
        field="is_interactive",
        parse=lambda text, known: parse_switch(text),
        unset_value=lambda configured: False,
        aliases=("interactive-mode",),
        label="interactive mode",
    ),
    Setting(
        "redact-api-keys-in-prompts",
        "whether the proxy replaces its own API keys in prompts",
        "true|false",
        scope="proxy",
        field="redact_api_keys_in_prompts",
        parse=lambda text, known: parse_switch(text),
        unset_value=lambda configured: configured.redact_api_keys_in_prompts,
    ),
    Setting(
        "command-prefix",
        "text that introduces a command, from the next command on",
        "<2 to 10 characters>",
        scope="proxy",
        field="command_prefix",
        parse=lambda text, known: check_prefix(text),
        unset_value=lambda configured: DEFAULT_PREFIX,
        label="command prefix",
    ),
)
"""All settings. The file of `--config` keeps those of the proxy."""

NAMES: Mapping[str, Setting] = {name: row for row in SETTINGS for name in (row.name, *row.aliases)}
PERSISTED = tuple(row for row in SETTINGS if row.scope == "proxy")

ROUTES = "routes"
PROXY_WIDE = (*(row.name for row in PERSISTED), ROUTES)
"""Names of everything that commands can change for all clients, for `chat_may_change`."""


def overrides(settings: ProxySettings, configured: ProxySettings) -> dict[str, bool | str]:
    """The fields that commands have given another value than the configured one."""
    values = dataclasses.asdict(settings).items()
    return {field: value for field, value in values if value != getattr(configured, field)}
