"""What goes wrong with a command in the chat, in words for the person who typed it."""

import difflib
from collections.abc import Iterable

# Shorter words are found inside of too many others to be a hint.
SHORTEST_PART = 3
# From 0 to 1; difflib's default still finds `backend` for `bad`.
LEAST_LIKENESS = 0.7


class CommandError(Exception):
    """Why a command was refused; nothing has been changed by it."""


class ModelNotAvailable(CommandError):
    """The backend is known not to offer the model; a session may remember it nevertheless."""


def did_you_mean(word: str, known: Iterable[str], most: int = 1, shown: str = "{}") -> str:
    """An ending for a message: the known words nearest to a wrong one, empty if none is near.

    `shown` is how a word is written there.
    """
    lower = {each.lower(): each for each in known}
    sought = word.lower()
    parts = [each for each in lower if sought in each] if len(sought) >= SHORTEST_PART else []
    similar = difflib.get_close_matches(sought, lower, n=most, cutoff=LEAST_LIKENESS)
    nearest = list(dict.fromkeys([*similar, *parts]))[:most]
    quoted = (f"'{shown.format(lower[each])}'" for each in nearest)
    return f"; did you mean {' or '.join(quoted)}?" if nearest else ""
