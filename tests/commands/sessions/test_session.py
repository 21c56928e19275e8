"""What sessions remember, and its limits."""

from hypothesis import given, strategies as st

from commands.routing.attempt import AttemptResult
from commands.sessions.session import MAX_HISTORY_BYTES, MAX_TEXT, Entry, Sessions, truncated
from commands.settings import SessionSettings


def entry(text: str = "", *, time: float = 0.0) -> Entry:
    return Entry(time, "backend", text, text, "openrouter:a")


def sessions(max_sessions: int = 10, max_history: int = 10, **limits: int) -> Sessions:
    return Sessions(SessionSettings(), max_sessions, max_history, **limits)


def total(of: Sessions) -> int:
    return sum(each.size for session in of for each in session.history)


def times(of: Sessions, id: str) -> list[float]:
    session = of.peek(id)
    assert session
    return [each.time for each in session.history]


def test_the_history_of_a_session_is_bounded() -> None:
    made = sessions(max_history=5)
    for number in range(8):
        made.record(made.get("a"), entry(time=number))
    assert times(made, "a") == [3, 4, 5, 6, 7]


def test_long_texts_are_truncated() -> None:
    assert truncated("x") == "x"
    assert len(truncated("x" * 10**6)) < MAX_TEXT + 50


def test_all_text_counts() -> None:
    result = AttemptResult("openrouter", "a", "KEY", "5" * 1000, 0.0)
    for one in (entry("x" * 500), entry()._replace(error="x" * 1000, attempts=(result,) * 2)):
        assert one.size >= 1000
    assert entry()._replace(attempts=(result,) * 2).size >= 2000
    assert entry("\U0001f600" * 100).size >= 800


def test_least_used_sessions_forget_first() -> None:
    made = sessions(max_bytes=5 * entry("x" * 1000).size)
    for number, id in enumerate("aabbc"):
        made.record(made.get(id), entry("x" * 1000, time=number))
    made.get("a")  # used last
    made.record(made.get("c"), entry("x" * 1000, time=5))
    assert [times(made, id) for id in "abc"] == [[0, 1], [3], [4, 5]]
    made.record(made.get("c"), entry("x" * 3000, time=6))
    assert [times(made, id) for id in "abc"] == [[], [], [4, 5, 6]]


def test_a_thousand_full_sessions() -> None:
    made = sessions(1000, 200)
    text = "\U0001f600" * MAX_TEXT
    for number in range(1000):
        session = made.get(str(number))
        for _ in range(4):
            made.record(session, entry(text))
    assert MAX_HISTORY_BYTES - 2**20 < total(made) <= MAX_HISTORY_BYTES


def test_a_session_that_was_dropped_meanwhile() -> None:
    made = sessions(1, max_bytes=10_000)
    lost = made.get("lost")
    made.record(lost, entry("x" * 1000))
    made.record(made.get("other"), entry("x" * 1000))
    made.record(lost, entry("x" * 1000))
    assert len(lost.history) == 1
    assert made._bytes == total(made) == entry("x" * 1000).size


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3000)), max_size=40))
def test_the_limits_always_hold(records: list[tuple[str, int]]) -> None:
    made = sessions(3, 4, max_bytes=10_000)
    for id, length in records:
        session = made.get(id)
        made.record(session, entry("x" * length))
        assert len(made) <= 3
        assert all(len(each.history) <= 4 for each in made)
        assert made._bytes == total(made) <= 10_000
        assert session.history
