"""Errors of chat commands, worded for the person who typed them."""

import difflib
from collections.abc import Iterable

# Shorter words are part of too many others to be a hint.
MIN_PART = 3
# From 0 to 1; difflib's default (0.6) finds `backend` for `bad`.
MIN_SIMILARITY = 0.7


class CommandError(Exception):
    """The reason why a command failed; it has changed nothing."""


class ModelNotAvailable(CommandError):
    """The backend does not offer the model. A session may keep it all the same."""


def did_you_mean(word: str, known: Iterable[str], limit: int = 1, form: str = "{}") -> str:
    """The end of a message that suggests known words, each in this form; empty if none is near."""
    lower = {each.lower(): each for each in known}
    lowered = word.lower()
    parts = [each for each in lower if lowered in each] if len(lowered) >= MIN_PART else []
    similar = difflib.get_close_matches(lowered, lower, n=limit, cutoff=MIN_SIMILARITY)
    nearest = list(dict.fromkeys([*similar, *parts]))[:limit]
    quoted = (f"'{form.format(lower[each])}'" for each in nearest)
    return f"; did you mean {' or '.join(quoted)}?" if nearest else ""
