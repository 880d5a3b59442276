"""The shapes that jaxtyping declares, checked at the first calls of each function in a test.

A training loop calls the same function a million times, with the same shapes: checking every call
took a third of the suite's time.
"""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from beartype import beartype

CALLS = 100  # of a function that are checked, in each test

_calls: Counter[tuple[str, str]] = Counter()
_muted: list[Any] = []


def at_first_calls(function: Callable) -> Callable:
    """beartype, for jaxtyping's import hook, for ``CALLS`` calls; then it is switched off.

    Jaxtyping looks at every call whether its function has a mark to be passed over.
    """
    checked, name = beartype(function), (function.__module__, function.__qualname__)

    def counting(*args: object, **kwargs: object) -> object:
        _calls[name] += 1
        if _calls[name] < 2 * CALLS:  # a call counts twice: what goes in, and what comes out
            return checked(*args, **kwargs)
        original = sys._getframe(1).f_locals["fn"]  # a variable of jaxtyping's wrapper
        original.__no_type_check__ = True
        if "<locals>" not in name[1]:  # a function in a function is made anew
            _muted.append(original)
        return function(*args, **kwargs)

    return counting


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """Each test checks anew."""
    while _muted:
        _muted.pop().__no_type_check__ = False
    _calls.clear()
    return (yield)
