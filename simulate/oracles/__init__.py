"""Convex programmes that know the limits of training, each solved with its certificate checked.

Independent of the simulators and of the theory: the programmes are written down from their
definitions, and what is returned satisfies the conditions of optimality, not only a solver's word.

>>> import numpy as np
>>> X, y = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), np.array([1.0, 1.0])
>>> min_l1_interpolation(X, y).w.round(6).tolist()
[1.0, 0.0, 0.0]
>>> min_l2_interpolation(X, y).w.round(6).tolist()
[0.666667, 0.333333, 0.333333]
"""

from lazyrich.simulate.oracles.linear import (
    l1_max_margin,
    l2_max_margin,
    min_l1_interpolation,
    min_l2_interpolation,
    mirror_interpolation,
)
from lazyrich.simulate.oracles.nuclear import min_nuclear_norm, nuclear_lasso
from lazyrich.simulate.oracles.penalised import lasso, ridge
from lazyrich.simulate.oracles.solution import CertificateError, Solution

__all__ = [
    "CertificateError",
    "Solution",
    "l1_max_margin",
    "l2_max_margin",
    "lasso",
    "min_l1_interpolation",
    "min_l2_interpolation",
    "min_nuclear_norm",
    "mirror_interpolation",
    "nuclear_lasso",
    "ridge",
]
