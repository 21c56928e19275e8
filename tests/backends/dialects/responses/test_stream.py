"""Streamed responses, event by event. OpenAI's SDK checks each stream, too (`asking`)."""

import json

import pytest

from backends.errors import ApiError
from tests.backends.dialects.responses.asking import (
    SEALED,
    Json,
    ask,
    call,
    check,
    chunk,
    contents,
    fragment,
    read_events,
    stream,
    types_of,
    usage_chunk,
)

ROLE = chunk({"role": "assistant", "content": ""})
F = {"type": "function", "name": "f", "parameters": None, "strict": None}
PATCH = {"type": "custom", "name": "patch"}
USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 7,
}


def message(*parts: Json, status: str = "completed") -> Json:
    return {"type": "message", "status": status, "role": "assistant", "content": list(parts)}


def text(value: str, **more: object) -> Json:
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": [], **more}


def called(id: str, name: str, arguments: str, **more: str) -> Json:
    item = {"type": "function_call", "call_id": id, "status": "completed", "name": name}
    return {**item, "arguments": arguments, **more}


def test_text() -> None:
    events = stream(
        ask(),
        ROLE,
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"content": ""}, "stop"),
        usage_chunk(
            prompt_tokens=3, completion_tokens=4, prompt_tokens_details={"cached_tokens": 2}
        ),
    )
    assert types_of(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    final = events[-1]["response"]
    assert contents(final["output"]) == [message(text("Hello"))]
    assert final["usage"] == USAGE
    assert final["model"] == "served"
    assert final["created_at"] == 1_700_000_000


def test_no_event_before_the_first_output() -> None:
    encoder = ask().encoder()
    empty = ({"role": "assistant"}, {"content": None, "tool_calls": []}, {"reasoning": ""})
    assert [encoder.chunk(chunk(delta)) for delta in empty] == [b""] * 3
    assert encoder.chunk(chunk({}, "stop")) == encoder.chunk(usage_chunk(total_tokens=1)) == b""
    assert encoder.chunk(b"data: {broken\n\n") == encoder.chunk(b"data: [1]\n\n") == b""
    assert encoder.chunk(b": OPENROUTER PROCESSING\n\n") == b": OPENROUTER PROCESSING\n\n"
    events = read_events(encoder.done())
    check(events)
    assert types_of(events) == ["created", "in_progress", "completed"]


def test_reasoning() -> None:
    events = stream(
        ask(),
        chunk({"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}),
        chunk({"reasoning_content": "b"}),
        chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "c"}]}),
        chunk({"content": "x"}),
    )
    assert types_of(events)[2:8] == [
        "output_item.added",
        "reasoning_summary_part.added",
        *["reasoning_summary_text.delta"] * 3,
        "reasoning_summary_text.done",
    ]
    summary = {"type": "summary_text", "text": "abc"}
    assert contents(events[-1]["response"]["output"]) == [
        {"type": "reasoning", "summary": [summary]},
        message(text("x")),
    ]


def test_calls_one_after_another() -> None:
    """Each streams at once, because the one before is complete."""
    encoder = ask().encoder()
    blocks = [
        encoder.chunk(chunk(each))
        for each in (
            {"content": "x"},
            fragment(0, "", id="a", function={"name": "f", "arguments": '{"a":'}),
            fragment(0, "1}"),
            fragment(1, "", id="b", function={"name": "g", "arguments": "{}"}),
        )
    ]
    assert types_of(read_events(blocks[3])) == [
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
    ]
    events = read_events(b"".join([*blocks, encoder.done()]))
    check(events)
    assert contents(events[-1]["response"]["output"]) == [
        message(text("x")),
        called("a", "f", '{"a":1}'),
        called("b", "g", "{}"),
    ]


def test_parallel_calls_mixed_with_text() -> None:
    events = stream(
        ask(),
        chunk(fragment(0, "", id="a", function={"name": "f"})),
        chunk(fragment(1, "", id="b", function={"name": "g", "arguments": '{"b"'})),
        chunk(fragment(0, '{"a"')),
        chunk({"content": "x"}),
        chunk(fragment(1, ":2}")),
        chunk(fragment(0, ":1}")),
        chunk({}, "tool_calls"),
    )
    assert contents(events[-1]["response"]["output"]) == [
        called("a", "f", '{"a":1}'),
        called("b", "g", '{"b":2}'),
        message(text("x")),
    ]


def test_calls_under_one_index() -> None:
    deltas = ({"tool_calls": [{"index": 0, **call(id, "f", "{}")}]} for id in ("a", "b"))
    output = stream(ask(), *map(chunk, deltas))[-1]["response"]["output"]
    assert contents(output) == [called("a", "f", "{}"), called("b", "f", "{}")]


def test_ids_and_names_that_are_repeated() -> None:
    deltas = (
        {"tool_calls": [{"index": 0, **call("a", "patch", piece)}]}
        for piece in ('{"input":"', 'x"}')
    )
    (item,) = stream(ask(tools=[PATCH]), *map(chunk, deltas))[-1]["response"]["output"]
    assert item["input"] == "x"


def test_a_call_waits_for_its_name() -> None:
    encoder = ask().encoder()
    begun = read_events(encoder.chunk(chunk(fragment(0, "{", id="a"))))
    assert types_of(begun) == ["created", "in_progress"]
    assert b'"name":"f"' in encoder.chunk(chunk(fragment(0, "}", function={"name": "f"})))


def test_a_call_without_name_or_id() -> None:
    events = stream(ask(), chunk(fragment(0, "{}")))
    (item,) = events[-1]["response"]["output"]
    assert item["call_id"].startswith("call_")
    assert (item["name"], item["arguments"]) == ("", "{}")


def test_refusal() -> None:
    events = stream(ask(), chunk({"refusal": "n"}), chunk({"refusal": "o"}, "content_filter"))
    assert "refusal.done" in types_of(events)
    final = events[-1]["response"]
    refusal = {"type": "refusal", "refusal": "no"}
    assert contents(final["output"]) == [message(refusal, status="incomplete")]
    assert (final["status"], final["incomplete_details"]) == (
        "incomplete",
        {"reason": "content_filter"},
    )


def test_cut_short() -> None:
    events = stream(
        ask(),
        chunk({"content": "x"}),
        chunk(fragment(0, '{"a', id="a", function={"name": "f"})),
        chunk(fragment(1, '{"b', id="b", function={"name": "f"}), "length"),
    )
    assert events[-1]["type"] == "response.incomplete"
    final = events[-1]["response"]
    assert final["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in final["output"]] == ["completed", "incomplete", "incomplete"]


def test_free_text_is_decoded_as_it_comes() -> None:
    pieces = ['{"inp', 'ut": "a\\', "n\\ud83", 'd\\ude00"', "}"]
    events = stream(
        ask(tools=[PATCH]),
        chunk(fragment(0, "", id="a", function={"name": "patch"})),
        *(chunk(fragment(0, piece)) for piece in pieces),
    )
    deltas = [event["delta"] for event in events if event["type"].endswith("input.delta")]
    assert deltas == ["a", "\n", "\U0001f600"]
    (item,) = contents(events[-1]["response"]["output"])
    assert item == {
        "type": "custom_tool_call",
        "call_id": "a",
        "status": "completed",
        "name": "patch",
        "input": "a\n\U0001f600",
    }


def test_calls_are_mapped_back() -> None:
    tools = [
        {"type": "namespace", "name": "crm", "description": "d", "tools": [F]},
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"type": "shell"},
    ]
    calls = [
        call("a", "crm__f", "{}"),
        call("b", "local_shell", '{"command":["ls"],"timeout_ms":9}'),
        call("c", "apply_patch", '{"type":"delete_file","path":"x"}'),
        call("d", "shell", '{"commands":["ls"]'),
    ]
    events = stream(
        ask(tools=tools),
        *(
            chunk({"tool_calls": [{"index": index, **each}]}, None)
            for index, each in enumerate(calls)
        ),
    )
    assert contents(events[-1]["response"]["output"]) == [
        called("a", "f", "{}", namespace="crm"),
        {
            "type": "local_shell_call",
            "call_id": "b",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 9},
        },
        {
            "type": "apply_patch_call",
            "call_id": "c",
            "status": "completed",
            "operation": {"type": "delete_file", "path": "x", "diff": ""},
        },
        {
            "type": "shell_call",
            "call_id": "d",
            "status": "completed",
            "action": {"commands": [], "timeout_ms": None, "max_output_length": None},
        },
    ]


def test_annotations() -> None:
    inner = {"url": "https://x.test", "title": "t", "start_index": 0, "end_index": 1}
    annotation = {"type": "url_citation", "url_citation": inner}
    events = stream(ask(), chunk({"content": "x"}), chunk({"annotations": [annotation]}, "stop"))
    assert "output_text.annotation.added" in types_of(events)
    flat = {"type": "url_citation", **inner}
    (item,) = contents(events[-1]["response"]["output"])
    assert item == message(text("x", annotations=[flat]))


def test_logprobs() -> None:
    token = {"token": "x", "bytes": [120], "logprob": -0.1, "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": "x"}, "logprobs": {"content": [token]}}
    events = stream(ask(), chunk({}, choices=[choice]))
    (item,) = contents(events[-1]["response"]["output"])
    assert item == message(text("x", logprobs=[token]))


def test_signatures_precede_their_call() -> None:
    signed = call("a", "f", "{}", index=0, extra_content={"google": {"thought_signature": "s"}})
    chunks = [
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "x"}),
        chunk({"tool_calls": [signed]}),
    ]
    output = stream(ask(include=SEALED), *chunks)[-1]["response"]["output"]
    assert [item["type"] for item in output] == [
        "reasoning",
        "message",
        "reasoning",
        "function_call",
    ]
    assert ["encrypted_content" in item for item in output] == [False, False, True, False]
    chat = ask([*output, {"role": "user", "content": "on"}]).chat
    assert chat["messages"][0]["tool_calls"] == [
        {name: value for name, value in signed.items() if name != "index"}
    ]
    unasked = stream(ask(), *chunks)[-1]["response"]["output"]
    assert not any("encrypted_content" in item for item in unasked)


def test_details_are_joined() -> None:
    details = [
        {"type": "reasoning.text", "text": "a", "index": 0, "signature": None},
        {"type": "reasoning.text", "text": "b", "index": 0},
        {"type": "reasoning.text", "signature": "s", "index": 0},
        {"type": "reasoning.text", "text": "", "index": 0, "signature": None},
        {"type": "reasoning.text", "text": "c", "index": 1},
        {"type": "reasoning.encrypted", "data": "x", "index": 2},
        {"type": "reasoning.encrypted", "data": "y", "index": 2},
    ]
    deltas = [{"reasoning_details": [each]} for each in details]
    events = stream(ask(include=SEALED), *map(chunk, deltas), chunk({"content": "x"}))
    (answer,) = ask(events[-1]["response"]["output"]).chat["messages"]
    assert answer == {
        "role": "assistant",
        "content": "x",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "ab", "index": 0, "signature": "s"},
            *details[4:],
        ],
    }


def test_a_high_surrogate_waits_for_its_low_one() -> None:
    halves = [b'{"content":"a\\ud83d"}', b'{"content":"\\ude00b"}', b'{"content":"\\ud83d"}']
    blocks = [b'data: {"choices":[{"delta":%s}]}\n\n' % half for half in halves]
    events = stream(ask(), *blocks)
    deltas = [event["delta"] for event in events if "delta" in event]
    assert deltas == ["a", "\U0001f600b", "\ud83d"]


def test_only_the_first_choice_counts() -> None:
    second = {"index": 1, "delta": {"content": "y"}}
    encoder = ask().encoder()
    assert encoder.chunk(chunk({}, choices=[second])) == b""


# Waiting and failing


def test_keep_alive() -> None:
    encoder = ask().encoder()
    blocks = [encoder.keep_alive(), encoder.keep_alive(), encoder.chunk(chunk({"content": "x"}))]
    blocks += [encoder.keep_alive(), encoder.done()]
    events = read_events(b"".join(blocks))
    check(events)
    assert types_of(events)[:4] == ["created", "in_progress", "in_progress", "output_item.added"]


@pytest.mark.parametrize("chunks", [(), (chunk({"content": "x"}),)], ids=["before", "after"])
def test_failed(chunks: tuple[bytes, ...]) -> None:
    events = stream(ask(), *chunks, error=ApiError(502, "gone"))
    final = events[-1]["response"]
    assert events[-1]["type"] == "response.failed"
    assert (final["status"], final["output"]) == ("failed", [])
    assert final["error"] == {"code": "server_error", "message": "gone"}


def test_what_codex_reads_is_there() -> None:
    """Its event reader requires these fields, and integer counts."""
    events = stream(ask(), chunk({"reasoning": "a"}), chunk({"content": "x"}), usage_chunk())
    by_type = {event["type"]: event for event in events}
    assert by_type["response.created"]["response"]["id"].startswith("resp_")
    assert by_type["response.reasoning_summary_text.delta"]["summary_index"] == 0
    assert "usage" in by_type["response.completed"]["response"]
    assert all(json.dumps(event["item"]) for event in events if "item" in event)
