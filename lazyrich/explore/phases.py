"""The phase diagram behind the run: forecasts over P/D and alpha epsilon/|beta|^2.

It is computed once, at one dimension: in these two numbers the boundaries hardly depend on D
(figure ``phase-diagram`` has them with trained networks).
"""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

from lazyrich.explore.watch import Watch
from lazyrich.simulate import PolynomialTask
from lazyrich.simulate.laws.grokking import forecast

D = 12
RATIOS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 24.0, 48.0)
FEATURES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
LAZINESS = 30.0  # alpha/epsilon


@cache
def cell(ratio: float, features: float) -> str:
    """Return the phase that is forecast at P/D = ``ratio`` and alpha epsilon/|beta|^2.

    >>> cell(1.0, 1e-3), cell(3.0, 1e-3)
    ('memorises', 'groks')
    """
    product = features * D
    alpha, epsilon = math.sqrt(product * LAZINESS), math.sqrt(product / LAZINESS)
    task = PolynomialTask(D, round(ratio * D), n_test=1)
    return forecast(task.X, task.beta, alpha=alpha, epsilon=epsilon).phase


def frames(watch: Watch) -> Iterator[dict[str, Any]]:
    """Yield the diagram, row by row as it fills; at once where it was computed before."""
    cells: list[list[str | None]] = [[None] * len(RATIOS) for _ in FEATURES]
    known = cell.cache_info().currsize == len(RATIOS) * len(FEATURES)
    for row, features in enumerate(FEATURES):
        for column, ratio in enumerate(RATIOS):
            watch()
            cells[row][column] = cell(ratio, features)
        if not known or row == len(FEATURES) - 1:
            yield {"D": D, "x": RATIOS, "y": FEATURES, "cells": [list(each) for each in cells]}
