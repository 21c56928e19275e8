"""Matches requests for playback, ignoring volatile text such as dates and ids.

Each part of a request has an exact text and a normalized one, where a placeholder replaces
volatile text. Exact matches are preferred: they need no guess of what is volatile.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile, zip_longest
from typing import Any, NamedTuple

from backends import model_id
from backends.model_id import BackendName

IGNORED_FIELDS = frozenset(
    {
        # For the vendor's accounts, limits and caches; agents put the ids of a run into them.
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "store",
        "session_id",
        "trace",
        # How the response is sent, not what it says.
        "stream",
        "stream_options",
        "usage",
        # Often random for each request; a recording is not sampled again.
        "seed",
    }
)

_YEAR = "(?:19|20)[0-9]{2}"
_CLOCK = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-6][0-9](?:[.,][0-9]+)?)?(?: ?[AaPp][Mm]\b)?"
_WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"

VOLATILE_TEXT = (
    # UUIDs, also without dashes
    r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}(?![0-9A-Za-z])",
    # 2026-11-23, 2026/11/23, 2026-11-23T10:15:00.5+01:00
    rf"{_YEAR}[-/](?:0[1-9]|1[0-2])[-/](?:0[1-9]|[12][0-9]|3[01])(?![0-9])"
    rf"(?:[T ]{_CLOCK}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?)?",
    # 11/23/2026, 23.11.2026
    rf"[0-9]{{1,2}}[./][0-9]{{1,2}}[./]{_YEAR}\b",
    # Mon Nov 23 2026, Monday, November 23, 2026, 23 Nov 2026; Nov 23 10:15 [UTC 2026] (ls, date)
    rf"(?:{_WEEKDAY},? +)?(?:{_MONTH} +[0-9]{{1,2}}(?:st|nd|rd|th)?|[0-9]{{1,2}}\.? {_MONTH})"
    rf"(?:,? +{_YEAR}\b| +{_CLOCK}(?:(?: [A-Z]{{2,5}})? {_YEAR}\b)?)",
    # 10:15, 10:15:00.5, 3:15 PM; not a line and column in a file (main.py:10:15)
    rf"(?<![.:/_-]){_CLOCK}(?![\w:])",
    # Seconds since the epoch, also in milli-, micro- and nanoseconds
    r"1[5-9][0-9]{8}(?:[0-9]{3}){0,3}(?:\.[0-9]+)?\b",
    # Measured durations: 0.12s, 1.5 seconds, 120ms
    r"[0-9]+(?:\.[0-9]+ ?(?:seconds|sec|s|ms)|ms)\b",
    # Ports on this machine
    r"(?:(?<=localhost:)|(?<=127\.0\.0\.1:)|(?<=0\.0\.0\.0:)|(?<=\[::1]:))[0-9]{2,5}\b",
    # Addresses in memory: <object at 0x7f3a12>
    r"(?<=at )0x[0-9a-fA-F]+",
    # Names in the folder for temporary files that look random and have no file extension
    r"(?:(?<=/tmp/)|(?<=/T/)|(?<=Temp/)|(?<=Temp\\{2})|(?<=Temp\\{4}))"
    r"(?:tmp[\w.-]+|pytest-of-[\w.-]+[\\/]+pytest-[0-9]+|[\w-]*[0-9A-Z][\w-]*(?![\w.-]))",
)
"""Patterns of text that changes from run to run."""

# Texts are JSON, so a word may begin after an escaped line end or character.
_START = r"(?:(?<![0-9A-Za-z])|(?<=\\[nrt])|(?<=\\u[0-9a-f]{4}))"
_VOLATILE = re.compile(f"{_START}(?:{'|'.join(VOLATILE_TEXT)})", re.ASCII)

_CONTEXT = 30
_MAX_EXCERPT = 100
_MAX_BEGINNING = 500
_NOTHING = object()


class PartDigest(NamedTuple):
    """A field of a request or one of its messages."""

    value: Any
    exact: bytes
    """Digest of its JSON."""
    normalized: bytes
    """Digest of its JSON without volatile text."""
    beginning: str
    """How the normalized text begins."""


PartsByDigest = Mapping[bytes, PartDigest]
"""By exact digest."""

_MISSING = PartDigest(_NOTHING, b"", b"", "")


class Fingerprint(NamedTuple):
    """The meaning of a request."""

    endpoint: str
    fields: Mapping[str, PartDigest]
    """All that count, except `messages`."""
    messages: tuple[PartDigest, ...]

    @property
    def exact(self) -> tuple[object, ...]:
        """Equal for requests with the same meaning and text."""
        fields = sorted((name, part.exact) for name, part in self.fields.items())
        return (self.endpoint, *fields, *(part.exact for part in self.messages))

    @property
    def normalized(self) -> tuple[object, ...]:
        """Equal even if requests differ in volatile text."""
        fields = sorted((name, part.normalized) for name, part in self.fields.items())
        return (self.endpoint, *fields, *(part.normalized for part in self.messages))


def fingerprint_of(
    endpoint: str,
    request: Mapping[str, Any],
    known: PartsByDigest,
    backends: Collection[BackendName],
) -> Fingerprint:
    """The fingerprint of a request. Reuses the parts in `known`."""
    fields = {
        name: _part(value, known)
        for name, value in request.items()
        if name not in IGNORED_FIELDS and name != "messages" and value is not None
    }
    # The backend's prefix does not count. A version in the name that looks like a date does.
    if model := request.get("model"):
        name = model_id.parse(model, backends).name
        digest = _digest(f"model {name}")
        fields["model"] = PartDigest(name, digest, digest, name)
    return Fingerprint(
        endpoint, fields, tuple(_part(value, known) for value in request.get("messages", ()))
    )


def _part(value: Any, known: PartsByDigest) -> PartDigest:
    text = _text(value)
    exact = _digest(text)
    if part := known.get(exact):
        return part
    normalized = _normalized(text)
    return PartDigest(value, exact, _digest(normalized), normalized[:_MAX_BEGINNING])


def _text(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _normalized(text: str) -> str:
    return _VOLATILE.sub("<varies>", text)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def equal_messages(one: Fingerprint, other: Fingerprint) -> int:
    """How many messages at the beginning match."""
    return _common(*([part.normalized for part in each.messages] for each in (one, other)))


def different_parts(one: Fingerprint, other: Fingerprint) -> int:
    """How many fields and messages do not match."""
    return sum(first.normalized != second.normalized for _, first, second in _pairs(one, other))


def excerpt(fingerprint: Fingerprint, at: int) -> str:
    """How the message at an index and the newest one begin, or an embeddings input."""
    parts = [*fingerprint.messages[at : at + 1], *fingerprint.messages[-1:]]
    parts = parts or [part for name, part in fingerprint.fields.items() if name == "input"]
    return "".join(part.beginning for part in parts)


def first_difference(recorded: Fingerprint, requested: Fingerprint) -> str | None:
    """Where two requests differ first, as `<path>: recorded ..., requested ...`."""
    for path, one, other in _pairs(recorded, requested):
        if one.normalized != other.normalized:
            inside = path != "model" and _difference(path, one.value, other.value)
            path, *texts = inside or (path, _text(one.value), _text(other.value))
            start = max(0, _common(*texts) - _CONTEXT)
            excerpts = [_clipped(text, start) for text in texts]
            return f"{path}: recorded {excerpts[0]}, requested {excerpts[1]}"
    return None


def _common(one: Sequence[object], other: Sequence[object]) -> int:
    """How many items at the beginning are the same."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _pairs(one: Fingerprint, other: Fingerprint) -> Iterator[tuple[str, PartDigest, PartDigest]]:
    for name in {**one.fields, **other.fields}:
        yield name, one.fields.get(name, _MISSING), other.fields.get(name, _MISSING)
    both = zip_longest(one.messages, other.messages, fillvalue=_MISSING)
    for number, (first, second) in enumerate(both):
        yield f"messages[{number}]", first, second


def _difference(path: str, one: Any, other: Any) -> tuple[str, str, str] | None:
    """The first path at which two values differ, and the normalized texts there."""
    pairs: Iterable[tuple[str, Any, Any]]
    match one, other:
        case dict(), dict():
            pairs = (
                (f"{path}.{name}", one.get(name, _NOTHING), other.get(name, _NOTHING))
                for name in {**one, **other}
            )
        case list(), list():
            both = zip_longest(one, other, fillvalue=_NOTHING)
            pairs = ((f"{path}[{number}]", *pair) for number, pair in enumerate(both))
        case _:
            texts = _normalized(_text(one)), _normalized(_text(other))
            return None if texts[0] == texts[1] else (path, *texts)
    return next(filter(None, (_difference(*pair) for pair in pairs)), None)


def _clipped(text: str, start: int) -> str:
    end = start + _MAX_EXCERPT
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
