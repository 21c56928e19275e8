"""OpenRouter's wire: what leaves, what comes back, and every place where an error hides."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from backends.dialects.chat import ChatEncoder
from backends.errors import ApiError
from backends.keys import Key
from backends.openai_wire import DONE, error_event
from backends.openrouter import OpenRouter, OpenRouterCall, to_api_error
from backends.protocol import Headers, Prompt, UpstreamRequest
from backends.stream import Chunk, Outcome, Pipe

KEY = Key("OPENROUTER_API_KEY", "sk-or-secret")
BODY = b'{"model":"openrouter:a/b:free", "x":1.0,"messages":[{"role":"user","content":"\xc3\xa9"}]}'


CALL = OpenRouterCall(UpstreamRequest("POST", "", []))


def prepare(model: str | None, headers: Headers = [], **options: Any) -> UpstreamRequest:  # noqa: B006
    prompt = Prompt(json.loads(BODY), BODY, model, headers, "s")
    return OpenRouter("https://or.example/api/v1", **options).prepare(prompt, KEY).request


class TestRequest:
    def test_the_prefix_goes_and_all_else_stays(self) -> None:
        request = prepare("a/b:free")
        assert request.url == "https://or.example/api/v1/chat/completions"
        assert request.body == BODY.replace(b"openrouter:", b"")
        assert request.credential == ("authorization", "Bearer sk-or-secret")
        assert "sk-or-secret" not in repr(request)

    def test_an_unchanged_body_is_sent_as_it_came(self) -> None:
        assert prepare("openrouter:a/b:free").body is BODY

    @pytest.mark.parametrize(
        ("body", "sent"),
        [
            (
                b'{"messages":[], "model" : "or:x" , "n":1.0}',
                b'{"messages":[], "model" : "y" , "n":1.0}',
            ),
            (
                b'{"model":"or:x","s":"\\"model\\":\\"or:x\\""}',
                b'{"model":"y","s":"\\"model\\":\\"or:x\\""}',
            ),
            (b'{"a":{"model":"or:x"}, "model":"or:x"}', b'{"a":{"model":"or:x"},"model":"y"}'),
            (
                b'{"a":{"model":"or:x"}, "m\\u006fdel":"or:x"}',
                b'{"a":{"model":"or:x"},"model":"y"}',
            ),
            (b'{"model":"or:z", "model":"or:x"}', b'{"model":"y"}'),
            (b'{"a":"model", "model":"or:x"}', b'{"a":"model","model":"y"}'),
            (b'{"model":"or\\u003ax", "n":1}', b'{"model":"y","n":1}'),
            (b'{"n":1, "messages":[]}', b'{"n":1,"messages":[],"model":"y"}'),
        ],
    )
    def test_only_the_model_changes(self, body: bytes, sent: bytes) -> None:
        """Or all is written anew, where the model's place is in doubt."""
        prompt = Prompt(json.loads(body), body, "y", [], "s")
        assert OpenRouter("").prepare(prompt, KEY).request.body == sent

    @given(
        st.dictionaries(
            st.sampled_from(["a", "model", '"model"', "metadata"]),
            st.recursive(
                st.sampled_from(["or:x", "model", '"model":"or:x"', "é"]) | st.integers(),
                lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["model"]), inner),
                max_leaves=4,
            ),
        ),
        st.booleans(),
    )
    def test_nothing_but_the_model_changes(self, chat: dict[str, Any], is_ascii: bool) -> None:
        chat["model"] = "or:x"
        body = json.dumps(chat, ensure_ascii=is_ascii).encode()
        sent = OpenRouter("").prepare(Prompt(chat, body, "y", [], "s"), KEY).request.body
        assert json.loads(sent) == {**chat, "model": "y"}

    def test_a_changed_chat_is_written_anew(self) -> None:
        prompt = Prompt({"messages": []}, None, None, [], "s")
        assert OpenRouter("").prepare(prompt, KEY).request.body == b'{"messages":[]}'

    def test_only_headers_with_a_meaning_leave(self) -> None:
        sent = prepare(
            "m",
            [
                ("user-agent", "agent/1"),
                ("x-session-id", "s"),
                ("x-openrouter-cache", "true"),
                ("x-stainless-lang", "python"),
                ("openai-organization", "org"),
                ("accept-encoding", "br"),
                ("content-length", "3"),
                ("connection", "keep-alive"),
                ("x-title", "Agent"),
            ],
        ).headers
        assert sent == [
            ("user-agent", "agent/1"),
            ("x-session-id", "s"),
            ("x-openrouter-cache", "true"),
            ("x-title", "Agent"),
            ("content-type", "application/json"),
        ]

    def test_configured_attribution_replaces_the_client_s(self) -> None:
        client = [("http-referer", "https://a"), ("x-title", "A"), ("x-openrouter-title", "B")]
        sent = dict(prepare("m", client, site_url="https://me", app_title="Me").headers)
        assert sent["http-referer"] == "https://me"
        assert sent["x-openrouter-title"] == "Me"
        assert "x-title" not in sent


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
    made = to_api_error(error, status)
    assert (made.status, made.code) == (ours, code)
    assert says in made.message


def test_what_openrouter_adds_to_an_error_is_kept() -> None:
    metadata = {"provider_name": "P", "raw": None}
    body = to_api_error({"code": 403, "message": "m", "metadata": metadata}).body()
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
def test_error_answers(status: int, body: bytes, ours: int, says: str) -> None:
    error = CALL.read_error(status, "text/html", body)
    assert error.status == ours
    assert says in error.message


class TestWhole:
    def test_a_completion_may_have_padding_before_it(self) -> None:
        assert CALL.read_whole(b'\n  \n{"choices":[]}') == {"choices": []}

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
            CALL.read_whole(body)
        assert caught.value.status == status


def chunk(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"id": "g", "object": "chat.completion.chunk", **fields}).encode()


def text(content: str, finish: str | None = None) -> bytes:
    return chunk(choices=[{"index": 0, "delta": {"content": content}, "finish_reason": finish}])


USAGE = chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.1})
END = b"\n\n"
FAILURE = chunk(error={"code": 429, "message": "slow down"}, choices=[])
ENDED_EARLY = error_event(ApiError(502, "The upstream's stream ended before its answer did"))
SLOW_DOWN = error_event(to_api_error({"code": 429, "message": "slow down"}))

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
        error_event(ApiError(502, "The model's answer ended with finish_reason 'error'")),
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
    """By its first byte a piece is told for a comment: nothing of an answer may stand behind it."""
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


def test_models() -> None:
    body = {
        "data": [
            {
                "id": "a/b",
                "created": 5,
                "description": "long",
                "context_length": 10,
                "pricing": {"prompt": "0.1"},
            },
            {"id": None},
            "x",
        ]
    }
    models, page = OpenRouter("").read_models(json.dumps(body).encode())
    assert page is None
    assert list(models) == [
        {
            "id": "a/b",
            "object": "model",
            "created": 5,
            "owned_by": "a",
            "context_length": 10,
            "pricing": {"prompt": "0.1"},
        }
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":1}'])
def test_anything_else_is_no_list_of_models(body: bytes) -> None:
    with pytest.raises(ValueError, match="no 'data' list"):
        OpenRouter("").read_models(body)
