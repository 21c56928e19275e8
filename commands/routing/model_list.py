"""Finds a model in a backend's list by the names that clients and people use for it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from commands.errors import MIN_PART, did_you_mean

# Vendors date their releases (`claude-sonnet-4-5-20250929`, `gpt-4o-2024-08-06`) or call the newest
# one `-latest`; OpenRouter lists most of them without.
_DATE = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


class _Index(NamedTuple):
    """The ids of a list by their names, with and without the vendor's part before the last `/`."""

    exact: Mapping[str, Sequence[str]]
    loose: Mapping[str, Sequence[str]]
    """By names as `_loose` writes them."""
    undated: Mapping[str, Sequence[str]]
    """The same without a date at the end."""


def find(name: str, ids: Sequence[str]) -> Sequence[str]:
    """The ids that fit a name best: one, none, or several that fit equally."""
    if name in ids:
        return (name,)
    index, loose = _index(tuple(ids)), _loose(name)
    undated = _undated(loose)
    return (
        index.exact.get(name)
        or index.loose.get(loose)
        or index.loose.get(undated)
        or index.undated.get(undated)
        or ()
    )


def with_part(part: str, ids: Iterable[str]) -> Sequence[str]:
    """The ids that contain `part`, in any case; none if it is too short to mean one."""
    lower = part.lower()
    return [each for each in ids if lower in each.lower()] if len(part) >= MIN_PART else []


def nearest(name: str, ids: Sequence[str], form: str = "{}") -> str:
    """An ending for a message that proposes ids, or their last parts; empty if none is near."""
    tails = dict.fromkeys(map(_tail, ids))
    return did_you_mean(name, ids, limit=3, form=form) or did_you_mean(
        _tail(name), tails, limit=3, form=form
    )


def several(name: str, ids: Sequence[str]) -> str:
    """The message for a name that fits several ids equally."""
    return f"model {name} can be {', '.join(ids[:-1])} or {ids[-1]}"


def _tail(id: str) -> str:
    return id.rpartition("/")[2]


def _loose(name: str) -> str:
    return name.lower().replace(".", "-")


def _undated(name: str) -> str:
    return _DATE.sub("", name)


@lru_cache(maxsize=16)
def _index(ids: tuple[str, ...]) -> _Index:
    exact: dict[str, list[str]] = {}
    loose: dict[str, list[str]] = {}
    undated: dict[str, list[str]] = {}
    for id in ids:
        for name in {id, _tail(id)}:
            exact.setdefault(name, []).append(id)
            loose.setdefault(_loose(name), []).append(id)
            undated.setdefault(_undated(_loose(name)), []).append(id)
    return _Index(exact, loose, undated)
