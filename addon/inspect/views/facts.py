"""Shows the facts in a flow's metadata as a few lines of text."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from addon.exchange.facts import ATTEMPT, REQUEST_FACTS, RESPONSE_FACTS, Fact
from addon.inspect.views.json_text import clipped

MAX_FACT = 300
"""Characters of one fact."""
LABEL_WIDTH = 11
SEPARATOR, SEPARATORS = " · ", {"model": " → "}
"""Between the facts of a line; those that differ by the line's label."""


def facts_text(metadata: Mapping[Any, Any]) -> str:
    """A line for each label that the metadata has a fact for."""
    rows = (REQUEST_FACTS, tuple(_attempts(metadata)), RESPONSE_FACTS)
    lines = (line for facts in rows for line in _lines(facts, metadata))
    return "\n".join(f"{label:<{LABEL_WIDTH}}{text}" for label, text in lines if text)


def _attempts(metadata: Mapping[Any, Any]) -> Iterator[Fact]:
    names = map(ATTEMPT.format, itertools.count(1))
    facts = (Fact(name, str, name.replace("_", " ")) for name in names)
    return itertools.takewhile(lambda fact: fact.key in metadata, facts)


def _lines(facts: Iterable[Fact], metadata: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    shown = (fact for fact in facts if fact.label)
    for label, group in itertools.groupby(shown, lambda fact: fact.label):
        texts = filter(None, (_text(fact, metadata) for fact in group))
        # The requested model and the one that serves are often the same.
        yield label, SEPARATORS.get(label, SEPARATOR).join(dict.fromkeys(texts))


def _text(fact: Fact, metadata: Mapping[Any, Any]) -> str:
    """Empty for a value of another type: flow files can hold anything."""
    value = metadata.get(fact.key)
    is_fit = isinstance(value, int | float if ":" in fact.format else str)
    return clipped(fact.format.format(value), MAX_FACT) if is_fit else ""
