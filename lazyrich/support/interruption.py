"""Ctrl-C and SIGTERM: they unwind, what was finished is kept, and what is missing is named."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


class Ended(BaseException):
    """The process was asked to end by a signal. Like ``KeyboardInterrupt``, it unwinds."""

    def __init__(self, number: int) -> None:
        self.number = number


# While a module loads, a signal waits for so many seconds, and is looked at this often.
_PATIENCE = 10.0
_GLANCE = 0.05


def _loads_a_module(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


@contextmanager
def signals() -> Iterator[None]:
    """Within this, Ctrl-C, SIGTERM and SIGHUP unwind, so that everything is cleaned up.

    Compiled modules swallow an exception that is raised while they load, as torch's do. So a signal
    waits until no module loads; a second one, or one for more than 10 seconds, doesn't.

    >>> with signals():
    ...     try:
    ...         signal.raise_signal(signal.SIGTERM)
    ...     except Ended as end:
    ...         end.number == signal.SIGTERM
    True
    """
    waiting: tuple[int, float] | None = None  # the signal that waits, and until when at most

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal waiting
        if number != look_again:
            waiting = number, 0.0 if waiting else time.monotonic() + _PATIENCE
        elif waiting is None:  # the timer rang as it was stopped
            return
        number, until = waiting
        waits = look_again in changed and _loads_a_module(frame) and time.monotonic() < until
        if look_again in changed:
            signal.setitimer(signal.ITIMER_REAL, _GLANCE if waits else 0)
        if waits:
            return
        waiting = None
        raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)

    look_again = getattr(signal, "SIGALRM", None)  # None on Windows
    changed = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (getattr(signal, n, None) for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM"))
        untouched = (signal.SIG_DFL, signal.default_int_handler)
        # nohup ignores SIGHUP: so do its children.
        changed = {
            n: signal.signal(n, end) for n in numbers if n and signal.getsignal(n) in untouched
        }
    try:
        yield
    finally:
        if look_again in changed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, before in changed.items():
            signal.signal(number, before)


@dataclass
class Interruption:
    """Whether work was interrupted: ``by`` what, None for not, and what is ``missing`` for it.

    >>> stop = Interruption()
    >>> with stop.during("the second half"):
    ...     raise KeyboardInterrupt
    >>> stop.sentence
    'Interrupted; missing: the second half.'
    """

    by: BaseException | None = None
    missing: list[str] = field(default_factory=list)

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """End what is done within this at Ctrl-C or SIGTERM, note ``what`` as missing, go on."""
        try:
            yield
        except (KeyboardInterrupt, Ended) as error:
            self.by = error.with_traceback(None)
            self.missing.append(what)

    def skips(self, what: str) -> bool:
        """Return whether work was interrupted before; if so, note ``what`` as missing."""
        if self.by is not None:
            self.missing.append(what)
        return self.by is not None

    @property
    def sentence(self) -> str:
        """Return what is missing in words; empty where nothing is."""
        return f"Interrupted; missing: {', '.join(self.missing)}." if self.missing else ""
