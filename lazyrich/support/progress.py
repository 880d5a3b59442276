"""The progress bar that every subcommand shares."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from lazyrich.support.patience import followed, silent, told

# Shorter work ends before a bar would be read.
PATIENCE_SECONDS = 1.0
# How a user of the command line sees more than one line.
IN_A_TERMINAL = "a progress bar is shown where stdout and stderr are a terminal"

quiet_option = click.option("--quiet", is_flag=True, help="Show no progress bar.")


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[float, float], None]]:
    """Give a function ``report(done, total)`` that draws a bar on stderr.

    The bar appears after a second and is removed at the end. Where stdout or stderr is no terminal,
    one line says after ten seconds how far the work is. With ``quiet`` nothing is said.
    """
    plain = silent if quiet else told(None, label, IN_A_TERMINAL, say=_on_stderr)
    with followed():
        if quiet or not (sys.stdout.isatty() and sys.stderr.isatty()):
            yield plain
        else:
            yield from _bar(label)


def _on_stderr(line: str) -> None:
    click.echo(f"lazyrich: {line}", err=True)


def _bar(label: str) -> Iterator[Callable[[float, float], None]]:
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
