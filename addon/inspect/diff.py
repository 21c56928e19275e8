"""The answers of two flows side by side."""

import difflib
from collections.abc import Iterator, Sequence

from mitmproxy import http

from addon.inspect.views import read_response

# What is compared besides the answer, and how it is called.
FACTS = (
    ("llm_model", "model"),
    ("llm_prompt_tokens", "prompt tokens"),
    ("llm_completion_tokens", "completion tokens"),
    ("llm_cost", "cost in $"),
    ("llm_ttft_s", "first word after s"),
    ("llm_total_s", "complete after s"),
    ("llm_finish_reason", "finish reason"),
    ("llm_attempts", "attempts"),
    ("llm_error", "error"),
)


def responses(first: http.HTTPFlow, second: http.HTTPFlow) -> Sequence[str]:
    """The facts that differ, and a unified diff of text and tool calls."""
    facts = [
        f"{title}: {values[0]} -> {values[1]}"
        for name, title in FACTS
        if len(set(values := [str(flow.metadata.get(name, "-")) for flow in (first, second)])) > 1
    ]
    diff = difflib.unified_diff(
        list(_lines(first)), list(_lines(second)), "first", "second", lineterm=""
    )
    return [*facts, *(list(diff) or ["the same text and tool calls"])]


def _lines(flow: http.HTTPFlow) -> Iterator[str]:
    body = flow.response and flow.response.get_content(strict=False)
    answer = read_response(body or b"")
    yield from answer.text.splitlines()
    for call in answer.calls:
        yield f"tool call {call.name}:"
        yield from call.arguments.splitlines()
