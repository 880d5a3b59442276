"""The shapes that jaxtyping declares, checked at the first calls of each function in a test.

A training loop calls the same function a million times, with the same shapes: checking every call
took a third of the suite's time. So did preparing the check of every function in a function, which
is made anew at each call of the outer one.
"""

import functools
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
from beartype import beartype

CALLS = 20  # of a function that are checked, in each test

_calls: Counter[tuple[str, str]] = Counter()
_muted: list[Any] = []
_jaxtyped = jaxtyping.jaxtyped


def _name(function: Callable) -> tuple[str, str]:
    return function.__module__, function.__qualname__


def _were_checked(name: tuple[str, str]) -> bool:
    return _calls[name] >= 2 * CALLS  # a call counts twice: what goes in, and what comes out


def at_first_calls(function: Callable) -> Callable:
    """beartype, for jaxtyping's import hook, for ``CALLS`` calls; then it is switched off.

    Jaxtyping looks at every call whether its function has a mark to be passed over.
    """
    checked, name = beartype(function), _name(function)

    def counting(*args: object, **kwargs: object) -> object:
        _calls[name] += 1
        if not _were_checked(name):
            return checked(*args, **kwargs)
        if "<locals>" not in name[1]:  # prepared_at_a_call passes over the others
            original = sys._getframe(1).f_locals["fn"]  # a variable of jaxtyping's wrapper
            original.__no_type_check__ = True
            _muted.append(original)
        return function(*args, **kwargs)

    return counting


def prepared_at_a_call(**options: Any) -> Callable:
    """``jaxtyping.jaxtyped``, which prepares a function in a function only if it is checked."""
    prepare = _jaxtyped(**options)

    def decorator(function: Any) -> Any:
        if isinstance(function, type) or "<locals>" not in function.__qualname__:
            return prepare(function)
        name, prepared = _name(function), []

        @functools.wraps(function)
        def called(*args: object, **kwargs: object) -> object:
            if _were_checked(name):
                return function(*args, **kwargs)
            if not prepared:
                prepared.append(prepare(function))
            return prepared[0](*args, **kwargs)

        return called

    return decorator


jaxtyping.jaxtyped = prepared_at_a_call  # where the import hook looks it up


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """Each test checks anew."""
    while _muted:
        _muted.pop().__no_type_check__ = False
    _calls.clear()
    return (yield)
