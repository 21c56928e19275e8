"""Secrets out of text."""

from backends.keys import Key
from backends.redact import PLACEHOLDER, Redactor


def test_the_longest_key_goes_first() -> None:
    redactor = Redactor([Key("A", "sk-1"), Key("B", "sk-1-more")])
    assert redactor.scrub("x sk-1-more y sk-1") == f"x {PLACEHOLDER} y {PLACEHOLDER}"


def test_keys_are_no_patterns() -> None:
    assert Redactor([Key("A", "a.c")]).scrub("abc a.c") == f"abc {PLACEHOLDER}"


def test_without_keys_nothing_changes() -> None:
    assert Redactor([]).scrub("text") == "text"
