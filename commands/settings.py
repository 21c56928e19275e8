"""What commands can set: one row a setting, which `set`, `unset`, help and the saved state read.

A value passes two gates. `parse` knows what the text may be at all, wherever it comes from; `check`
knows what can be served now, and only commands ask it.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backends.model_id import BackendName, ModelId
from commands.errors import CommandError, ModelNotAvailable, did_you_mean

DEFAULT_PREFIX = "!/"

Scope = Literal["session", "proxy"]


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What holds for one session. `is_model_invalid`: its backend does not offer the model."""

    model: ModelId | None = None
    is_model_invalid: bool = False
    backend: BackendName | None = None
    project: str | None = None
    is_interactive: bool = True


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What holds for the whole proxy."""

    default_backend: BackendName
    redact_api_keys_in_prompts: bool = True
    command_prefix: str = DEFAULT_PREFIX


@dataclass(frozen=True, slots=True)
class AvailableBackend:
    """A backend that can serve. `models` has the vendor's names, None as long as nobody knows."""

    key_count: int
    models: Sequence[str] | None = None


AvailableBackends = Mapping[BackendName, AvailableBackend]


# What the text of a value may be. A ValueError tells the rule, to be read behind the value's label;
# a CommandError is a sentence of its own.


def check_prefix(text: str) -> str:
    """`text`, if it can introduce commands in a chat; else ValueError with the rule it breaks."""
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


# Whether a value can be served now.


def check_nothing(value: object, backends: AvailableBackends) -> None:
    pass


def check_backend(name: BackendName | None, backends: AvailableBackends) -> None:
    if name not in backends:
        raise CommandError(f"backend {name} not functional")


def check_model(model: ModelId, backends: AvailableBackends) -> None:
    check_backend(model.backend, backends)
    offered = backends[model.backend].models if model.backend else None
    if offered is not None and model.name not in offered:
        hint = did_you_mean(model.name, offered, most=3, shown=f"{model.backend}:{{}}")
        raise ModelNotAvailable(f"model {model} not available{hint}")


def _nothing(configured: ProxySettings) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `field` is where `SessionSettings` or `ProxySettings`, by scope, keep it.

    `label` is what confirmations and errors call it, `values` what may be given, for the help.
    `unset_value` makes the value that `unset` leaves from what the proxy was started with.
    """

    name: str
    help: str
    values: str
    scope: Scope
    field: str
    parse: Callable[[str, Collection[BackendName]], Any]
    check: Callable[[Any, AvailableBackends], None] = check_nothing
    unset_value: Callable[[ProxySettings], object] = _nothing
    aliases: tuple[str, ...] = ()
    label: str = ""
    unset_label: str = ""

    def read(self, text: str, known: Collection[BackendName]) -> Any:
        """The value that a person wrote as `text`; CommandError if it is none."""
        try:
            return self.parse(text, known)
        except ValueError as rule:
            raise CommandError(f"{self.label or self.name} {rule}") from None

    def set_message(self, value: object) -> str:
        """The confirmation of `set`."""
        return f"{self.label or self.name} set to {value}"

    @property
    def unset_message(self) -> str:
        """The confirmation of `unset`."""
        return f"{self.unset_label or self.label or self.name} unset"


SETTINGS = (
    Setting(
        "model",
        "backend and model for this session, whatever the client asks for",
        "<backend>:<model>",
        scope="session",
        field="model",
        parse=parse_model,
        check=check_model,
    ),
    Setting(
        "backend",
        "backend for this session; the model stays the one that the client asks for",
        "<backend>",
        scope="session",
        field="backend",
        parse=parse_backend,
        check=check_backend,
    ),
    Setting(
        "default-backend",
        "backend for whatever does not name one",
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
        "name of the project that prompts of this session belong to",
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
        "whether the configured API keys are replaced where prompts contain them",
        "true|false",
        scope="proxy",
        field="redact_api_keys_in_prompts",
        parse=lambda text, known: parse_switch(text),
        unset_value=lambda configured: configured.redact_api_keys_in_prompts,
    ),
    Setting(
        "command-prefix",
        "what introduces a command, from the next one on",
        "<2 to 10 characters>",
        scope="proxy",
        field="command_prefix",
        parse=lambda text, known: check_prefix(text),
        unset_value=lambda configured: DEFAULT_PREFIX,
        label="command prefix",
    ),
)
"""All settings. Those of the proxy are kept in the file of `--config`, those of a session never."""

NAMES: Mapping[str, Setting] = {name: row for row in SETTINGS for name in (row.name, *row.aliases)}
PERSISTED = tuple(row for row in SETTINGS if row.scope == "proxy")

ROUTES = "routes"
PROXY_WIDE = (*(row.name for row in PERSISTED), ROUTES)
"""What commands can change for everybody who uses the proxy; `chat_may_change` lists some."""


def overrides(settings: ProxySettings, configured: ProxySettings) -> dict[str, bool | str]:
    """By field what commands have made of the settings that the proxy was started with."""
    values = dataclasses.asdict(settings).items()
    return {field: value for field, value in values if value != getattr(configured, field)}
