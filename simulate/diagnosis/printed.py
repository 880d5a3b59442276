"""How the numbers of an answer are printed: the same in its sentences and in its table."""

import math
from typing import Any


def printed(value: Any) -> str:
    """Return a value as the sentences and the table of an answer print it.

    >>> [printed(value) for value in (math.inf, 34760.4, 1.234e7, 1e-30, 0.0, [1.0, math.inf])]
    ['never', '34,760', '1.234e+07', 'below 1e-12', '0', '1 to never']
    """
    if isinstance(value, list):
        return " to ".join(map(printed, value))
    if not isinstance(value, float):
        return str(value)
    if math.isinf(value) or math.isnan(value):
        return "never" if math.isinf(value) else "unknown"
    if 0 < abs(value) < 1e-12:
        return "below 1e-12"
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.10g}" if 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"
