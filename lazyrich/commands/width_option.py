"""The option ``--width``: the number of neurons."""

import math

import click


def read_width(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> float | None:
    """Return the number that was typed, None where none was. Raises ``ValueError``.

    >>> [read_width(None, None, text) for text in ("500", "inf", None)]     # pyright: ignore
    [500, inf, None]
    """
    if value is None or value == "inf":
        return None if value is None else math.inf
    try:
        return int(value.encode("ascii"))  # Python reads digits of every script
    except ValueError:
        raise ValueError(f"--width {value}: must be a positive integer or inf") from None
