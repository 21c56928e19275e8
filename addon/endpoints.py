"""Which requests are ours: the table of endpoints, and the rule that matches a request to it."""

import re
from enum import Enum
from typing import NamedTuple
from urllib.parse import unquote

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


ENDPOINTS = (
    *(
        Endpoint(dialect.name, ("POST",), re.compile(_ANY_PREFIX + dialect.path), dialect=dialect)
        for dialect in DIALECTS.values()
    ),
    Endpoint("root", ("GET", "HEAD"), re.compile("/"), on_hosts=False, needs_key=False),
    Endpoint("health", ("GET", "HEAD"), re.compile("/health"), on_hosts=False, needs_key=False),
    Endpoint("models", ("GET", "HEAD"), re.compile(f"{_PREFIX}/models")),
    # Model ids hold slashes and colons. OpenRouter's .../endpoints is another thing, left to it.
    Endpoint("model", ("GET", "HEAD"), re.compile(rf"{_PREFIX}/models/(?P<id>.+)(?<!/endpoints)")),
    Endpoint("embeddings", ("POST",), re.compile(f"{_ANY_PREFIX}/embeddings")),
)


class Claim(NamedTuple):
    """A request that we answer. `argument` is the path's `id`, decoded, if it has one."""

    endpoint: Endpoint
    argument: str = ""


def match(path: str, place: Place) -> Claim | None:
    """The endpoint that `path` (query included) names at `place`, whatever the method."""
    if place is Place.ELSEWHERE:
        return None
    path = path.partition("?")[0]
    path = path.rstrip("/") or "/"
    for endpoint in ENDPOINTS:
        found = endpoint.path.fullmatch(path)
        if found and (endpoint.on_hosts or place is Place.OURSELVES):
            return Claim(endpoint, unquote(found.groupdict().get("id", "")))
    return None
