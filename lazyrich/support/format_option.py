"""The option ``--format``, the same in every command that has it."""

from collections.abc import Callable, Sequence
from typing import Any

import click


def format_option(
    help: str = "What to print.", formats: Sequence[str] = ("text", "json")
) -> Callable[[Any], Any]:
    """Return the option, whose value a command takes as ``form``: the first format by default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(tuple(formats)),
        default=formats[0],
        show_default=True,
        help=help,
    )
