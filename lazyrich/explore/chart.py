"""The parts of a chart as JSON holds them: lines, levels across it and marks along it.

How a line looks is that of the figures (``plotting.LOOKS``): the same colours and dashes.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from lazyrich.plotting import LOOKS


def number(value: Any) -> float | None:
    """Return a number with None for what is not finite, which JSON has not.

    >>> number(0.5), number(math.inf)
    (0.5, None)
    """
    value = float(value)
    return value if math.isfinite(value) else None


def looks(quantity: str) -> dict[str, Any]:
    """Return colour and dashes of a quantity.

    >>> looks("linear")
    {'color': '#000000', 'dash': [1, 1]}
    """
    style = LOOKS[quantity]
    dash = [] if isinstance(style["linestyle"], str) else list(style["linestyle"][1])
    return {"color": style["color"], "dash": dash}


def line(
    name: str, label: str, quantity: str, x: Iterable, y: Iterable, *, thin: bool = False
) -> dict[str, Any]:
    """Return a line through these points; ``thin`` tells a twin from its network."""
    # xarray takes a hundred times as long to iterate.
    points = {"x": list(map(number, np.asarray(x))), "y": list(map(number, np.asarray(y)))}
    return {"name": name, "label": label, "thin": thin, **looks(quantity), **points}


def level(name: str, label: str, value: Any, quantity: str = "kernel_regression") -> dict[str, Any]:
    """Return a horizontal line; where its value is not finite, nothing is drawn."""
    short = name.replace("floor", "lazy floor")
    return {
        "name": name,
        "label": label,
        "short": short,
        "at": number(value),
        **looks(quantity),
    }


def mark(name: str, label: str, at: Any, quantity: str) -> dict[str, Any]:
    """Return a vertical line; where ``at`` is not finite, nothing is drawn."""
    return {"name": name, "label": label, "at": number(at), **looks(quantity)}


def axis(label: str, *, log: bool, low: float | None = None, high: float | None = None) -> dict:
    """Return an axis; limits that are None are those of what is drawn."""
    return {"label": label, "log": log, "low": low, "high": high}


def fact(name: str, label: str, value: str, word: str = "") -> dict[str, str]:
    """Return a number with its name, as text; ``word`` is its entry in the glossary."""
    return {"name": name, "label": label, "value": value, "word": word}
