"""When two requests ask the same: their meaning, without what changes from one run to the next.

Two texts of a request are compared: the exact one, and the loose one, in which what tells of the
hour or the run has been replaced. Where there are exact twins the loose ones need not be trusted.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile, zip_longest
from typing import Any, NamedTuple

from backends import model_id

IGNORED_FIELDS = frozenset(
    {
        # For the vendor's books, limits and caches; agents put the ids of a run into them.
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "store",
        "session_id",
        "trace",
        # How the answer comes, not what it says.
        "stream",
        "stream_options",
        "usage",
        # Often drawn for each request; what is recorded is not drawn again.
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
    # 10:15, 10:15:00.5, 3:15 PM; not the line and column of a place in a file (main.py:10:15)
    rf"(?<![.:/_-]){_CLOCK}(?![\w:])",
    # Seconds since the epoch, and their thousandths, millionths and billionths
    r"1[5-9][0-9]{8}(?:[0-9]{3}){0,3}(?:\.[0-9]+)?\b",
    # Durations as they are measured: 0.12s, 1.5 seconds, 120ms
    r"[0-9]+(?:\.[0-9]+ ?(?:seconds|sec|s|ms)|ms)\b",
    # Ports on this machine
    r"(?:(?<=localhost:)|(?<=127\.0\.0\.1:)|(?<=0\.0\.0\.0:)|(?<=\[::1]:))[0-9]{2,5}\b",
    # Addresses in memory: <object at 0x7f3a12>
    r"(?<=at )0x[0-9a-fA-F]+",
    # Names in the folder for temporary files that look made up, and have no ending as files do
    r"(?:(?<=/tmp/)|(?<=/T/)|(?<=Temp/)|(?<=Temp\\{2})|(?<=Temp\\{4}))"
    r"(?:tmp[\w.-]+|pytest-of-[\w.-]+[\\/]+pytest-[0-9]+|[\w-]*[0-9A-Z][\w-]*(?![\w.-]))",
)
"""What changes from run to run."""

# Texts are JSON, so that a word may begin behind an escaped line end or character.
_START = r"(?:(?<![0-9A-Za-z])|(?<=\\[nrt])|(?<=\\u[0-9a-f]{4}))"
_VOLATILE = re.compile(f"{_START}(?:{'|'.join(VOLATILE_TEXT)})", re.ASCII)

_CONTEXT = 30
_SHOWN = 100
_COMPARED = 500
_NOTHING = object()


class Part(NamedTuple):
    """A field of a request or one of its messages.

    Digests of its exact and its loose text, and how the loose one begins.
    """

    value: Any
    exact: bytes
    loose: bytes
    beginning: str


_MISSING = Part(_NOTHING, b"", b"", "")


class Gist(NamedTuple):
    """What a request means; `fields` are all that count but the messages."""

    endpoint: str
    fields: Mapping[str, Part]
    messages: tuple[Part, ...]

    @property
    def exact(self) -> tuple[object, ...]:
        """Equal for requests that mean the same to the letter."""
        fields = sorted((name, part.exact) for name, part in self.fields.items())
        return (self.endpoint, *fields, *(part.exact for part in self.messages))

    @property
    def loose(self) -> tuple[object, ...]:
        """Equal also for requests that differ in volatile text."""
        fields = sorted((name, part.loose) for name, part in self.fields.items())
        return (self.endpoint, *fields, *(part.loose for part in self.messages))


def gist_of(endpoint: str, request: Mapping[str, Any], known: Mapping[bytes, Part]) -> Gist:
    """The meaning of a request; parts that are in `known`, by their exact digest, are its parts."""
    fields = {
        name: _part(value, known)
        for name, value in request.items()
        if name not in IGNORED_FIELDS and name != "messages" and value is not None
    }
    # Who serves a model is not asked here. A version in its name that looks like a date counts.
    if model := request.get("model"):
        name = model_id.parse(model).name
        digest = _digest(f"model {name}")
        fields["model"] = Part(name, digest, digest, name)
    return Gist(
        endpoint, fields, tuple(_part(value, known) for value in request.get("messages", ()))
    )


def _part(value: Any, known: Mapping[bytes, Part]) -> Part:
    text = _text(value)
    exact = _digest(text)
    if part := known.get(exact):
        return part
    loose = _loosened(text)
    return Part(value, exact, _digest(loose), loose[:_COMPARED])


def _text(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _loosened(text: str) -> str:
    return _VOLATILE.sub("<varies>", text)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def equal_messages(one: Gist, other: Gist) -> int:
    """How many messages at the beginning are loosely the same."""
    return _common([part.loose for part in one.messages], [part.loose for part in other.messages])


def different_parts(one: Gist, other: Gist) -> int:
    """How many fields and messages are not loosely the same."""
    return sum(first.loose != second.loose for _, first, second in _pairs(one, other))


def excerpt(gist: Gist, at: int) -> str:
    """How the message at an index and the newest one begin, or else the input to be embedded."""
    parts = [*gist.messages[at : at + 1], *gist.messages[-1:]]
    parts = parts or [part for name, part in gist.fields.items() if name == "input"]
    return "".join(part.beginning for part in parts)


def first_difference(recorded: Gist, asked: Gist) -> str | None:
    """The first place where two requests differ, as `<place>: recorded ... but asked ...`."""
    for place, one, other in _pairs(recorded, asked):
        if one.loose != other.loose:
            inside = place != "model" and _difference(place, one.value, other.value)
            place, *texts = inside or (place, _text(one.value), _text(other.value))
            start = max(0, _common(*texts) - _CONTEXT)
            shown = [_clipped(text, start) for text in texts]
            return f"{place}: recorded {shown[0]} but asked {shown[1]}"
    return None


def _common(one: Sequence[object], other: Sequence[object]) -> int:
    """How many items at the beginning are the same."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _pairs(one: Gist, other: Gist) -> Iterator[tuple[str, Part, Part]]:
    for name in {**one.fields, **other.fields}:
        yield name, one.fields.get(name, _MISSING), other.fields.get(name, _MISSING)
    both = zip_longest(one.messages, other.messages, fillvalue=_MISSING)
    for number, (first, second) in enumerate(both):
        yield f"messages[{number}]", first, second


def _difference(place: str, one: Any, other: Any) -> tuple[str, str, str] | None:
    """The first place inside of two values, with the loose texts that are there."""
    pairs: Iterable[tuple[str, Any, Any]]
    match one, other:
        case dict(), dict():
            pairs = (
                (f"{place}.{name}", one.get(name, _NOTHING), other.get(name, _NOTHING))
                for name in {**one, **other}
            )
        case list(), list():
            both = zip_longest(one, other, fillvalue=_NOTHING)
            pairs = ((f"{place}[{number}]", *pair) for number, pair in enumerate(both))
        case _:
            texts = _loosened(_text(one)), _loosened(_text(other))
            return None if texts[0] == texts[1] else (place, *texts)
    return next(filter(None, (_difference(*pair) for pair in pairs)), None)


def _clipped(text: str, start: int) -> str:
    end = start + _SHOWN
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
