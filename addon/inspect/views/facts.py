"""What a flow's metadata tells of its exchange, in a few lines."""

import itertools
from collections.abc import Mapping
from types import UnionType
from typing import Any, NamedTuple

from addon.inspect.views.json_text import clipped

PREFIX = "llm_"
LONGEST = 300
LABEL_WIDTH = 11

NUMBER = int | float


class Fact(NamedTuple):
    """A value of another type than `kind` is left out: flow files can hold anything."""

    name: str
    kind: type | UnionType = str
    form: str = "{}"


class Row(NamedTuple):
    label: str
    facts: tuple[Fact, ...]
    between: str = " · "


ASKED = (
    Row(
        "session",
        (
            Fact("llm_session"),
            Fact("llm_agent", form="agent {}"),
            Fact("llm_project", form="project {}"),
        ),
    ),
    Row("model", (Fact("llm_requested"), Fact("llm_model")), between=" → "),
    Row("key", (Fact("llm_key"),)),
    Row("commands", (Fact("llm_commands"),)),
)
ANSWERED = (
    Row(
        "answer",
        (
            Fact("llm_finish_reason"),
            Fact("llm_prompt_tokens", NUMBER, "{:,} prompt tokens"),
            Fact("llm_completion_tokens", NUMBER, "{:,} completion tokens"),
            Fact("llm_cost", NUMBER, "${:.6f}"),
            Fact("llm_ttft_s", NUMBER, "ttft {:.2f} s"),
            Fact("llm_total_s", NUMBER, "total {:.2f} s"),
        ),
    ),
    Row("error", (Fact("llm_error"),)),
)


def facts_text(metadata: Mapping[Any, Any]) -> str:
    """A line for each row that the metadata has something for."""
    numbered = (
        Row(f"attempt {number}", (Fact(f"{PREFIX}attempt_{number}"),))
        for number in itertools.count(1)
    )
    attempts = itertools.takewhile(lambda row: row.facts[0].name in metadata, numbered)
    lines = ((row.label, _row_text(row, metadata)) for row in (*ASKED, *attempts, *ANSWERED))
    return "\n".join(f"{label:<{LABEL_WIDTH}}{text}" for label, text in lines if text)


def _row_text(row: Row, metadata: Mapping[Any, Any]) -> str:
    values = ((fact, metadata.get(fact.name)) for fact in row.facts)
    told = (fact.form.format(value) for fact, value in values if isinstance(value, fact.kind))
    return row.between.join(dict.fromkeys(clipped(each, LONGEST) for each in told if each))
