"""The shapes that jaxtyping declares, checked at the first calls of each function in a test.

A training loop calls the same function a million times, with the same shapes: checking every call
took a third of the suite's time. A check is prepared when it is first needed: most functions of a
module are not called, and a function in a function is made anew at each call of the outer one.
Pytest imports this module before lazyrich.simulate.
"""

import dataclasses
import functools
import importlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest

CALLS = 20  # of a function that are checked, in each test

_calls: Counter[tuple[str, str]] = Counter()
_jaxtyped = jaxtyping.jaxtyped


def at_first_calls(*, typechecker: Any) -> Callable:
    """``jaxtyping.jaxtyped`` for ``CALLS`` calls of a function in each test."""
    prepare = _jaxtyped(typechecker=typechecker)

    def decorator(given: Any) -> Any:
        if not isinstance(given, type):
            return _counted(given, prepare)
        if dataclasses.is_dataclass(given) and not hasattr(given.__init__, "__wrapped__"):
            given.__init__ = _counted(given.__init__, prepare)
        return given

    return decorator


def _counted(function: Callable, prepare: Callable) -> Callable:
    name, prepared = (function.__module__, function.__qualname__), []

    @functools.wraps(function)
    def called(*args: object, **kwargs: object) -> object:
        if _calls[name] >= CALLS or "__no_type_check__" in marks:
            return function(*args, **kwargs)
        _calls[name] += 1
        if not prepared:
            prepared.append(prepare(function))
        return prepared[0](*args, **kwargs)

    marks = vars(called)  # simulate.shapes.checks_its_arguments adds one
    return called


# beartype draws which item of a list it looks at: from numbers of its own, or a test of what
# lazyrich leaves of Python's random numbers would see these draws.
_drawn, random.getrandbits = random.getrandbits, random.Random(0).getrandbits
importlib.import_module("beartype")
random.getrandbits = _drawn

jaxtyping.jaxtyped = at_first_calls  # where the import hook looks it up
jaxtyping.install_import_hook("lazyrich.simulate", "beartype.beartype")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """Each test checks anew."""
    _calls.clear()
    return (yield)
