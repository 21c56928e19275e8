"""What to try when Gemini refuses a request or spoils its answer: a table from errors to remedies.

The tables of this package are from documents and reports, and models change; the remedies keep a
wrong row from ending a session.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from backends.errors import ApiError
from backends.vendors.gemini.request.request import Manner
from backends.vendors.gemini.response.response import EMPTY


class Remedy(NamedTuple):
    """`helps` with an error if `change` does; `times` is how often it may be tried for a prompt.

    `helps` is also told the mode of function calling. `resends`: it is worth asking the same again.
    """

    name: str
    helps: Callable[[ApiError, str | None], bool]
    change: Callable[[Manner], Manner]
    times: int = 1
    resends: bool = False


def _refused(pattern: str) -> Callable[[ApiError, str | None], bool]:
    """For a 400 whose message has this in it."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda error, mode: error.status == 400 and bool(compiled.search(error.message))


def _ended(*codes: str) -> Callable[[ApiError, str | None], bool]:
    """For an answer that ended so."""
    return lambda error, mode: error.code in codes


def _called_though_forbidden(error: ApiError, mode: str | None) -> bool:
    """Some models of 2.5 call tools that are declared, mode NONE or not (issue reports)."""
    return error.code == "unexpected_tool_call" and mode == "NONE"


def _without_minimal(manner: Manner) -> Manner:
    return replace(manner, is_minimal_known=False)


def _without_signatures(manner: Manner) -> Manner:
    return replace(manner, are_signatures_refused=True)


def _without_constraints(manner: Manner) -> Manner:
    return replace(manner, carrier=manner.carrier._replace(is_loose=True))


def _other_carrier(manner: Manner) -> Manner:
    return replace(manner, carrier=manner.carrier._replace(is_json=False))


def _without_tools(manner: Manner) -> Manner:
    return replace(manner, has_tools=False)


def _same(manner: Manner) -> Manner:
    return manner


# The first that helps and changes something is tried. Messages are from issue reports.
REMEDIES: tuple[Remedy, ...] = (
    Remedy("minimal", _refused("thinking level MINIMAL is not supported"), _without_minimal),
    Remedy("signatures", _refused("thought.?signature"), _without_signatures),
    Remedy("constraints", _refused("too many states"), _without_constraints),
    # The last of these says nothing; a schema is what most often lies behind it.
    Remedy(
        "carrier",
        _refused(r"schema|function_?declarations|\bparameters\b|contains an invalid argument"),
        _other_carrier,
    ),
    Remedy("missing signature", _ended("missing_thought_signature"), _without_signatures),
    Remedy("forbidden tools", _called_though_forbidden, _without_tools),
    Remedy("once more", _ended("unexpected_tool_call", EMPTY), _same, resends=True),
    Remedy(
        "twice more",
        _ended("malformed_function_call", "malformed_response", "too_many_tool_calls"),
        _same,
        times=2,
        resends=True,
    ),
)


def lesson_of(manner: Manner) -> Manner:
    """What holds for the model, of a manner that it has answered to; the rest is the prompt's."""
    carrier = manner.carrier._replace(is_loose=False)
    return Manner(carrier=carrier, is_minimal_known=manner.is_minimal_known)
