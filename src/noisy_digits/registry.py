"""Registries: the one place where a noise, a model or a denoiser is added."""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from noisy_digits.errors import UserError, did_you_mean

T = TypeVar("T")


class Registry(dict[str, T]):
    """A dictionary of named things of one ``kind``. Looking up an unknown name raises UserError, with a suggestion.

    So does assigning or registering a name that another function has. A function whose cell or module is run again
    replaces itself.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __setitem__(self, name: str, thing: T) -> None:
        if not name.isidentifier():
            raise UserError(f'a {self.kind} cannot be called "{name}": use letters, digits and underscores')
        if name in self and _origin(self[name]) != _origin(thing):
            raise UserError(f'the {self.kind} "{name}" is taken by {_origin(self[name])}: choose another name')
        super().__setitem__(name, thing)

    def __missing__(self, name: object) -> NoReturn:
        raise UserError(f'unknown {self.kind} "{name}"{did_you_mean(name, self)}')

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds a function under ``name`` and returns the function unchanged."""

        def add(function: T) -> T:
            self[name] = function
            return function

        return add

    def check(self, name: str) -> str:
        """Return ``name`` if it is registered. Raises UserError otherwise."""
        self[name]
        return name


def _origin(thing: object) -> str:
    """Return the module and the name of a function, also of one that a ``Noise`` holds."""
    function: Any = getattr(thing, "function", thing)
    return f"{function.__module__}.{function.__qualname__}" if hasattr(function, "__qualname__") else repr(function)
