"""The law of the inputs, x ~ N(0, Sigma); by default Sigma = I/D."""

from dataclasses import dataclass
from typing import Any

import sympy as sp

from lazyrich.support.arguments import shown
from lazyrich.theory.symbols import D, Gaussian, I, Sigma, x
from lazyrich.theory.values import check_covariance
from lazyrich.theory.wick import form


@dataclass(frozen=True)
class Inputs:
    """Inputs x ~ N(0, covariance): ``Inputs()`` is I/D, ``Inputs("Sigma")`` a general Sigma.

    ``Inputs(array)`` is a general Sigma whose values are given; ``values`` then holds them.

    >>> Inputs().law.covariance, Inputs("Sigma").law.covariance
    (1/D*I, Sigma)
    >>> Inputs([[1.0, 0.0], [0.0, 0.5]]).values
    {'Sigma': [[1.0, 0.0], [0.0, 0.5]]}
    """

    covariance: Any = None

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a covariance that is none."""
        if self.covariance is None or isinstance(self.covariance, str):
            if self.covariance not in (None, "I/D", "Sigma"):
                raise ValueError(
                    f"inputs = {shown(self.covariance)}: must be I/D, Sigma or a matrix"
                )
            return
        _check_matrix(self._rows())

    def _rows(self) -> list[list[Any]]:
        matrix = self.covariance
        rows = matrix.tolist() if hasattr(matrix, "tolist") else matrix
        try:
            return [list(row) for row in rows]
        except TypeError:
            raise ValueError(f"inputs = {shown(matrix)}: must be I/D, Sigma or a matrix") from None

    @property
    def isotropic(self) -> bool:
        """Whether the covariance is I/D."""
        return self.covariance in (None, "I/D") if _is_name(self.covariance) else False

    @property
    def law(self) -> Gaussian:
        """The law of x in symbols."""
        return Gaussian(x, I / D if self.isotropic else Sigma)

    @property
    def symbols(self) -> dict[str, sp.MatrixSymbol]:
        """The symbols of the law, by name: Sigma, or none.

        >>> Inputs().symbols, Inputs("Sigma").symbols
        ({}, {'Sigma': Sigma})
        """
        return {} if self.isotropic else {"Sigma": Sigma}

    @property
    def values(self) -> dict[str, Any]:
        """The numbers of Sigma, where they are given."""
        return {} if _is_name(self.covariance) else {"Sigma": self._rows()}

    def overlap(self, a: sp.MatrixSymbol, b: sp.MatrixSymbol) -> sp.Expr:
        """Return a^T Sigma b, the covariance of a.x and b.x.

        >>> from lazyrich.theory.symbols import beta, w
        >>> Inputs().overlap(w, beta)
        Trace(w.T*beta)/D
        """
        return sp.Trace(a.T * b) / D if self.isotropic else form(a, Sigma, b)


def _is_name(covariance: Any) -> bool:
    return covariance is None or isinstance(covariance, str)


def _check_matrix(rows: list[list[Any]]) -> None:
    import numpy as np

    try:
        matrix = np.array(rows, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"inputs = {shown(rows)}: must be equal rows of numbers") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"inputs has shape {matrix.shape}: must be a square matrix of numbers")
    check_covariance("inputs", matrix)
