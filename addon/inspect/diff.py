"""Compares the responses of two flows."""

import difflib
from collections.abc import Iterator, Sequence

from mitmproxy import http

from addon.exchange.facts import MODEL, RESPONSE_FACTS, Fact
from addon.inspect.views import Clean, read_response

COMPARED = (MODEL, *RESPONSE_FACTS)


def responses(first: http.HTTPFlow, second: http.HTTPFlow, clean: Clean) -> Sequence[str]:
    """Lines: the facts that differ, then a unified diff of text and tool calls.

    `clean` removes secrets.
    """
    facts = [
        f"{fact.name.replace('_', ' ')}: {before} -> {after}"
        for fact in COMPARED
        if (before := _shown(first, fact)) != (after := _shown(second, fact))
    ]
    diff = difflib.unified_diff(
        list(_lines(first, clean)), list(_lines(second, clean)), "first", "second", lineterm=""
    )
    return [*facts, *(list(diff) or ["the same text and tool calls"])]


def _shown(flow: http.HTTPFlow, fact: Fact) -> str:
    return str(flow.metadata.get(fact.key, "-"))


def _lines(flow: http.HTTPFlow, clean: Clean) -> Iterator[str]:
    body = flow.response and flow.response.get_content(strict=False)
    response = read_response(body or b"", clean)
    yield from response.text.splitlines()
    for call in response.calls:
        yield f"tool call {call.name}:"
        yield from call.arguments.splitlines()
