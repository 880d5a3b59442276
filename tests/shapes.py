"""The shapes that jaxtyping declares, checked at the first calls of each function in a test.

A training loop calls the same function a million times, with the same shapes: checking every call
took a third of the suite's time.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from beartype import beartype

CALLS = 100  # of a function that are checked, in each test

_calls: Counter[tuple[str, str]] = Counter()
_muted: list[Any] = []


def at_first_calls(function: Callable) -> Callable:
    """beartype, for jaxtyping's import hook, for ``CALLS`` calls; then it is switched off."""
    checked, name = beartype(function), (function.__module__, function.__qualname__)

    def counting(*args: object, **kwargs: object) -> object:
        _calls[name] += 1
        if _calls[name] > 2 * CALLS:  # a call counts twice: what goes in, and what comes out
            return function(*args, **kwargs)
        if _calls[name] == 2 * CALLS:
            _mute(*name)
        return checked(*args, **kwargs)

    return counting


def _mute(module: str, qualified: str) -> None:
    """Tell jaxtyping to pass over a function, which it looks at anew at every call."""
    try:
        found = reduce(inspect.getattr_static, qualified.split("."), sys.modules[module])
        for inner in ("fget", "func", "__func__"):  # of properties and class methods
            found = getattr(found, inner, found)
        found.__no_type_check__ = True
    except AttributeError:  # a function in a function
        return
    _muted.append(found)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """Each test checks anew."""
    while _muted:
        _muted.pop().__no_type_check__ = False
    _calls.clear()
    return (yield)
