"""Ctrl-C and SIGTERM during long work: what was finished is kept, and what is missing is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class Ended(BaseException):
    """The process was asked to end by a signal. Like ``KeyboardInterrupt``, it unwinds."""

    def __init__(self, number: int) -> None:
        self.number = number


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
