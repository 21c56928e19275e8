"""The types of configuration values, each with one sentence that states its rule.

They parse text, which flags, environment and files consist of.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WrapValidator,
)

from backends import model_id
from backends.keys import Key
from backends.model_id import BackendName, ModelId
from commands.errors import CommandError
from commands.routing.routes import (
    DEFAULT_POLICY,
    POLICIES,
    Policy,
    Route,
    find_policy,
    parse_element,
)
from commands.settings import PROXY_WIDE, check_prefix, parse_line, parse_model

LLM_HOSTS = (
    "api.openai.com",
    "openrouter.ai",
    "generativelanguage.googleapis.com",
    "api.anthropic.com",
    "api.mistral.ai",
    "api.groq.com",
    "api.deepseek.com",
    "api.x.ai",
    "api.together.xyz",
    "api.fireworks.ai",
    "api.cerebras.ai",
    "api.moonshot.ai",
)

# Maps the names that agents use for models of their own vendor.
MODEL_MAPPING: Mapping[str, tuple[str, ...]] = {
    "gemini-*": ("gemini:{model}", "openrouter:google/{model}"),
    "gpt-*": ("openrouter:openai/{model}",),
    "chatgpt-*": ("openrouter:openai/{model}",),
    "codex-*": ("openrouter:openai/{model}",),
    "o[0-9]*": ("openrouter:openai/{model}",),
    "claude-*": ("openrouter:anthropic/{model}",),
    "text-embedding-*": ("openrouter:openai/{model}",),
    # Groq's names for two models that others call `-instruct`.
    "llama-3.3-70b-versatile": ("openrouter:meta-llama/llama-3.3-70b-instruct",),
    "llama-3.1-8b-instant": ("openrouter:meta-llama/llama-3.1-8b-instruct",),
}

_HTTP_URL = TypeAdapter(HttpUrl)
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST_NAME = rf"^{_LABEL}(?:\.{_LABEL})*$"


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a socket bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def rule(text: str) -> WrapValidator:
    """Report any error of the value as this rule, except errors of nested values."""

    def validate(value: object, check: Callable[[object], object]) -> object:
        try:
            return check(value)
        except ValidationError as error:
            if error.errors()[0]["loc"]:
                raise
            raise ValueError(f"must {text}") from None

    return WrapValidator(validate)


def known_backends(info: ValidationInfo) -> Collection[BackendName]:
    """The names of all backends: the validation context."""
    known: Collection[BackendName] = info.context or ()
    return known


def _check_backend(value: object, info: ValidationInfo) -> object:
    known = known_backends(info)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"must be {' or '.join(known)}")
    return value


# These checks raise errors without a message: `rule` has it.


def _check_listen_host(text: str) -> str:
    if not re.fullmatch(_HOST_NAME, text):
        ipaddress.ip_address(text)
    return text


def _check_base_url(text: str) -> str:
    url = _HTTP_URL.validate_python(text)
    if url.username or url.password or url.query is not None or url.fragment is not None:
        raise ValueError
    return str(url).rstrip("/")


def _check_origin(text: str) -> str:
    url = _check_base_url(text)
    if url.count("/") > len("//"):
        raise ValueError
    return url


def _check_one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError
    return text


def _check_file(path: Path) -> Path:
    if not path.name:
        raise ValueError
    return Path(os.path.expanduser(path))


def _check_state_file(path: Path) -> Path:
    if path.suffix not in {".json", ".yaml", ".yml"}:
        raise ValueError
    return path


Backend = Annotated[BackendName, BeforeValidator(_check_backend)]
Demo = Annotated[Literal["off", "on", "auto"], rule("be on, off or auto")]
PlaybackTiming = Annotated[Literal["at-once", "recorded"], rule("be at-once or recorded")]
Switch = Annotated[bool, rule("be true or false")]
Port = Annotated[int, Field(ge=0, le=65535), rule("be a whole number between 0 and 65535")]
Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    rule("be a number of seconds greater than 0"),
]
Count = Annotated[int, Field(gt=0), rule("be a whole number greater than 0")]
Mebibytes = Annotated[int, Field(gt=0), rule("be a whole number of MiB greater than 0")]
Text = Annotated[str, AfterValidator(_check_one_line), rule("be one line of text")]
Prefix = Annotated[str, rule("be text"), AfterValidator(check_prefix)]
ListenHost = Annotated[
    str,
    AfterValidator(_check_listen_host),
    rule("be a host name or IP address, without scheme and port"),
]
HostName = Annotated[
    str,
    StringConstraints(pattern=_HOST_NAME, to_lower=True),
    rule("be a host name such as api.openai.com, without scheme, port and path"),
]
BaseUrl = Annotated[
    str,
    AfterValidator(_check_base_url),
    rule("be an http:// or https:// URL without user name, query and fragment"),
]
Origin = Annotated[
    str,
    AfterValidator(_check_origin),
    rule("be a browser origin such as https://app.example"),
]
HostNames = Annotated[tuple[HostName, ...], rule("be a list of host names")]
Origins = Annotated[tuple[Origin, ...], rule("be a list of browser origins")]
File = Annotated[Path, AfterValidator(_check_file), rule("be the path of a file")]
StateFile = Annotated[
    File,
    AfterValidator(_check_state_file),
    rule("be the path of a file that ends in .json, .yaml or .yml"),
]
# Excluded from dumps, which would contain the secrets.
Keys = Annotated[tuple[Key, ...], Field(exclude=True)]
ClientKey = Annotated[Key | None, Field(exclude=True)]


# The parts of `proxy.yaml` that are more than one value


def _check_target(text: str, info: ValidationInfo) -> str:
    if not model_id.parse(text, known_backends(info)).backend:
        raise ValueError
    return text


_Target = Annotated[
    str,
    AfterValidator(_check_target),
    rule("be <backend>:<model>, where {model} stands for the requested name"),
]

ModelMapping = Annotated[
    Mapping[
        str,
        Annotated[
            tuple[_Target, ...],
            BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
            rule("be a target or a list of targets"),
        ],
    ],
    rule("be a mapping from patterns to targets"),
]


def _to_model(text: str, info: ValidationInfo) -> ModelId:
    try:
        return parse_model(text, known_backends(info))
    except CommandError as error:
        raise ValueError(str(error)) from None


_Name = Annotated[str, AfterValidator(parse_line), rule("be one line of text")]
Aliases = Annotated[
    Mapping[_Name, Annotated[ModelId, BeforeValidator(_to_model), rule("be <backend>:<model>")]],
    rule("be a mapping from names to <backend>:<model>"),
]


def _to_element(text: str, info: ValidationInfo) -> ModelId:
    try:
        return parse_element(text, known_backends(info))
    except CommandError as error:
        raise ValueError(str(error)) from None


def _check_policy(value: object) -> Policy:
    policy = find_policy(value) if isinstance(value, str) else None
    if not policy:
        raise ValueError(f"must be one of {', '.join(POLICIES)}")
    return policy


class RouteSection(BaseModel):
    """A failover route: the policy, and the models to try as `<backend>:<model>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Annotated[Policy, BeforeValidator(_check_policy)] = DEFAULT_POLICY
    elements: Annotated[
        tuple[Annotated[ModelId, BeforeValidator(_to_element)], ...],
        rule("be a list of <backend>:<model>"),
    ] = ()

    def to_route(self, name: str) -> Route:
        return Route(name, self.policy, self.elements)


type RoutesOf[Section: RouteSection] = Annotated[
    Mapping[_Name, Annotated[Section, rule("be a mapping with policy and elements")]],
    rule("be a mapping from names to a policy and elements"),
]


def _check_proxy_wide(text: str) -> str:
    if text not in PROXY_WIDE:
        raise ValueError
    return text


_ProxyWide = Annotated[
    str, AfterValidator(_check_proxy_wide), rule(f"be one of {', '.join(PROXY_WIDE)}")
]
ProxyWide = Annotated[tuple[_ProxyWide, ...], rule("be a list of names, or [] for none")]
Timeouts = Annotated[Mapping[Backend, Seconds], rule("be a mapping from backends to seconds")]


class SessionLimits(BaseModel):
    """Limits of sessions and history, and the folder of session logs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max: Count = 1000
    history: Count = 200
    log_dir: Path | None = None
