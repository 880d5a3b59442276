"""What ends a computation early: a newer move of a slider, or the time that a page may take."""

import threading
import time
from typing import Any

# Seconds until a computation is stopped, with a line that says so.
LONGEST = 20.0


class Cancelled(Exception):
    """This answer is no longer waited for."""


class OutOfTime(Exception):
    """The computation has taken ``LONGEST`` seconds."""


class Watch:
    """Call it now and then: it raises ``Cancelled`` or ``OutOfTime``. Takes any arguments.

    >>> watch = Watch(longest=0.0)
    >>> watch.cancel()
    >>> watch(3, 10)
    Traceback (most recent call last):
    ...
    lazyrich.explore.watch.Cancelled
    """

    def __init__(self, longest: float = LONGEST) -> None:
        self._cancelled, self._end = threading.Event(), time.monotonic() + longest

    def cancel(self) -> None:
        """Let the next call raise ``Cancelled``."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled.is_set()

    def __call__(self, *_: Any) -> None:
        """Raise ``Cancelled`` or ``OutOfTime`` if it is time."""
        if self.cancelled:
            raise Cancelled
        if time.monotonic() > self._end:
            raise OutOfTime
