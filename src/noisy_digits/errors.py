"""The error whose message is written for the user."""

import difflib
from collections.abc import Collection, Iterable


class UserError(ValueError):
    """A mistake the user can correct. The message is one line: what is wrong, what is allowed, what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))

    def _render_traceback_(self) -> list[str]:  # Jupyter shows this instead of a traceback
        return [f"{type(self).__name__}: {self}"]


def did_you_mean(word: object, allowed: Iterable[str]) -> str:
    """Return the end of a message about an unknown ``word``: the closest allowed word, and up to ten allowed ones."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(word).lower(), allowed, n=1, cutoff=0.6)
    listed = ", ".join(close + [other for other in allowed if other not in close][: 10 - len(close)])
    more = f" and {len(allowed) - 10} more" if len(allowed) > 10 else ""
    return (f"; did you mean {close[0]}?" if close else "") + f" (allowed: {listed or 'none'}{more})"


def check_name(kind: str, name: str, allowed: Collection[str]) -> str:
    """Return ``name`` if it is one of ``allowed``. Raises UserError for an unknown one, which it calls a ``kind``."""
    if name not in allowed:
        raise UserError(f'unknown {kind} "{name}"{did_you_mean(name, allowed)}')
    return name
