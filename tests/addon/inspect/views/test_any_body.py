"""No body makes a view raise, and what is shown of a large one is bounded."""

import base64
import contextlib
import copy
import json
import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import contentviews
from mitmproxy.contentviews import Contentview, Metadata
from mitmproxy.test import tflow

from addon.exchange import flow_record
from addon.inspect import views
from tests.addon.inspect.views.test_responses import BODIES
from tests.addon.inspect.views.test_transcripts import ANSWERS, REQUESTS, call, chat, sse, user
from tests.backends.vendors.gemini.asking import WIRE

MUTATIONS = 400
# In JSON: what is put in the place of a value.
SWAPS = ["null", "true", "0", "-1", "1.5", "NaN", "1E400", "9" * 400, '""', '"x"', '"\\ud83d"']
SWAPS += ["[]", "{}", "[null]", '{"":null}', "[[1]]", '{"type":[]}', "[" * 300 + "]" * 300]
MB = 2**20

WRITTEN = [body for body, _ in (*REQUESTS.values(), *ANSWERS.values(), *BODIES.values())]


def all_views() -> list[Contentview]:
    views.register(str)
    return [contentviews.registry[f"llm {name}"] for name in ("chat", "client", "upstream", "edit")]


def show(body: bytes) -> Iterator[str]:
    """By each view, as a request and as a response, in the flow and kept aside."""
    flow = tflow.tflow(resp=True)
    flow.metadata["llm_session"] = "s"
    for message in (flow.request, flow.response):
        metadata = Metadata(flow=flow, http_message=message)
        for view in all_views():
            view.render_priority(body, metadata)
            yield view.prettify(body, metadata)
    flow_record.save(flow, flow_record.CLIENT_REQUEST, body)
    yield all_views()[1].prettify(b"", Metadata(flow=flow, http_message=flow.request))


def recorded() -> Iterator[bytes]:
    for path in sorted((WIRE / "gemini").iterdir()):
        yield path.read_bytes().partition(b"\n\n")[2]
    for path in sorted((WIRE / "agents").iterdir()):
        sample = json.loads(path.read_text("utf-8"))
        yield json.dumps(sample.get("chat") or sample["response"]).encode()
    for path in sorted((WIRE / "tools").iterdir()):
        yield path.read_bytes()


def valid() -> list[bytes]:
    written = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in WRITTEN]
    return [*written, *recorded()]


def mutated(body: bytes, choice: random.Random) -> bytes:
    return choice.choice((truncated, flipped, swapped))(body, choice)


def truncated(body: bytes, choice: random.Random) -> bytes:
    return body[: choice.randrange(len(body) + 1)]


def flipped(body: bytes, choice: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(choice.randint(1, 5)):
        changed[choice.randrange(len(changed))] = choice.randrange(256)
    return bytes(changed)


def swapped(body: bytes, choice: random.Random) -> bytes:
    """With values of other types at random places."""
    values = events_of(body)
    for _ in range(choice.randint(1, 3)):
        if places := list(places_in(values)):
            container, key = choice.choice(places)
            container[key] = json.loads(choice.choice(SWAPS))
    return sse(*values) if body.startswith(b"data:") else json.dumps(values).encode()


def events_of(body: bytes) -> list[Any]:
    events = [event.removeprefix(b"data: ") for event in body.split(b"\n\n")]
    values = []
    for event in events:
        with contextlib.suppress(ValueError):
            values.append(json.loads(event))
    return values


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from places_in(value[key])


@pytest.fixture
def guard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Tells when a view had to be kept from raising: readers should take any type."""
    caplog.set_level(logging.DEBUG, "addon.inspect.views")
    return caplog


@pytest.mark.parametrize("seed", range(8))
def test_mutated_bodies(seed: int, guard: pytest.LogCaptureFixture) -> None:
    choice = random.Random(seed)
    bodies = valid()
    for _ in range(MUTATIONS // 8):
        body = mutated(choice.choice(bodies), choice)
        for text in show(body):
            text.encode()
        views.read_response(body)
        assert not guard.records, body


@pytest.mark.parametrize("body", WRITTEN, ids=[*REQUESTS, *ANSWERS, *BODIES])
def test_every_field_of_other_types(body: Any, guard: pytest.LogCaptureFixture) -> None:
    values = events_of(body) if isinstance(body, bytes) else [body]
    for at in range(len(list(places_in(values)))):
        for swap in SWAPS[at % 3 :: 3]:
            changed = copy.deepcopy(values)
            container, key = list(places_in(changed))[at]
            container[key] = json.loads(swap)
            data = sse(*changed) if isinstance(body, bytes) else json.dumps(changed[0]).encode()
            all_views()[0].prettify(data, Metadata()).encode()
            assert not guard.records, data


TEXT = "The quick brown fox, ä 🚀\n"
LARGE = {
    "messages": chat(*[user(TEXT * 50), call("c", "f", json.dumps({"x": TEXT * 40}))] * 1000),
    "a text": chat(user(TEXT * 200_000)),
    "an image": chat(
        user([{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5 * MB}}])
    ),
    "a stream": sse(*[{"choices": [{"delta": {"content": "word " * 50}}]}] * 15_000),
    "deep arguments": chat(
        {"tool_calls": [call("c", "f", "[" * 180 + "1," * MB + "1" + "]" * 180)]}
    ),
    "deep values": {"messages": json.loads("[" * 180 + "1," * MB + "1" + "]" * 180)},
    "the deepest": b'{"messages":' * 50_000,
    "tools": chat(
        tools=[{"type": "function", "function": {"name": "f", "description": TEXT}}] * 20_000
    ),
    "noise": bytes(range(256)) * 4096 * 5,
    "not ended": b"data: " + b"x" * 5 * MB,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_bodies(name: str) -> None:
    value = LARGE[name]
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    flow = tflow.tflow()
    metadata = Metadata(flow=flow, http_message=flow.request)
    chat, client, upstream, edit = (view.prettify(body, metadata) for view in all_views())
    assert max(map(len, (chat, client, upstream))) < 3 * MB
    assert len(edit) < 3 * len(body)


def test_data_of_media_is_never_shown() -> None:
    data = base64.b64encode(b"secret pixels" * 1000).decode()
    parts = [
        {"type": "image_url", "image_url": {"url": f"DATA:image/png;base64,{data}"}},
        {"type": "image_url", "image_url": data},
        {"type": "input_audio", "input_audio": {"data": data}},
        {"type": "file", "file": {"file_data": data}},
    ]
    body = json.dumps(chat(user(parts))).encode()
    text = all_views()[0].prettify(body, Metadata())
    assert text.count("13,000 bytes") == 4
    assert data[:50] not in text
