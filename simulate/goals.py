"""Targets as numbers: y(x) of a formula, and what the population loss needs of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from numpy.polynomial.hermite_e import poly2herme
from torch import Tensor

from lazyrich.simulate.arrays import real_array, standard_normal, symmetric_matrix
from lazyrich.simulate.hermite import Ridges
from lazyrich.simulate.shapes import Float
from lazyrich.support.arguments import finite

DEFAULT = "(beta.x)**2/2"


@dataclass(frozen=True)
class Goal:
    """A target with the values of its symbols.

    ``symbolic`` is a ``theory.Target``. Vectors of ``values`` are directions (D,), matrices (D, D).

    >>> goal = Goal.read("b.x + x'B x/2 + c", 2, {"b": [1, 0], "B": [[2, 0], [0, 0]], "c": 3})
    >>> goal(torch.ones(1, 2, dtype=torch.float64)).tolist()
    [5.0]
    >>> [part.tolist() for part in goal.quadratic]
    [3.0, [1.0, 0.0], [[2.0, 0.0], [0.0, 0.0]]]
    """

    symbolic: Any
    D: int
    values: Mapping[str, Any]

    @classmethod
    def read(
        cls, target: Any, D: int, constants: Mapping[str, Any] | None, seed: int | None = None
    ) -> "Goal":
        """Return the target of this text or SymPy expression.

        ``constants`` gives its symbols values. Directions without a value are drawn by ``seed``, of
        square D, the first as beta is. Raises ``ValueError`` in one line.
        """
        from lazyrich.theory.target_function import Target  # here: SymPy takes a while
        from lazyrich.theory.values import to_give

        symbolic, given = Target(target), dict(constants or {})
        for name in given:
            if name not in symbolic.symbols:
                needed = ", ".join(symbolic.symbols) or "none"
                raise ValueError(f"constants {name}: target = {symbolic.text!r} has only {needed}")
        missing = [name for name in symbolic.symbols if name not in given]
        draw = [name for name in missing if name in symbolic.directions and seed is not None]
        values = dict(zip(draw, _drawn(len(draw), D, seed), strict=True)) if draw else {}
        for name in symbolic.symbols:
            if name in values:
                continue
            if name not in given:
                how = to_give(name, symbolic.symbols[name])
                raise ValueError(
                    f"constants: {name} of target = {symbolic.text!r} has no value: give {how}"
                )
            values[name] = _checked(name, given[name], symbolic.symbols[name], D)
        return cls(symbolic, D, values)

    @property
    def text(self) -> str:
        """The target as text that ``theory.Target`` reads back."""
        return self.symbolic.text

    @property
    def directions(self) -> Float[Tensor, "K D"]:
        """The directions, a row each, in the order of their names."""
        rows = [self.values[name] for name in sorted(self.symbolic.directions)]
        return torch.stack(rows) if rows else torch.empty(0, self.D, dtype=torch.float64)

    def __call__(self, X: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        """Return y(x) for every row x of X."""
        return self.symbolic.labels(X, **self.values).reshape(X.shape[0])

    @cached_property
    def quadratic(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """(c, b, B) where y = c + b.x + x^T B x/2; None for a higher degree."""
        if self.symbolic.degree > 2:
            return None
        D = self.D
        one = torch.eye(D, dtype=torch.float64)
        rows, columns = torch.triu_indices(D, D, 1)
        constant = self._homogeneous.get(0)
        c = one.new_tensor(0.0 if constant is None else self._number(constant))
        b = self._part(1, one)
        squares, both = self._part(2, one), self._part(2, one[rows] + one[columns])
        B = torch.diag(2 * squares)
        B[rows, columns] = B[columns, rows] = both - squares[rows] - squares[columns]
        return c, b, B

    @cached_property
    def _homogeneous(self) -> dict[int, Any]:
        """The parts of the target by degree: what is not there is 0 exactly, not up to rounding."""
        from lazyrich.theory.problem.target_power import homogeneous_parts

        return homogeneous_parts(self.symbolic.expr)

    def _part(self, degree: int, X: Tensor) -> Tensor:
        """The part of one degree above 0 at every row of X."""
        from lazyrich.theory.target_function import Target

        if degree not in self._homogeneous:
            return X.new_zeros(len(X))
        part = Target(self._homogeneous[degree])
        values = {name: value for name, value in self.values.items() if name in part.symbols}
        return part.labels(X, **values).reshape(len(X))

    def power(self, covariance: Float[Tensor, "D D"]) -> float:
        """Return the mean of y^2 over x ~ N(0, covariance).

        >>> Goal.read("b.x + 1", 2, {"b": [1.0, 2.0]}).power(torch.eye(2))
        6.0
        """
        from lazyrich.theory import generate
        from lazyrich.theory.inputs import Inputs
        from lazyrich.theory.wick import expectation

        mean = expectation(self.symbolic.expr**2, Inputs("Sigma").law)
        values = {"D": self.D, "Sigma": covariance.double(), **self.values}
        named = {name: values[name] for name in generate.arguments(mean)}
        return float(generate.function(mean, "torch")(**named))

    @cached_property
    def profiles(self) -> list[tuple[str, tuple[float, ...]]] | None:
        """The target as a sum of g(u.x): each direction's name and g's Hermite coefficients.

        None where it is no such sum, as (beta_1.x)(beta_2.x) is not.
        """
        from lazyrich.theory.symbols import x
        from lazyrich.theory.target_function import Target

        found: dict[str, list[float]] = {}
        terms = self.symbolic.expr.expand().as_ordered_terms()
        for term in terms:
            factor, power_of_x = term.as_independent(x, as_Add=False)
            part = Target(power_of_x)
            if part.degree == 0:
                name = next(iter(self.symbolic.directions), None)
            else:
                name = None if part.link is None else part.link[0].name
            if name is None:
                return None
            power = part.degree
            series = found.setdefault(name, [])
            series += [0.0] * (power + 1 - len(series))
            series[power] += self._number(factor)
        return [(name, tuple(map(float, poly2herme(series)))) for name, series in found.items()]

    def _number(self, factor: Any) -> float:
        """The value of a coefficient, such as c |beta|^2/D."""
        from lazyrich.theory import generate

        values = {"D": self.D, **self.values}
        named = {name: values[name] for name in generate.arguments(factor)}
        return float(generate.function(factor, "torch")(**named))

    def ridges(self, mixing: Float[Tensor, "D D"] | None) -> list[Ridges] | None:
        """Return the target as ridge functions of z ~ N(0, I/D), where x = mixing z."""
        if self.profiles is None:
            return None
        found = []
        for name, series in self.profiles:
            row = self.values[name][None]
            found.append(Ridges(row if mixing is None else row @ mixing, row.new_ones(1), series))
        return found


def _drawn(count: int, D: int, seed: int | None) -> list[Tensor]:
    rows = standard_normal(seed or 0, "beta", (count, D))
    return [row * (D**0.5 / row.norm()) for row in rows]


def _checked(name: str, value: Any, symbol: Any, D: int) -> Any:
    shape = getattr(symbol, "shape", None)
    if shape is None:
        return finite(name, value)
    if shape[1] == 1:
        return real_array(name, value, (D,), f"(D,) = ({D},)")
    if getattr(symbol, "symmetric", False):
        return symmetric_matrix(name, value, D)
    return real_array(name, value, (D, D), f"(D, D) = ({D}, {D})")
