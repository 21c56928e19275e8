"""Matches requests to the table of endpoints."""

import re
from collections.abc import Collection, Iterable
from enum import Enum
from typing import NamedTuple

from addon.endpoints import names
from backends.dialects.registry import DIALECTS, Dialect

# A base URL may or may not end in /v1, and OpenRouter's clients use /api/v1.
_PREFIX = r"(?:/api)?(?:/v1)?"
# On a vendor's host the OpenAI dialect lives under many prefixes (/openai/v1, /v1beta/openai, ...).
_ANY_PREFIX = r"(?:/[^/]+)*"


class HostKind(Enum):
    """The kind of host that the client addresses."""

    PROXY = "the proxy itself"
    LLM_HOST = "a host of `intercept_hosts`"
    OTHER = "any other host"


class Endpoint(NamedTuple):
    """A row of the table."""

    name: str
    methods: tuple[str, ...]
    path: re.Pattern[str]
    """Matches the whole path. Its group `id` is a model id."""
    on_hosts: bool = True
    """Also claimed on a listed LLM host. Claimed requests are never sent there."""
    needs_key: bool = True
    """The client must send the client key."""
    dialect: Dialect | None = None
    """For endpoints that take a prompt."""


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(path, re.IGNORECASE)


ENDPOINTS = (
    *(
        Endpoint(dialect.name, ("POST",), _pattern(_ANY_PREFIX + dialect.path), dialect=dialect)
        for dialect in DIALECTS.values()
    ),
    Endpoint("root", ("GET", "HEAD"), _pattern("/"), on_hosts=False, needs_key=False),
    Endpoint("health", ("GET", "HEAD"), _pattern("/health"), on_hosts=False, needs_key=False),
    Endpoint("models", ("GET", "HEAD"), _pattern(f"{_PREFIX}/models")),
    # Model ids hold slashes and colons. OpenRouter's .../endpoints lists providers: passed through.
    Endpoint("model", ("GET", "HEAD"), _pattern(rf"{_PREFIX}/models/(?P<id>.+)(?<!/endpoints)")),
    Endpoint("embeddings", ("POST",), _pattern(f"{_ANY_PREFIX}/embeddings")),
    *(
        Endpoint("unsupported", ("POST",), _pattern(_ANY_PREFIX + path))
        for dialect in DIALECTS.values()
        for path in dialect.unserved_paths
    ),
)


class Match(NamedTuple):
    """The endpoint of a request."""

    endpoint: Endpoint
    model_id: str = ""
    """The model id of the path, decoded; empty if there is none."""


def host_kind(hosts: Iterable[str | None], listed: Collection[str]) -> HostKind:
    """All names that a client used for the host count. Else a request could bypass the proxy."""
    found = {names.host_name(host) for host in hosts if host}
    return HostKind.OTHER if found.isdisjoint(listed) else HostKind.LLM_HOST


def match(path: str, kind: HostKind) -> Match | None:
    """The endpoint of `path` (query included) on a host of this kind, whatever the method."""
    if kind is HostKind.OTHER:
        return None
    path = names.path(path)
    for endpoint in ENDPOINTS:
        found = endpoint.path.fullmatch(path)
        if found and (endpoint.on_hosts or kind is HostKind.PROXY):
            return Match(endpoint, found.groupdict().get("id", ""))
    return None
