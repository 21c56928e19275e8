"""Which requests are ours: the table of endpoints, and the rule that matches a request to it."""

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


class Place(Enum):
    """Whom the client believes to talk to."""

    OURSELVES = "ourselves"
    LLM_HOST = "llm host"
    ELSEWHERE = "elsewhere"


class Endpoint(NamedTuple):
    """`path` is matched in full; its group `id` is the argument.

    `on_hosts`: also claimed on a listed LLM host, and then never sent there.
    `needs_key`: the client must show the client key. `dialect` is that of endpoints that take a
    prompt.
    """

    name: str
    methods: tuple[str, ...]
    path: re.Pattern[str]
    on_hosts: bool = True
    needs_key: bool = True
    dialect: Dialect | None = None


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
    # Model ids hold slashes and colons. OpenRouter's .../endpoints is another thing, left to it.
    Endpoint("model", ("GET", "HEAD"), _pattern(rf"{_PREFIX}/models/(?P<id>.+)(?<!/endpoints)")),
    Endpoint("embeddings", ("POST",), _pattern(f"{_ANY_PREFIX}/embeddings")),
    # They take a prompt as `responses` does, so they are never for a listed host to see.
    Endpoint("unsupported", ("POST",), _pattern(f"{_ANY_PREFIX}/responses/(compact|input_tokens)")),
)


class Claim(NamedTuple):
    """A request that we answer. `argument` is the path's `id`, decoded, if it has one."""

    endpoint: Endpoint
    argument: str = ""


def place(hosts: Iterable[str | None], listed: Collection[str]) -> Place:
    """Every name that a client used for the host counts, or a request could slip past us."""
    found = {names.host_name(host) for host in hosts if host}
    return Place.ELSEWHERE if found.isdisjoint(listed) else Place.LLM_HOST


def match(path: str, place: Place) -> Claim | None:
    """The endpoint that `path` (query included) names at `place`, whatever the method."""
    if place is Place.ELSEWHERE:
        return None
    path = names.path(path)
    for endpoint in ENDPOINTS:
        found = endpoint.path.fullmatch(path)
        if found and (endpoint.on_hosts or place is Place.OURSELVES):
            return Claim(endpoint, found.groupdict().get("id", ""))
    return None
