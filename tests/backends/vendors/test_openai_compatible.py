"""What comes back from vendors that speak chat completions, and where an error hides."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from backends.backend import UpstreamRequest
from backends.dialects.chat import ChatEncoder
from backends.errors import ApiError
from backends.keys import Key
from backends.openai_wire import DONE, error_event
from backends.stream import Chunk, Outcome, Pipe
from backends.vendors.openai_compatible import OpenAiCall, to_api_error

KEY = Key("OPENROUTER_API_KEY", "sk-or-secret")
BODY = b'{"model":"openrouter:a/b:free", "x":1.0,"messages":[{"role":"user","content":"\xc3\xa9"}]}'


CALL = OpenAiCall(UpstreamRequest("POST", "", []), "OpenRouter")


ERRORS: list[tuple[str, Any, int | None, int, str | None, str]] = [
    # name, OpenRouter's error, HTTP status, our status, our code, a part of our message
    (
        "plain",
        {"code": 402, "message": "Insufficient credits"},
        402,
        402,
        "insufficient_quota",
        "Insu",
    ),
    ("status wins", {"code": 400, "message": "m"}, 429, 429, "rate_limit_exceeded", "m"),
    ("in band", {"code": 429, "message": "m"}, None, 429, "rate_limit_exceeded", "m"),
    ("string code", {"code": "server_error", "message": "m"}, None, 502, "server_error", "m"),
    ("no code", {"http_status": 503, "error_type": "x", "message": "m"}, None, 503, "x", "m"),
    ("odd code", {"code": 7, "message": "m"}, None, 502, None, "m"),
    ("bare string", "boom", None, 502, None, "boom"),
    ("no message", {"code": 500}, 500, 500, None, "without a message"),
    ("null metadata", {"code": 500, "message": "m", "metadata": None}, 500, 500, None, "m"),
    (
        "provider's words",
        {
            "code": 400,
            "message": "Provider returned error",
            "metadata": {"raw": '{"error":{"message":"bad tool"}}', "provider_name": "P"},
        },
        400,
        400,
        None,
        "Provider returned error: bad tool",
    ),
    (
        "provider's raw words",
        {"code": 502, "message": "Provider returned error", "metadata": {"raw": "oops"}},
        502,
        502,
        None,
        "Provider returned error: oops",
    ),
    (
        "context",
        {"code": 400, "message": "This endpoint's maximum context length is 9 tokens."},
        400,
        400,
        "context_length_exceeded",
        "9 tokens",
    ),
]


@pytest.mark.parametrize(("name", "error", "status", "ours", "code", "says"), ERRORS)
def test_errors(
    name: str, error: Any, status: int | None, ours: int, code: str | None, says: str
) -> None:
    made = to_api_error(error, "OpenRouter", status)
    assert (made.status, made.code) == (ours, code)
    assert says in made.message


def test_what_openrouter_adds_to_an_error_is_kept() -> None:
    metadata = {"provider_name": "P", "raw": None}
    body = to_api_error({"code": 403, "message": "m", "metadata": metadata}, "OpenRouter").body()
    assert body["error"]["metadata"] == metadata
    assert body["error"]["code"] == "permission_denied"


@pytest.mark.parametrize(
    ("status", "body", "ours", "says"),
    [
        (502, b"<html><title>Bad gateway</title></html>", 502, "Bad gateway"),
        (403, b"<html>", 403, "HTTP 403 and text/html"),
        (302, b"", 502, "text/html"),
        (500, b'{"error":{"code":500,"message":"m"}}', 500, "m"),
        (500, b'{"detail":"m"}', 500, "HTTP 500"),
    ],
)
def test_error_responses(status: int, body: bytes, ours: int, says: str) -> None:
    error = CALL.read_error(status, "text/html", body)
    assert error.status == ours
    assert says in error.message


class TestWhole:
    def test_a_completion_may_have_padding_before_it(self) -> None:
        assert CALL.read_response(b'\n  \n{"choices":[]}') == {"choices": []}

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b'{"error":{"code":429,"message":"m"}}', 429),
            (b'{"error":{"code":502,"message":"m"},"choices":[]}', 502),
            (b"{}", 502),
            (b"", 502),
            (b"<html>", 502),
            (b'{"choices":null}', 502),
        ],
    )
    def test_anything_else_is_an_error(self, body: bytes, status: int) -> None:
        with pytest.raises(ApiError) as caught:
            CALL.read_response(body)
        assert caught.value.status == status


def chunk(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"id": "g", "object": "chat.completion.chunk", **fields}).encode()


def text(content: str, finish: str | None = None) -> bytes:
    return chunk(choices=[{"index": 0, "delta": {"content": content}, "finish_reason": finish}])


USAGE = chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.1})
END = b"\n\n"
FAILURE = chunk(error={"code": 429, "message": "slow down"}, choices=[])
ENDED_EARLY = error_event(ApiError(502, "The upstream's stream ended without a finish reason"))
SLOW_DOWN = error_event(to_api_error({"code": 429, "message": "slow down"}, "OpenRouter"))

STREAMS: dict[str, tuple[bytes, bytes]] = {
    # name: (what OpenRouter sends, what the client gets)
    "good": (
        (good := b": OPENROUTER PROCESSING\n\n" + text("a\u2028\\é") + END + text("", "stop") + END)
        + (usage := USAGE + END + DONE),
        good + usage,
    ),
    "crlf": (
        text("a", "stop") + b"\r\n\r\ndata: [DONE]\r\n\r\n",
        text("a", "stop") + b"\r\n\r\n" + DONE,
    ),
    "no blank line at the end": (
        text("a", "stop") + END + b"data: [DONE]",
        text("a", "stop") + END + DONE,
    ),
    "no [DONE]": (text("a", "stop") + END, text("a", "stop") + END + DONE),
    "last chunk without blank line": (text("a", "stop"), text("a", "stop") + END + DONE),
    "two finishes": (
        (two := text("a", "stop") + END + text("", "stop") + END + DONE),
        two,
    ),
    "cut": (text("a") + END, text("a") + END + ENDED_EARLY),
    "cut in an event": (text("a") + END + b'data: {"id":', text("a") + END + ENDED_EARLY),
    "empty": (b"", ENDED_EARLY),
    "only comments": (b": x\n\n", b": x\n\n" + ENDED_EARLY),
    "error first": (FAILURE + END + DONE, SLOW_DOWN),
    "error later": (text("a") + END + FAILURE + END + text("b") + END, text("a") + END + SLOW_DOWN),
    "bare error": (b'data: {"error": {"code":429,"message":"slow down"}}\n\n', SLOW_DOWN),
    "finish_reason error": (
        text("", "error") + END,
        error_event(ApiError(502, "The model's response ended with finish_reason 'error'")),
    ),
    "nothing after [DONE]": (text("a") + END + DONE + text("b") + END, text("a") + END + DONE),
    "the word error in a text": (
        (
            word := text('"error": {"usage": {} "finish_reason":"stop"')
            + END
            + text("", "stop")
            + END
            + DONE
        ),
        word,
    ),
    "not JSON": (b"data: what?\n\n" + DONE, b"data: what?\n\n" + DONE),
    "empty finish_reason": (text("a", "") + END, text("a", "") + END + ENDED_EARLY),
}


def run(pieces: list[bytes]) -> tuple[bytes, Outcome]:
    outcome = Outcome()
    pipe = Pipe(CALL.decoder(), ChatEncoder(), outcome)
    out = b"".join(b"".join(pipe.feed(piece)) for piece in pieces) + b"".join(pipe.finish())
    assert pipe.has_ended
    return out + (error_event(outcome.error) if outcome.error else b""), outcome


@pytest.mark.parametrize("name", STREAMS)
def test_streams_whole_and_byte_by_byte(name: str) -> None:
    given, expected = STREAMS[name]
    assert run([given])[0] == expected
    assert run([given[i : i + 1] for i in range(len(given))])[0] == expected


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 900), max_size=8))
def test_streams_at_random_splits(name: str, cuts: list[int]) -> None:
    given, expected = STREAMS[name]
    edges = [0, *sorted(min(cut, len(given)) for cut in cuts), len(given)]
    assert run([given[a:b] for a, b in itertools.pairwise(edges)])[0] == expected


BLOCKS = [
    b": wait\n\n",
    b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"[DONE]"}}]}\n\n',
    b"data: one\ndata: two\n\n",
    b"data: x\r\n\r\n",
    b"\n",
]


@given(st.lists(st.lists(st.sampled_from(BLOCKS), min_size=1)))
@example([[BLOCKS[1]], [BLOCKS[0], BLOCKS[1]]])
def test_a_comment_hides_no_content(reads: list[list[bytes]]) -> None:
    """The first byte identifies a comment, so no content may follow in the same chunk."""
    decoder = CALL.decoder()
    events = [event for read in reads for event in decoder.feed(b"".join(read))]
    pieces = [event.raw for event in events if isinstance(event, Chunk)]
    assert all(b"data" not in piece for piece in pieces if piece.startswith(b":"))
    assert b"".join(pieces) == b"".join(map(b"".join, reads))[: len(b"".join(pieces))]


def test_the_outcome_is_read_on_the_way() -> None:
    outcome = run([STREAMS["good"][0]])[1]
    assert outcome.finish_reason == "stop"
    assert outcome.usage == {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.1}
    assert outcome.error is None
    failed = run([STREAMS["error later"][0]])[1]
    assert failed.error is not None
    assert failed.error.status == 429
