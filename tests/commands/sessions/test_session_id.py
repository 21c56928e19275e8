"""Which session a request belongs to."""

import json
from typing import Any

import pytest

from backends.backend import Headers
from commands.agents.table import AGENTS
from commands.sessions.session_id import MAX_LENGTH, session_id

HEADERS = [
    "x-session-id",
    "session-id",
    "session_id",
    "thread-id",
    "conversation_id",
    "x-claude-code-session-id",
    "goose-session-id",
    "x-session-affinity",
    "x-roo-task-id",
]
USER_ID = {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": "s"})}}


def id_of(headers: Headers, **chat: Any) -> str:
    return session_id(headers, {"messages": [], **chat}, None)


@pytest.mark.parametrize("name", HEADERS)
def test_ids_in_headers(name: str) -> None:
    others: Headers = [("x-client-request-id", "r"), ("user-agent", "u")]
    assert id_of([*others, (name, " 1 ")]) == "1"
    assert id_of([*others, (name, " ")]) == "default"


@pytest.mark.parametrize("chat", [{"prompt_cache_key": "s"}, {"session_id": "s"}, USER_ID], ids=str)
def test_ids_in_bodies(chat: dict[str, Any]) -> None:
    assert id_of([], **chat) == "s"


def test_the_order_of_ids() -> None:
    headers: Headers = [(name, name) for name in reversed(HEADERS)]
    body = {"session_id": "body", "prompt_cache_key": "key"}
    for name in HEADERS[:6]:
        assert id_of(headers, **body, **USER_ID) == name
        headers.pop()
    assert id_of(headers, **body, **USER_ID) == "s"
    for name in HEADERS[6:]:
        assert id_of(headers, **body) == name
        headers.pop()
    assert id_of([], **body) == "key"


def test_the_first_of_several_headers() -> None:
    assert id_of([("x-session-id", "a"), ("x-session-id", "b")]) == "a"


def test_agents_do_not_share_sessions() -> None:
    ids = {session_id([], {"messages": []}, agent) for agent in (None, *AGENTS)}
    assert len(ids) == len(AGENTS) + 1
    assert {"default", "default-aider"} <= ids


@pytest.mark.parametrize(
    "chat",
    [
        {"prompt_cache_key": 5, "session_id": ["x"], "metadata": 5},
        {"metadata": {"user_id": 5}},
        {"metadata": {"user_id": "{"}},
        {"metadata": {"user_id": "[" * 100_000}},
        {"metadata": {"user_id": "[]"}},
        {"metadata": {"user_id": '{"session_id": 5}'}},
        {"metadata": {"user_id": "user_1_account__session_2"}},
    ],
    ids=lambda chat: str(chat)[:40],
)
def test_odd_bodies_have_no_id(chat: dict[str, Any]) -> None:
    assert id_of([], **chat) == "default"


@pytest.mark.parametrize("value", ["a" * 500, "a\nb", "a\x1b[31m", "a\udc80b", "\u202ea"], ids=repr)
def test_ids_are_short_and_printable(value: str) -> None:
    found = id_of([("x-session-id", value)])
    assert found.isprintable()
    assert len(found) <= MAX_LENGTH
    assert found != id_of([("x-session-id", value + "c")])
    assert found == id_of([], session_id=value)
