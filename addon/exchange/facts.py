"""Facts about an exchange in its flow's metadata, such as `llm_model`: one row for each.

Lists of flows filter by them; views and comparisons show them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from addon.exchange.exchange import Exchange, PromptContext, Upstream
from backends.usage import Usage, read_usage
from commands.sessions.session import Entry

PREFIX = "llm_"
ATTEMPT = "attempt_{}"
"""The name of the fact about an attempt, by its number from 1."""


class Source(NamedTuple):
    """Where facts come from. `entry` and `error` are None until the exchange ends."""

    exchange: Exchange
    prompt: PromptContext | None
    upstream: Upstream | None
    usage: Usage
    entry: Entry | None
    error: str | None


class Fact(NamedTuple):
    name: str
    """Without the prefix; with the ending `_s` it is a time in seconds."""
    value: Callable[[Source], Any]
    """A text or a number; a false value is left out."""
    label: str = ""
    """The line of the view that shows it; empty to show it nowhere."""
    format: str = "{}"
    """Its text in that line; a format with a colon is for numbers."""

    @property
    def key(self) -> str:
        """Its name in the metadata."""
        return PREFIX + self.name


MODEL = Fact("model", lambda of: of.upstream and str(of.upstream.target), "model")
REQUEST_FACTS = (
    Fact("endpoint", lambda of: of.exchange.endpoint),
    Fact("session", lambda of: of.prompt and of.prompt.session.id, "session"),
    Fact("agent", lambda of: of.prompt and of.prompt.session.agent, "session", "agent {}"),
    Fact(
        "project",
        lambda of: of.prompt and of.prompt.session.settings.project,
        "session",
        "project {}",
    ),
    Fact("requested", lambda of: of.exchange.requested, "model"),
    MODEL,
    Fact("backend", lambda of: of.upstream and of.upstream.target.backend),
    Fact("key", lambda of: of.upstream and of.upstream.key_name, "key"),
    Fact("commands", lambda of: of.prompt and " ".join(of.prompt.commands), "commands"),
)
RESPONSE_FACTS = (
    Fact("finish_reason", lambda of: of.exchange.outcome.finish_reason, "answer"),
    Fact("prompt_tokens", lambda of: of.usage.prompt_tokens, "answer", "{:,} prompt tokens"),
    Fact(
        "completion_tokens",
        lambda of: of.usage.completion_tokens,
        "answer",
        "{:,} completion tokens",
    ),
    Fact("cost", lambda of: of.usage.cost, "answer", "${:.6f}"),
    Fact("ttft_s", lambda of: of.entry and of.entry.first_token_s, "answer", "ttft {:.2f} s"),
    Fact("total_s", lambda of: of.entry and of.entry.total_s, "answer", "total {:.2f} s"),
    Fact("attempts", lambda of: of.entry and len(of.entry.attempts)),
    Fact("error", lambda of: of.error, "error"),
)


def facts_of(
    exchange: Exchange, entry: Entry | None = None, error: str | None = None
) -> dict[str, str | int | float]:
    """The facts that are known, by their names in the metadata."""
    usage = read_usage(exchange.outcome.usage) or Usage()
    source = Source(exchange, exchange.prompt, exchange.upstream, usage, entry, error)
    values = {fact.key: fact.value(source) for fact in (*REQUEST_FACTS, *RESPONSE_FACTS)}
    for number, attempt in enumerate(entry.attempts if entry else (), 1):
        values[PREFIX + ATTEMPT.format(number)] = str(attempt)
    return {
        key: round(value, 3) if key.endswith("_s") else value
        for key, value in values.items()
        if value
    }
