"""The progress bar that every subcommand shares."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

# Shorter work ends before a bar would be read.
PATIENCE_SECONDS = 1.0

quiet_option = click.option("--quiet", is_flag=True, help="Show no progress bar.")


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[float, float], None] | None]:
    """Give a function ``report(done, total)`` that draws a bar on stderr, or ``None`` for silence.

    Silent with ``quiet`` and wherever stdout or stderr is no terminal. The bar appears after a
    second and is removed at the end.
    """
    if quiet or not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    start = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(label, total=None, visible=False)

        def report(done: float, total: float) -> None:
            visible = time.monotonic() - start > PATIENCE_SECONDS
            bar.update(task, completed=done, total=total, visible=visible)
            bar.refresh()

        yield report
