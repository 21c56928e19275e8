"""Conversations that continue a stored response."""

import pytest

from backends.dialects.responses.store import ResponseStore
from backends.errors import ApiError
from tests.backends.dialects.responses.asking import (
    Json,
    ask,
    call,
    chunk,
    completion,
    make_responses,
    stream,
)

TOOL = {"type": "function", "name": "f"}
SIGNED = call("a", "f", "{}", extra_content={"google": {"thought_signature": "s"}})
CALLING = {"role": "assistant", "content": None, "tool_calls": [SIGNED]}
RESULT = {"type": "function_call_output", "call_id": "a", "output": "ok"}
WHOLE_CHAT: list[Json] = [
    {"role": "user", "content": "one"},
    CALLING,
    {"role": "tool", "tool_call_id": "a", "content": "ok"},
]


def test_a_conversation_continues() -> None:
    responses = make_responses()
    first = ask("one", responses=responses, tools=[TOOL], instructions="i").render(
        completion(CALLING)
    )
    second = ask([RESULT], responses=responses, previous_response_id=first["id"])
    assert second.chat["messages"] == WHOLE_CHAT  # the store has no instructions
    (event,) = stream(second, chunk({"content": "x"}))[-1:]
    assert event["response"]["previous_response_id"] == first["id"]
    third = ask("two", responses=responses, previous_response_id=event["response"]["id"])
    assert third.chat["messages"] == [
        *WHOLE_CHAT,
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "two"},
    ]


def test_items_can_be_named() -> None:
    """Without `include` reasoning has its opaque state in the store only."""
    responses = make_responses()
    output = ask("one", responses=responses).render(completion(CALLING))["output"]
    assert next(list(item) for item in output) == ["type", "id", "summary"]
    references = [{"type": "item_reference", "id": output[0]["id"]}, {"id": output[1]["id"]}]
    for items in (output, references):
        request = ask([{"role": "user", "content": "one"}, *items, RESULT], responses=responses)
        assert request.chat["messages"] == WHOLE_CHAT


@pytest.mark.parametrize("is_streamed", [True, False])
def test_nothing_is_stored_if_the_client_forbids_it(is_streamed: bool) -> None:
    store = ResponseStore()
    request = ask("one", responses=make_responses(store), store=False)
    if is_streamed:
        stream(request, chunk({"content": "x"}))
    else:
        request.render(completion({"content": "x"}))
    assert len(store) == 0


def test_a_failed_response_is_not_stored() -> None:
    store = ResponseStore()
    stream(ask(responses=make_responses(store)), chunk({"content": "x"}), error=ApiError(502, "x"))
    assert len(store) == 0


def item(id: str, size: int = 0) -> Json:
    return {"id": id, "text": "x" * size}


def test_the_least_recently_used_response_is_dropped() -> None:
    store = ResponseStore(max_responses=2)
    store.keep("a", [], [item("a1")])
    store.keep("b", [item("a1")], [item("b1")])
    assert store.find("a") == [item("a1")]
    store.keep("c", [], [item("c1")])
    assert store.find("b") is store.find_item("b1") is None
    assert store.find_item("a1") == item("a1")
    store.keep("d", [], [])
    assert store.find("c") is None


def test_bytes_are_bounded() -> None:
    store = ResponseStore(max_bytes=1000)
    store.keep("a", [], [item("a1", 600)])
    store.keep("b", [], [item("b1", 600)])
    assert (len(store), store.find("a")) == (1, None)
    store.keep("c", [], [item("c1", 2000)])
    assert len(store) == 0
    store.keep("d", [], [item("d1", 600)])
    assert store.find("d") == [item("d1", 600)]
