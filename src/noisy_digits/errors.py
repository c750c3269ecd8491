"""The one exception whose message is written for the person at the terminal."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake the user can mend: one line that says what was wrong, where, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


def near(word: object, allowed: Iterable[str]) -> str:
    """The end of a message about an unknown ``word``: the near miss, if there is one, and at most ten allowed ones."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(word).lower(), allowed, n=1, cutoff=0.6)
    listed = ", ".join(close + [other for other in allowed if other not in close][: 10 - len(close)])
    more = f" and {len(allowed) - 10} more" if len(allowed) > 10 else ""
    return (f"; did you mean {close[0]}?" if close else "") + f" (allowed: {listed or 'none'}{more})"
