"""Recorded responses, and which of them answers a request that was asked before."""

import difflib
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from backends import model_id, openai_wire
from backends.backend import Headers
from backends.errors import ApiError
from backends.model_id import BackendName
from backends.recordings import matching
from backends.recordings.matching import Gist, Part

CHAT = "chat"
EMBEDDINGS = "embeddings"

# A miss looks at all recordings, and at so many of them closely.
FINALISTS = 10


class Recording(NamedTuple):
    """An answer as a client got it.

    `served` is the model that gave it, with its backend. `error` is what went wrong, for people.
    `first_s` is the time to the first piece of a stream, `total_s` that to the end.
    """

    status: int
    headers: Headers
    body: bytes
    served: str = ""
    error: str | None = None
    first_s: float = 0.0
    total_s: float = 0.0

    @property
    def is_stream(self) -> bool:
        content_type = dict(self.headers).get("content-type", "")
        return content_type.lower().startswith("text/event-stream")

    @property
    def fault(self) -> str | None:
        """Why it cannot be played, if so."""
        if self.error or self.status != 200:
            return self.error or str(self.status)
        if self.is_stream and not self.body.endswith(openai_wire.DONE):
            return "a stream without its end"
        return None


class Cassette:
    """Recordings in their order, found by what was asked. `name` is for people."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.recordings: list[Recording] = []
        self._gists: list[Gist] = []
        self._known: dict[bytes, Part] = {}
        self._takes: defaultdict[object, list[int]] = defaultdict(list)
        self._played: Counter[object] = Counter()

    def add(self, endpoint: str, request: dict[str, Any], recording: Recording) -> None:
        """Add the next recording. Of requests what they have in common is kept only once."""
        gist = matching.gist_of(endpoint, request, self._known)
        self._known |= {part.exact: part for part in (*gist.fields.values(), *gist.messages)}
        if not recording.fault:
            for key in {gist.exact, gist.loose}:  # often the same
                self._takes[recording.is_stream, key].append(len(self.recordings))
        self._gists.append(gist)
        self.recordings.append(recording)

    def find(self, endpoint: str, request: dict[str, Any]) -> int:
        """The number of the recording to answer with; ApiError 404 if there is none.

        What was recorded several times is answered in this order, the last time again and again.
        """
        asked = matching.gist_of(endpoint, request, self._known)
        is_stream = endpoint == CHAT and openai_wire.is_stream(request)
        for key in _keys(asked, is_stream):
            if takes := self._takes.get(key):
                take = min(self._played[key], len(takes) - 1)
                self._played[key] += 1
                return takes[take]
        raise ApiError(404, self._miss(asked), code="cassette_miss")

    def models(self, backend: BackendName) -> list[str]:
        """The models that were asked for or have answered, as this backend's."""
        found: dict[str, None] = {}
        for recording, gist in zip(self.recordings, self._gists, strict=True):
            served = model_id.parse(recording.served)
            if (served.backend or "openrouter") == backend:
                asked = gist.fields.get("model")
                found |= dict.fromkeys(filter(None, (asked and asked.value, served.name)))
        return list(found)

    def _miss(self, asked: Gist) -> str:
        model = asked.fields.get("model")
        what = [f"model {model.value}" if model else "no model"]
        if asked.messages:
            what.append(f"messages: {len(asked.messages)}")
        told = f"No recorded answer in {self.name} for this {asked.endpoint} request"
        return f"{told} ({', '.join(what)}). {self._nearest(asked)}"

    def _nearest(self, asked: Gist) -> str:
        """Which recorded request comes nearest, and why its answer does not do."""
        numbers = [n for n, gist in enumerate(self._gists) if gist.endpoint == asked.endpoint]
        if not numbers:
            return f"Nothing is recorded for {asked.endpoint}"
        number = self._most_similar(numbers, asked)
        which = f"request {number + 1} of {len(self._gists)}"
        if difference := matching.first_difference(self._gists[number], asked):
            return f"The nearest, {which}, differs: {difference}"
        fault = self.recordings[number].fault
        why = f"its recorded answer was {fault}" if fault else "it was recorded as a stream"
        return f"The same was asked by {which}, but {why}"

    def _most_similar(self, numbers: Sequence[int], asked: Gist) -> int:
        """Of these recordings the one whose request is most like the asked one.

        First counts how many messages at the beginning are the same, then how similar the next and
        the last ones are.
        """
        equal = {n: matching.equal_messages(self._gists[n], asked) for n in numbers}
        most = max(equal.values())
        leaders = [n for n in numbers if equal[n] == most]
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(matching.excerpt(asked, most))

        def similarity(number: int, measure: Callable[[], float]) -> tuple[float, int]:
            matcher.set_seq1(matching.excerpt(self._gists[number], most))
            return measure(), -matching.different_parts(self._gists[number], asked)

        finalists = heapq.nlargest(
            FINALISTS, leaders, key=lambda number: similarity(number, matcher.quick_ratio)
        )
        return max(finalists, key=lambda number: similarity(number, matcher.ratio))


def _keys(gist: Gist, is_stream: bool) -> Iterator[tuple[bool, tuple[object, ...]]]:
    """Where to look, the best first: a whole answer can be made a stream, but no stream whole."""
    for shape in dict.fromkeys((is_stream, False)):
        yield shape, gist.exact
        yield shape, gist.loose
