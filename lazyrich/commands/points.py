"""The options ``--at`` and ``--constant``: values of symbols, exact where written exactly."""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import click

from lazyrich.support.arguments import escaped, shown

at_option = click.option(
    "--at",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Evaluate at a value; repeat for each symbol. 1/4 is exact, 0.25 a float, a vector is "
    "[1,0], a matrix [[1,0],[0,1/2]].",
)


def point(assignments: tuple[str, ...]) -> dict[str, Any]:
    """The values of ``--at`` by key."""
    return {
        key: _entries(f"--at {escaped(assignment)}", text)
        for key, text, assignment in _pairs("--at", assignments)
    }


def constants_option(help_text: str) -> Callable:
    """The option ``--constant``, which a command gets as ``constants``; see ``constants``."""
    return click.option(
        "--constant", "constants", multiple=True, metavar="NAME=VALUE", help=help_text
    )


def constants(assignments: tuple[str, ...], epsilon: float | None = None) -> dict[str, Any]:
    """The values of ``--constant`` by name, in floats.

    ``epsilon`` is that of ``--epsilon``, where it was typed: then it can't be among them as well.

    >>> constants(("c=1/4", "b=[1,0]"))
    {'c': 0.25, 'b': [1.0, 0.0]}
    """
    found = {
        key: floats(f"--constant {escaped(assignment)}", text)
        for key, text, assignment in _pairs("--constant", assignments)
    }
    if epsilon is not None and "epsilon" in found:
        raise ValueError(f"--epsilon {epsilon}: epsilon is given twice, by --constant as well")
    return found


def floats(given: str, text: str) -> Any:
    """A number, vector or matrix in floats, or the array in a file FILE.npy.

    ``given`` is what the user wrote, for messages. Raises ``ValueError`` in one line.

    >>> floats("--inputs [[1,0],[0,1/2]]", "[[1,0],[0,1/2]]")
    [[1.0, 0.0], [0.0, 0.5]]
    """
    return _array(given, text) if text.endswith(".npy") else _floats(_entries(given, text))


def _array(given: str, text: str) -> Any:
    import numpy as np

    from lazyrich.support.output import given_path

    file = given_path(given, text)
    if not file.is_file():
        found = "no file, must be an .npy file" if file.exists() else "no such file"
        raise ValueError(f"{escaped(given)}: {found}")
    try:
        return np.load(file, allow_pickle=False).astype(float).tolist()
    except (ValueError, OSError, EOFError):
        raise ValueError(f"{escaped(given)}: not an .npy file of numbers") from None


def _pairs(option: str, assignments: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Key, value and the whole assignment."""
    seen = set()
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        if not (key and equals and text):
            raise ValueError(f"{option} {escaped(assignment)}: must be NAME=VALUE")
        if key in seen:
            raise ValueError(f"{option} {escaped(assignment)}: {key} is given twice")
        seen.add(key)
        yield key, text, assignment


def _entries(given: str, text: str) -> Any:
    try:
        # Quoting every entry makes JSON of lists of rationals.
        nested = json.loads(re.sub(r"[^\[\],\s]+", lambda entry: json.dumps(entry[0]), text))
        return _numbers(nested)
    except (ValueError, RecursionError):
        raise ValueError(
            f"{shown(given)[1:-1]}: the value must be a number such as 2, 1/4 or "
            "0.25, a vector [1,0] or a matrix [[1,0],[0,1/2]]"
        ) from None


def _floats(nested: Any) -> Any:
    return [_floats(item) for item in nested] if isinstance(nested, list) else float(nested)


def _numbers(nested: Any) -> Any:
    """Whole numbers and fractions exactly, decimals as floats."""
    from lazyrich.theory.values import rational

    if isinstance(nested, list):
        return [_numbers(item) for item in nested]
    exact = rational(nested)
    if nested.lstrip("+-").replace("/", "").isdecimal():
        return exact
    if not math.isfinite(number := float(nested)):
        raise ValueError
    return number
