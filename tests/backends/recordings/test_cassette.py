"""Which recording answers a request, and the error if none does."""

from typing import Any

import pytest

from backends.backend import ModelRequest
from backends.errors import ApiError
from backends.keys import Key
from backends.recordings.backend import Playback
from backends.recordings.cassette import Cassette, Recording
from backends.vendors.registry import VENDORS

KEY = Key("CASSETTE", "cassette")
DONE = b"data: [DONE]\n\n"


def asking(*texts: str, **fields: object) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
    return {"model": "openrouter:m", "messages": messages, **fields}


def whole(text: str = "", **facts: Any) -> Recording:
    return Recording(200, [("content-type", "application/json")], text.encode(), **facts)


def stream(text: str = "", end: bytes = DONE) -> Recording:
    return Recording(200, [("content-type", "text/event-stream")], text.encode() + end)


def failed(status: int, error: str | None = None) -> Recording:
    return Recording(status, [("content-type", "application/json")], b"{}", error=error)


def cassette(*takes: tuple[dict[str, Any], Recording], endpoint: str = "chat") -> Cassette:
    made = Cassette("run.mitm", VENDORS)
    for request, recording in takes:
        made.add(endpoint, request, recording)
    return made


def miss(of: Cassette, request: dict[str, Any], endpoint: str = "chat") -> str:
    with pytest.raises(ApiError) as missed:
        of.find(endpoint, request)
    assert (missed.value.status, missed.value.code) == (404, "cassette_miss")
    return missed.value.message


def test_responses_come_in_the_order_of_recording_and_the_last_repeats() -> None:
    tape = cassette(*[(asking("a"), whole()), (asking("b"), whole()), (asking("a"), whole())] * 2)
    assert [tape.find("chat", asking("a")) for _ in range(6)] == [0, 2, 3, 5, 5, 5]
    assert [tape.find("chat", asking("b")) for _ in range(3)] == [1, 4, 4]


def test_exact_matches_go_before_normalized_ones() -> None:
    times = ("10:00", "11:00", "10:00")
    tape = cassette(*((asking(f"It is {time}"), whole()) for time in times))
    assert [tape.find("chat", asking("It is 11:00")) for _ in range(2)] == [1, 1]
    assert [tape.find("chat", asking("It is 10:00")) for _ in range(3)] == [0, 2, 2]
    assert [tape.find("chat", asking("It is 12:00")) for _ in range(4)] == [0, 1, 2, 2]


def test_a_whole_response_may_become_a_stream_but_not_the_reverse() -> None:
    tape = cassette((asking("a"), whole()), (asking("b"), stream()))
    assert tape.find("chat", asking("a", stream=True)) == 0
    assert tape.find("chat", asking("b", stream=True)) == 1
    assert "Request 2 of 2 matches, but it was recorded as a stream" in miss(tape, asking("b"))


def test_the_requested_form_goes_first() -> None:
    tape = cassette((asking("at 10:00"), whole()), (asking("at 10:00"), stream()))
    assert tape.find("chat", asking("at 10:00", stream=True)) == 1
    assert tape.find("chat", asking("at 11:00", stream=True)) == 1
    assert tape.find("chat", asking("at 11:00")) == 0


FAULTS = {
    "an error": (failed(429, "429 Slow down"), "429 Slow down"),
    "an error without words": (failed(500), "500"),
    "an error in a stream": (
        stream("data: {}\n\n")._replace(error="502 broken"),
        "502 broken",
    ),
    "no end": (stream("data: {}\n\n", end=b""), "a stream without its end"),
}


@pytest.mark.parametrize(("recording", "reason"), FAULTS.values(), ids=FAULTS)
def test_failures_are_reported_and_not_played(recording: Recording, reason: str) -> None:
    tape = cassette((asking("a"), recording))
    for request in (asking("a"), asking("a", stream=True)):
        assert miss(tape, request).endswith(
            f"Request 1 of 1 matches, but its recorded response was {reason}"
        )
    tape.add("chat", asking("a"), whole())
    assert tape.find("chat", asking("a")) == 1


def test_embeddings_are_not_mixed_up_with_chats() -> None:
    tape = cassette(({"model": "m", "input": ["a", "b"]}, whole()), endpoint="embeddings")
    assert tape.find("embeddings", {"model": "m", "input": ["a", "b"]}) == 0
    assert miss(tape, asking("a")) == (
        "No recorded response in run.mitm for this chat request (model m, messages: 1). "
        "Nothing is recorded for chat"
    )
    assert miss(tape, {"input": ["a", "c"]}, "embeddings").endswith(
        "embeddings request (no model). The nearest, request 1 of 1, differs: "
        'model: recorded "m", requested nothing'
    )


NEAREST = {
    "most messages at the beginning": (
        [("a", "b", "c"), ("a", "b"), ("x", "b", "c")],
        ("a", "b", "d"),
        'request 1 of 3, differs: messages[2].content: recorded "c", requested "d"',
    ),
    "though the rest may be more similar elsewhere": (
        [("x", "b", "list the files"), ("a", "12345")],
        ("a", "b", "list the files"),
        'request 2 of 2, differs: messages[1].content: recorded "12345", requested "b"',
    ),
    "then the most similar next message": (
        [("a", "completely different"), ("a", "list the files"), ("a", "12345")],
        ("a", "list all files"),
        "request 2 of 3, differs: messages[1].content: "
        'recorded "list the files", requested "list all files"',
    ),
    "then the most similar last message": (
        [("a", "b", "one"), ("a", "b", "two"), ("a", "b", "three")],
        ("z", "b", "two"),
        'request 2 of 3, differs: messages[0].content: recorded "a", requested "z"',
    ),
    "then the fewest differences": (
        [("a", "x", "c"), ("a", "b", "c"), ("a", "y", "c")],
        ("z", "b", "c"),
        'request 2 of 3, differs: messages[0].content: recorded "a", requested "z"',
    ),
    "a session that went on": (
        [("a", "b", "c", "d", "e")],
        ("a", "b", "c"),
        'request 1 of 1, differs: messages[3]: recorded {"content":"d","role":"assistant"}, '
        "requested nothing",
    ),
}


@pytest.mark.parametrize(("recorded", "asked", "message"), NEAREST.values(), ids=NEAREST)
def test_a_miss_shows_what_comes_nearest(
    recorded: list[tuple[str, ...]], asked: tuple[str, ...], message: str
) -> None:
    tape = cassette(*((asking(*texts), whole()) for texts in recorded))
    assert miss(tape, asking(*asked)).endswith(f"The nearest, {message}")


def test_a_miss_that_is_equal_but_failed_goes_before_one_that_is_only_similar() -> None:
    tape = cassette(
        (asking("a", temperature=1), whole()), (asking("a"), failed(503, "503 Overloaded"))
    )
    assert miss(tape, asking("a")).endswith("recorded response was 503 Overloaded")


def test_models() -> None:
    tape = cassette(
        (asking("a", model="gpt-4o"), whole(model="openrouter:openai/gpt-4o")),
        (asking("a", model="gemini:flash"), whole(model="gemini:flash")),
        (asking("b", model="gpt-4o"), whole(model="openrouter:openai/gpt-4o")),
        ({"messages": []}, whole()),
    )
    assert tape.models("openrouter") == ["gpt-4o", "openai/gpt-4o"]
    assert tape.models("gemini") == ["flash"]


def test_a_hit_asks_for_the_number_of_the_recording() -> None:
    backend = Playback("http://player/openrouter", cassette((asking("a"), whole())))
    call = backend.prepare(ModelRequest(asking("a"), b'{"as": "it came"}', "x", [], "s"), KEY)
    assert call.request.method == "POST"
    assert call.request.url == "http://player/openrouter/0"
    assert call.request.body == b'{"as": "it came"}'
    assert call.request.credential == ("authorization", "Bearer cassette")
    assert call.speaks_openai


def test_a_miss_is_a_response() -> None:
    backend = Playback("http://player/openrouter", cassette((asking("a"), whole())))
    call = backend.prepare(ModelRequest({"messages": []}, None, None, [], "s"), KEY)
    assert call.request.body == b'{"messages":[]}'
    assert call.read_error(404, "application/json", b"{}").code == "cassette_miss"


def test_embeddings_must_hold_data() -> None:
    tape = cassette(({"input": "a"}, whole()), endpoint="embeddings")
    call = Playback("http://player/x", tape).embed(
        ModelRequest({"input": "a"}, b"", None, [], ""), KEY
    )
    assert call.read_response(b'{"data": []}') == {"data": []}
    with pytest.raises(ApiError):
        call.read_response(b'{"choices": []}')


def test_the_player_lists_models() -> None:
    backend = Playback("http://player/gemini", cassette())
    request = backend.models_request(KEY, None)
    assert request.url == "http://player/gemini/models"
    assert request.credential == ("authorization", "Bearer cassette")
    assert backend.read_models(b'{"data": [{"id": "m"}]}') == ([{"id": "m"}], None)
