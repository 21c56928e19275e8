"""The two tables of a stream's state: which orders of events there may be, and which never."""

import pytest
from hypothesis import given, strategies as st

from addon.layers.stream_state import (
    CLIENT_MOVES,
    UPSTREAM_MOVES,
    Client,
    IllegalMove,
    StreamState,
    Upstream,
)

MOVES = st.lists(st.sampled_from([*Client, *Upstream]), max_size=30)


def test_each_state_has_a_row() -> None:
    assert set(CLIENT_MOVES) == set(Client)
    assert set(UPSTREAM_MOVES) == set(Upstream)


@given(MOVES)
def test_random_orders(moves: list[Client | Upstream]) -> None:
    """What is allowed happens, and all else changes nothing."""
    state, sent = StreamState(), [Client.NOTHING]
    for to in moves:
        before = (state.upstream, state.client)
        table = CLIENT_MOVES if isinstance(to, Client) else UPSTREAM_MOVES
        current = state.client if isinstance(to, Client) else state.upstream
        move = state.move_client if isinstance(to, Client) else state.move_upstream
        if to is current or to in table[current]:  # type: ignore[index]
            move(to)  # type: ignore[arg-type]
            assert to in (state.upstream, state.client)
        else:
            with pytest.raises(IllegalMove):
                move(to)  # type: ignore[arg-type]
            assert before == (state.upstream, state.client)
        if state.client is not sent[-1]:
            sent.append(state.client)
    assert len(set(sent)) == len(sent), "the client gets nothing twice"
    assert Client.ENDED not in sent[:-1], "nothing follows the end"
    assert not {Client.CONTENT, Client.ERROR} & set(sent) or sent[1] is Client.HEAD


@given(MOVES)
def test_the_end_can_always_be_reached(moves: list[Client | Upstream]) -> None:
    state = StreamState()
    for to in moves:
        try:
            state.move_client(to) if isinstance(to, Client) else state.move_upstream(to)
        except IllegalMove:
            continue
    state.move_client(Client.ENDED)
    if not state.is_listening:
        state.move_upstream(Upstream.NONE)
    assert state.is_listening
