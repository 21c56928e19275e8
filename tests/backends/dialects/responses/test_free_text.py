"""The text of a free-text tool, decoded out of a function's arguments."""

import itertools
import json

import pytest
from hypothesis import given, strategies as st

from backends.dialects.responses.free_text import FreeTextDecoder, to_arguments

texts = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\\n\u2028\U0001f600'))


def decode(*pieces: str) -> str:
    reader = FreeTextDecoder()
    return "".join([reader.feed(piece) for piece in pieces] + [reader.finish()])


@given(texts, st.booleans(), st.lists(st.integers(0, 200), max_size=5))
def test_any_text_at_any_cut(text: str, is_ascii: bool, places: list[int]) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=is_ascii, indent=1)
    edges = [0, *sorted(places), len(arguments)]
    pieces = [arguments[a:b] for a, b in itertools.pairwise(edges)]
    assert decode(*pieces) == text
    assert decode(*arguments) == text
    assert decode(to_arguments(text)) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"a\nb"}', "a\nb"),
        (r'{"input":"\ud83d"}', "\ud83d"),
        (r'{"input":"\ud83d\n"}', "\ud83d\n"),
        (r'{"input":"\ud83d\ud83d\ude00"}', "\ud83d\U0001f600"),
        (r'{"input":"\ude00"}', "\ude00"),
        (r'{"input":"a\x"}', "a\\x"),
        ('{"input":"cut off', "cut off"),
        (r'{"input":"cut off \u00', "cut off "),
        ('{"input":"x"} and more', "x"),
        ('{"other":1,"input":"x"}', "x"),
        ('{"patch":"x"}', "x"),
        ('{"a":"x","b":"y"}', '{"a":"x","b":"y"}'),
        ('{"input":1}', '{"input":1}'),
        ('"x"', "x"),
        ("*** Begin Patch", "*** Begin Patch"),
        ("{}", ""),
        ("", ""),
    ],
)
def test_what_models_send(arguments: str, text: str) -> None:
    assert decode(arguments) == decode(*arguments) == text
