"""Finds the recorded response for a request."""

import difflib
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from backends import model_id, openai_wire
from backends.backend import Headers
from backends.errors import ApiError
from backends.model_id import BackendName
from backends.recordings import matching
from backends.recordings.matching import Fingerprint, PartDigest

CHAT = "chat"
EMBEDDINGS = "embeddings"

FINALISTS = 10
"""Recordings that a miss compares closely, after a quick look at all."""


class Recording(NamedTuple):
    """A response as a client got it."""

    status: int
    headers: Headers
    body: bytes
    model: str = ""
    """The model that answered, with its backend's prefix."""
    error: str | None = None
    """What went wrong, for people."""
    first_s: float = 0.0
    """Seconds to the first chunk."""
    total_s: float = 0.0
    """Seconds to the end."""

    @property
    def is_stream(self) -> bool:
        content_type = dict(self.headers).get("content-type", "")
        return content_type.lower().startswith("text/event-stream")

    @property
    def unplayable_reason(self) -> str | None:
        """Why it cannot be played; None if it can."""
        if self.error or self.status != 200:
            return self.error or str(self.status)
        if self.is_stream and not self.body.endswith(openai_wire.DONE):
            return "a stream without its end"
        return None


class Cassette:
    """Recordings in order, found by request. Error messages show `name`."""

    def __init__(self, name: str, backends: Collection[BackendName]) -> None:
        self.name = name
        self.backends = backends
        self.recordings: list[Recording] = []
        self._requests: list[Fingerprint] = []
        self._known: dict[bytes, PartDigest] = {}
        self._numbers: defaultdict[object, list[int]] = defaultdict(list)
        self._plays: Counter[object] = Counter()

    def add(self, endpoint: str, request: dict[str, Any], recording: Recording) -> None:
        """Add the next recording. Parts that requests share are stored once."""
        fingerprint = matching.fingerprint_of(endpoint, request, self._known, self.backends)
        parts = (*fingerprint.fields.values(), *fingerprint.messages)
        self._known |= {part.exact: part for part in parts}
        if not recording.unplayable_reason:
            for key in {fingerprint.exact, fingerprint.normalized}:  # often the same
                self._numbers[recording.is_stream, key].append(len(self.recordings))
        self._requests.append(fingerprint)
        self.recordings.append(recording)

    def find(self, endpoint: str, request: dict[str, Any]) -> int:
        """The number of the recording to play. Raises ApiError (404) if none matches.

        Recordings of equal requests play in order; the last one repeats.
        """
        fingerprint = matching.fingerprint_of(endpoint, request, self._known, self.backends)
        is_stream = endpoint == CHAT and openai_wire.is_stream(request)
        for key in _keys(fingerprint, is_stream):
            if numbers := self._numbers.get(key):
                index = min(self._plays[key], len(numbers) - 1)
                self._plays[key] += 1
                return numbers[index]
        raise ApiError(404, self._miss(fingerprint), code="cassette_miss")

    def models(self, backend: BackendName) -> list[str]:
        """The models that requests named or that answered, as this backend's."""
        found: dict[str, None] = {}
        for recording, request in zip(self.recordings, self._requests, strict=True):
            answering = model_id.parse(recording.model, self.backends)
            if (answering.backend or next(iter(self.backends))) == backend:
                requested = request.fields.get("model")
                found |= dict.fromkeys(
                    filter(None, (requested and requested.value, answering.name))
                )
        return list(found)

    def _miss(self, request: Fingerprint) -> str:
        model = request.fields.get("model")
        facts = [f"model {model.value}" if model else "no model"]
        if request.messages:
            facts.append(f"messages: {len(request.messages)}")
        text = f"No recorded response in {self.name} for this {request.endpoint} request"
        return f"{text} ({', '.join(facts)}). {self._nearest(request)}"

    def _nearest(self, request: Fingerprint) -> str:
        """The nearest recorded request, and why its response cannot be played."""
        numbers = [n for n, each in enumerate(self._requests) if each.endpoint == request.endpoint]
        if not numbers:
            return f"Nothing is recorded for {request.endpoint}"
        number = self._most_similar(numbers, request)
        position = f"{number + 1} of {len(self._requests)}"
        if difference := matching.first_difference(self._requests[number], request):
            return f"The nearest, request {position}, differs: {difference}"
        reason = self.recordings[number].unplayable_reason
        why_not = f"its recorded response was {reason}" if reason else "it was recorded as a stream"
        return f"Request {position} matches, but {why_not}"

    def _most_similar(self, numbers: Sequence[int], request: Fingerprint) -> int:
        """The recording, among these, with the most similar request.

        Counts equal messages at the beginning, then compares the next and the last message.
        """
        equal = {n: matching.equal_messages(self._requests[n], request) for n in numbers}
        most = max(equal.values())
        leaders = [n for n in numbers if equal[n] == most]
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(matching.excerpt(request, most))

        def similarity(number: int, measure: Callable[[], float]) -> tuple[float, int]:
            matcher.set_seq1(matching.excerpt(self._requests[number], most))
            return measure(), -matching.different_parts(self._requests[number], request)

        finalists = heapq.nlargest(
            FINALISTS, leaders, key=lambda number: similarity(number, matcher.quick_ratio)
        )
        return max(finalists, key=lambda number: similarity(number, matcher.ratio))


def _keys(request: Fingerprint, is_stream: bool) -> Iterator[tuple[bool, tuple[object, ...]]]:
    """Keys to look up, the best first. A complete response can be streamed, but not the reverse."""
    for shape in dict.fromkeys((is_stream, False)):
        yield shape, request.exact
        yield shape, request.normalized
