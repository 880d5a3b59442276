"""Work that takes long says so now and then, unless the caller follows it by ``progress``."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lazyrich.support.arguments import shown
from lazyrich.support.user_code import running

# Seconds after which work without a callback says how far it is.
SILENCE = 10.0
# Another line follows after twice as many seconds, and after twice these at least.
_LATER = 10.0
# How a caller in Python sees more than one line.
IN_PYTHON = "to see more, pass progress=print, or your own function of (done, total)"
# True within work that reports its progress as a whole: its parts say nothing of their own.
_followed: ContextVar[bool] = ContextVar("followed", default=False)

# Called with (work done, work to do).
Progress = Callable[..., Any]


def told(progress: Any, what: str) -> Progress:
    """Return ``progress``, or where it is None a callback that says a line after ``SILENCE``.

    The line says what runs, how far it is, and how to see more; another one follows whenever the
    time has doubled. It is given to the logger ``lazyrich``, which prints it on stderr unless told
    otherwise.

    >>> told(print, "training")(1, 4)
    1 4
    >>> told(None, "training")(1, 4)                                   # soon: nothing is said
    """
    checked_progress(progress)
    if progress is not None:
        return running("progress", progress)
    if _followed.get():
        return silent
    start, due, again = time.monotonic(), SILENCE, ""

    def report(done: int | float, total: int | float) -> None:
        nonlocal due, again
        spent = time.monotonic() - start
        if done < total and spent > due:
            share = f"{percent(done, total)} done after {due:.3g} s"
            line = f"{what}: still running, {share}{again or f'; {IN_PYTHON}'}"
            due, again = 2 * max(spent, _LATER), "."
            logging.getLogger("lazyrich").warning(line)

    return report


def percent(done: float, total: float) -> str:
    """Return the share of the work that is done: at most 99%, as it goes on.

    >>> percent(1, 8), percent(0.001, 50), percent(299, 300)
    ('12%', '0.002%', '99%')
    """
    return f"{min(100 * done / total, 99):.2g}%"


def checked_progress(progress: Any) -> None:
    """Raise ``ValueError`` unless ``progress`` is None or can be called."""
    if progress is not None and not callable(progress):
        raise ValueError(f"progress = {shown(progress)}: must be a function of (done, total)")


@contextmanager
def followed() -> Iterator[None]:
    """Let the parts of this work say nothing: the whole reports its progress.

    >>> with followed():
    ...     told(None, "training") is silent
    True
    """
    token = _followed.set(True)
    try:
        yield
    finally:
        _followed.reset(token)


def silent(done: int | float, total: int | float) -> None:
    """Say nothing, for work that is part of other work."""
    del done, total
