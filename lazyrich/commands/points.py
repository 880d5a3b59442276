"""The option ``--at``: values of symbols, exact where they are written exactly."""

import json
import math
import re
from typing import Any

import click

at_option = click.option(
    "--at",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Evaluate at a value; repeat for each symbol. 1/4 is exact, 0.25 a float, a vector is "
    "[1,0], a matrix [[1,0],[0,1/2]].",
)


def point(assignments: tuple[str, ...]) -> dict[str, Any]:
    """The values of ``--at`` by key."""
    from lazyrich.support.arguments import shown

    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not (key and equals and text):
            raise ValueError(f"--at {assignment}: must be KEY=VALUE")
        if key in values:
            raise ValueError(f"--at {assignment}: {key} is given twice")
        try:
            # Quoting every entry makes JSON of lists of rationals.
            nested = json.loads(re.sub(r"[^\[\],\s]+", lambda entry: json.dumps(entry[0]), text))
            values[key] = _numbers(nested)
        except (ValueError, RecursionError):
            raise ValueError(
                f"--at {shown(assignment)[1:-1]}: the value must be a number such as 2, 1/4 or "
                "0.25, a vector [1,0] or a matrix [[1,0],[0,1/2]]"
            ) from None
    return values


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
