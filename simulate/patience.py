"""Work that takes long says so in one line, unless the caller follows it by ``progress``."""

import logging
import time
from collections.abc import Callable
from typing import Any

from lazyrich.support.arguments import shown

# Seconds after which work without a callback says how far it is.
SILENCE = 10.0

# Called with (work done, work to do).
Progress = Callable[..., Any]


def told(progress: Any, what: str) -> Progress:
    """Return ``progress``, or where it is None a callback that logs one line after ``SILENCE``.

    The line goes to the logger ``lazyrich``, which prints it on stderr unless told otherwise.

    >>> told(print, "train")(1, 4)
    1 4
    >>> told(None, "train")(1, 4)                                      # soon: nothing is said
    """
    if progress is not None and not callable(progress):
        raise ValueError(f"progress = {shown(progress)}: must be a function of (done, total)")
    if progress is not None:
        return progress
    start, said = time.monotonic(), False

    def report(done: int | float, total: int | float) -> None:
        nonlocal said
        if not said and done < total and time.monotonic() - start > SILENCE:
            said = True
            logging.getLogger("lazyrich").warning(
                "%s: %.2g%% done after %g s: progress = a function of (done, total) follows it",
                what,
                100 * done / total,
                SILENCE,
            )

    return report


def silent(done: int | float, total: int | float) -> None:
    """Say nothing, for work that is part of other work."""
    del done, total
