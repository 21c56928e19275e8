"""What the value of a setting may be: types that say, in one sentence, what would be right.

They take text, as flags, environment and files give it.
"""

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    HttpUrl,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)

from backends.keys import Key
from backends.model_id import BACKEND_NAMES, BackendName
from commands.settings import check_prefix

_HTTP_URL = TypeAdapter(HttpUrl)
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST_NAME = rf"^{_LABEL}(?:\.{_LABEL})*$"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a socket bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def must(rule: str) -> WrapValidator:
    """Whatever is wrong with a value, say `rule`; what is wrong inside of it speaks for itself."""

    def validate(value: object, check: Callable[[object], object]) -> object:
        try:
            return check(value)
        except ValidationError as error:
            if error.errors()[0]["loc"]:
                raise
            raise ValueError(f"must {rule}") from None

    return WrapValidator(validate)


# The checks below need no words of their own: `must` has them.


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


Backend = Annotated[BackendName, must(f"be {' or '.join(BACKEND_NAMES)}")]
Demo = Annotated[Literal["off", "on", "auto"], must("be on, off or auto")]
PlaybackTiming = Annotated[Literal["at-once", "recorded"], must("be at-once or recorded")]
Switch = Annotated[bool, must("be true or false")]
Port = Annotated[int, Field(ge=0, le=65535), must("be a whole number between 0 and 65535")]
Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    must("be a number of seconds greater than 0"),
]
Count = Annotated[int, Field(gt=0), must("be a whole number greater than 0")]
Mebibytes = Annotated[int, Field(gt=0), must("be a whole number of MiB greater than 0")]
Text = Annotated[str, AfterValidator(_check_one_line), must("be one line of text")]
Prefix = Annotated[str, must("be text"), AfterValidator(check_prefix)]
ListenHost = Annotated[
    str,
    AfterValidator(_check_listen_host),
    must("be a host name or IP address, without scheme and port"),
]
HostName = Annotated[
    str,
    StringConstraints(pattern=_HOST_NAME, to_lower=True),
    must("be a host name such as api.openai.com, without scheme, port and path"),
]
BaseUrl = Annotated[
    str,
    AfterValidator(_check_base_url),
    must("be an http:// or https:// URL without user name, query and fragment"),
]
Origin = Annotated[
    str,
    AfterValidator(_check_origin),
    must("be a browser origin such as https://app.example"),
]
HostNames = Annotated[tuple[HostName, ...], must("be a list of host names")]
Origins = Annotated[tuple[Origin, ...], must("be a list of browser origins")]
File = Annotated[Path, AfterValidator(_check_file), must("be the path of a file")]
StateFile = Annotated[
    File,
    AfterValidator(_check_state_file),
    must("be the path of a file that ends in .json, .yaml or .yml"),
]
# Excluded from dumps of the settings, which would hold the secrets.
Keys = Annotated[tuple[Key, ...], Field(exclude=True)]
ClientKey = Annotated[Key | None, Field(exclude=True)]
