"""No regular expression takes longer than in proportion to its input."""

import dataclasses
import importlib
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUNS_WHEN_IMPORTED = {"addon.llm_proxy"}
LENGTHS = (32, 256, 2048)
FACTOR = 8
# For the last length. A linear search takes a tenth of it, a quadratic one several times as much.
SUSPICIOUS_S = 0.002
REPEATED = (*" \n\ta0<>([{'\"`-=+#*/\\.,:;&?%|_", "a ", "<a", "a=", "/a")
LITERAL = re.compile(r"[\w <>/`:.=-]{2,16}")
SEARCHES = r"\.(?:search|sub|subn|finditer|findall|split)\b"

type Pattern = re.Pattern[str] | re.Pattern[bytes]


def module_names() -> Iterator[str]:
    for package in ("addon", "backends", "commands"):
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if path.stem not in ("__init__", "__main__") and name not in RUNS_WHEN_IMPORTED:
                yield name


def patterns_in(value: object, depth: int = 4) -> Iterator[Pattern]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and not isinstance(value, str | bytes):
        inner: Iterable[object] = ()
        if isinstance(value, dict):
            inner = (*value, *value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            inner = value
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            inner = (getattr(value, field.name, None) for field in dataclasses.fields(value))
        for each in inner:
            yield from patterns_in(each, depth - 1)


def all_patterns() -> dict[str, tuple[Pattern, bool]]:
    """Each pattern by where it is, and whether the code searches with it, or only matches."""
    sources = {name: source_of(name) for name in module_names()}
    found: dict[Pattern, tuple[str, bool]] = {}
    for name, source in sources.items():
        for variable, value in vars(importlib.import_module(name)).items():
            is_own = isinstance(value, type) and value.__module__ == name
            for holder in vars(value).values() if is_own else [value]:
                for number, pattern in enumerate(patterns_in(holder)):
                    used = f"{variable}{SEARCHES}" if holder is pattern else SEARCHES
                    is_searched = re.search(used, source) is not None
                    found.setdefault(pattern, (f"{name}.{variable}[{number}]", is_searched))
    return {name: (pattern, is_searched) for pattern, (name, is_searched) in found.items()}


def source_of(name: str) -> str:
    return (ROOT / f"{name.replace('.', '/')}.py").read_text("utf-8")


PATTERNS = all_patterns()


def seconds(pattern: Pattern, text: str, *, is_searched: bool, runs: int) -> float:
    subject: Any = text if isinstance(pattern.pattern, str) else text.encode()
    spent = []
    for _ in range(runs):
        started = time.process_time()
        if is_searched:
            deque(pattern.finditer(subject), 0)
        else:
            pattern.fullmatch(subject)
            pattern.match(subject)
        spent.append(time.process_time() - started)
    return min(spent)


def is_linear(pattern: Pattern, prefix: str, piece: str, *, is_searched: bool = True) -> bool:
    before = 0.0
    for length in LENGTHS:
        text = prefix + piece * (length // len(piece))
        spent = seconds(pattern, text, is_searched=is_searched, runs=1)
        if spent > SUSPICIOUS_S:
            spent = seconds(pattern, text, is_searched=is_searched, runs=5)
            if spent > SUSPICIOUS_S and spent > 3 * FACTOR * before:
                return False
        before = spent
    return True


def literals_of(pattern: Pattern) -> list[str]:
    """Texts that may lead into the pattern."""
    source = pattern.pattern
    text = source if isinstance(source, str) else source.decode("latin-1")
    return list(dict.fromkeys(LITERAL.findall(text)))[:6]


@pytest.mark.parametrize("name", PATTERNS)
def test_time_is_linear(name: str) -> None:
    pattern, is_searched = PATTERNS[name]
    literals = literals_of(pattern)
    for prefix, piece in product(("", *literals), (*REPEATED, *literals)):
        assert is_linear(pattern, prefix, piece, is_searched=is_searched), (prefix, piece)


@pytest.mark.parametrize(
    ("pattern", "prefix", "piece"),
    [
        (r"<title>\s*(.*?)\s*</title>", "<title>", " "),
        (r"//.*[@?]", "", "/"),
        (r"\s+x", "", " "),
    ],
)
def test_a_slow_pattern_is_found(pattern: str, prefix: str, piece: str) -> None:
    assert not is_linear(re.compile(pattern), prefix, piece)
