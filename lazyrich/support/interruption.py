"""Ctrl-C and SIGTERM: they unwind, what was finished is kept, and what is missing is named."""

import dis
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any


class Ended(BaseException):
    """The process was asked to end by a signal. Like ``KeyboardInterrupt``, it unwinds."""

    def __init__(self, number: int) -> None:
        self.number = number


# While a compiled module loads, a signal waits for so many seconds, and is looked at this often.
_PATIENCE = 10.0
_GLANCE = 0.05
_BOOTSTRAP = "<frozen importlib._bootstrap>"
_COMPILED = {
    function.__code__
    for function in (ExtensionFileLoader.create_module, ExtensionFileLoader.exec_module)
}
_IMPORT = dis.opmap["IMPORT_NAME"]


def _loading(frame: FrameType | None) -> tuple[FrameType | None, bool]:
    """Return the frame of the code that has begun to import, and whether compiled code is at work.

    It is where a compiled module loads, or imports another one; and the importing of Python itself
    has callbacks, in which an exception is lost.
    """
    found, compiled = None, frame is not None and frame.f_code.co_filename == _BOOTSTRAP
    while frame is not None:
        compiled |= frame.f_code in _COMPILED
        before = frame.f_back
        if before is not None and _begins_to_import(before, frame):
            found = before
            of_python = before.f_code.co_code[before.f_lasti] == _IMPORT
            compiled |= not of_python and before.f_code is not import_module.__code__
        frame = before
    return found, compiled


def _begins_to_import(frame: FrameType, inner: FrameType) -> bool:
    machinery = inner.f_code.co_filename == _BOOTSTRAP
    return machinery and not frame.f_code.co_filename.startswith("<frozen importlib")


def _is_within(frame: FrameType, of: FrameType | None) -> bool:
    while of is not None and of is not frame:
        of = of.f_back
    return of is frame


class _Signals:
    """Raises for a signal: at once, or when no compiled module loads."""

    def __init__(self) -> None:
        self.alarm = getattr(signal, "SIGALRM", None)  # None on Windows
        self.changed: dict[int, Any] = {}
        # The signal that waits, and until when at most.
        self._waiting: tuple[int, float] | None = None
        # What was raised within an import, and the code that had begun it: it may be swallowed.
        self._raised: tuple[BaseException, FrameType] | None = None

    def heard(self) -> None:
        """Stop looking whether the exception was swallowed: it was handled."""
        self._waiting = self._raised = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if number != self.alarm:
            self._waiting = number, 0.0 if self._waiting else time.monotonic() + _PATIENCE
        elif self._waiting is None:  # the timer rang as it was stopped
            return
        elif self._raised is not None:
            error, began = self._raised
            if _is_handled(error):  # it is on its way
                self._look_again(_GLANCE)
                return
            if not _is_within(began, frame):  # it has arrived
                self._waiting = self._raised = None
                return
        assert self._waiting is not None
        number, until = self._waiting
        began, compiled = _loading(frame)
        patient = self.alarm in self.changed and time.monotonic() < until
        self._look_again(_GLANCE if patient and began else 0)
        if patient and compiled:
            return
        error = KeyboardInterrupt() if number == signal.SIGINT else Ended(number)
        if patient and began:
            self._raised = error, began
        else:
            self._waiting = self._raised = None
        raise error

    def _look_again(self, seconds: float) -> None:
        if self.alarm in self.changed:
            signal.setitimer(signal.ITIMER_REAL, seconds)


def _is_handled(error: BaseException) -> bool:
    """Return whether an exception is being handled, as where it unwinds."""
    now = sys.exc_info()[1]
    while now is not None and now is not error:
        now = now.__context__
    return now is error


_at_work = _Signals()


@contextmanager
def signals() -> Iterator[None]:
    """Within this, Ctrl-C, SIGTERM and SIGHUP unwind, so that everything is cleaned up.

    Compiled modules swallow an exception that is raised while they load, as torch's do. So a signal
    waits until none loads, and is raised again where a module that loads has swallowed it; a second
    one, or one for more than 10 seconds, doesn't wait.

    >>> with signals():
    ...     try:
    ...         signal.raise_signal(signal.SIGTERM)
    ...     except Ended as end:
    ...         end.number == signal.SIGTERM
    True
    """
    global _at_work
    outer, _at_work = _at_work, _Signals()
    mine = _at_work
    if threading.current_thread() is threading.main_thread():
        numbers = (getattr(signal, n, None) for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM"))
        untouched = (signal.SIG_DFL, signal.default_int_handler)
        # nohup ignores SIGHUP: so do its children.
        mine.changed = {
            n: signal.signal(n, mine.handle)
            for n in numbers
            if n and signal.getsignal(n) in untouched
        }
    try:
        yield
    finally:
        mine.heard()
        if mine.alarm in mine.changed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, before in mine.changed.items():
            signal.signal(number, before)
        _at_work = outer


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
            _at_work.heard()
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
