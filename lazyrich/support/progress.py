"""The progress bar that every subcommand shares."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from lazyrich.support.patience import SILENCE, followed, percent, silent

if TYPE_CHECKING:
    from rich.progress import Progress

# Shorter work ends before a bar would be read.
PATIENCE_SECONDS = 1.0
# How a user of the command line sees more than one line.
IN_A_TERMINAL = "a progress bar is shown where stdout and stderr are a terminal"

quiet_option = click.option("--quiet", is_flag=True, help="Show no progress bar.")

Report = Callable[[float, float], None]


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Report]:
    """Give a function ``report(done, total)`` that draws a bar on stderr.

    The bar appears after a second and is removed at the end. Where stdout or stderr is no terminal,
    one line says after ten seconds how far the work is, and another whenever the time has doubled.
    Both come also where the work reports nothing. With ``quiet`` nothing is said.
    """
    shows = _said if not (sys.stdout.isatty() and sys.stderr.isatty()) else _bar
    with followed():
        if quiet:
            yield silent
        else:
            with shows(label) as report:
                yield report


@contextmanager
def _said(label: str) -> Iterator[Report]:
    """Lines from a thread of their own."""
    known, ended, start = (0.0, 0.0), threading.Event(), time.monotonic()

    def report(done: float, total: float) -> None:
        nonlocal known
        known = done, total

    def lines() -> None:
        due, more = SILENCE, f"; {IN_A_TERMINAL}"
        while not ended.wait(start + due - time.monotonic()):
            done, total = known
            share = f", {percent(done, total)} done" if total else ""
            click.echo(f"lazyrich: {label}: still running{share} after {due:.3g} s{more}", err=True)
            due, more = 2 * due, "."

    thread = threading.Thread(target=lines, name="progress", daemon=True)
    thread.start()
    try:
        yield report
    finally:
        ended.set()
        thread.join()


@contextmanager
def _bar(label: str) -> Iterator[Report]:
    """A bar of rich, which its own thread draws. Short work does not even import rich."""
    known: tuple[float, float | None] = (0.0, None)
    bars: list[Progress] = []

    def show() -> None:
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(stderr=True), transient=True)
        task = bar.add_task(label, total=None)
        bars.append(bar)  # from here on it is told
        bar.update(task, completed=known[0], total=known[1])
        bar.start()

    def report(done: float, total: float) -> None:
        nonlocal known
        known = done, total
        for bar in bars:
            bar.update(bar.task_ids[0], completed=done, total=total)

    timer = threading.Timer(PATIENCE_SECONDS, show)
    timer.daemon = True
    timer.start()
    try:
        yield report
    finally:
        timer.cancel()
        timer.join()
        for bar in bars:
            bar.stop()
