"""Activations as numbers: phi, phi', its rise over a small change, and its Hermite series.

``numeric`` turns an activation as one writes it into one of these.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.polynomial.hermite_e import poly2herme
from torch import Tensor

from lazyrich.simulate.hermite import hermite, hermite_rise
from lazyrich.support.arguments import finite

DEFAULT = "h + epsilon/2*h**2"
EPSILON = 0.02  # of Figure 1
# Its fourth power, and that of the weights, must be a float.
LARGEST_COEFFICIENT = 1e70


@runtime_checkable
class Activation(Protocol):
    """What a network needs of its activation, entry by entry."""

    @property
    def series(self) -> tuple[float, ...] | None:
        """The coefficients c_n in phi = sum_n c_n He_n; None where there are infinitely many."""
        ...

    def __call__(self, H: Tensor) -> Tensor:
        """Return phi(H)."""
        ...

    def slope(self, H: Tensor) -> Tensor:
        """Return phi'(H)."""
        ...

    def rise(self, H: Tensor, G: Tensor, size: float) -> Tensor:
        """Return (phi(H + size G) - phi(H))/size, accurately for every size."""
        ...


@dataclass(frozen=True)
class Curved:
    """phi(h) = h + (epsilon/2) h^2, or h + (epsilon/2) He_k(h) with ``degree`` k.

    >>> phi, h = Curved(0.5), torch.tensor([2.0])
    >>> phi(h), phi.slope(h), phi.rise(h, h, 1e-30)
    (tensor([3.]), tensor([2.]), tensor([4.]))
    """

    epsilon: float
    degree: int | None = None

    @property
    def series(self) -> tuple[float, ...]:
        """The coefficients on He_0, He_1, ...; h^2 = He_2 + 1."""
        degree = 2 if self.degree is None else self.degree
        found = [0.0, 1.0, *[0.0] * (degree - 1)]
        found[degree] += self.epsilon / 2
        if self.degree is None:
            found[0] = self.epsilon / 2
        return tuple(found)

    def __call__(self, H: Tensor) -> Tensor:
        """Return phi(H)."""
        power = H**2 if self.degree is None else hermite(self.degree, H)
        return H + self.epsilon / 2 * power

    def slope(self, H: Tensor) -> Tensor:
        """Return phi'(H)."""
        slope = 2 * H if self.degree is None else self.degree * hermite(self.degree - 1, H)
        return 1 + self.epsilon / 2 * slope

    def rise(self, H: Tensor, G: Tensor, size: float) -> Tensor:
        """Return (phi(H + size G) - phi(H))/size."""
        if self.degree is None:
            return G * (1 + self.epsilon * (H + size / 2 * G))
        return G + self.epsilon / 2 * hermite_rise(self.degree, H, G, size)


@dataclass(frozen=True)
class Polynomial:
    """phi(h) = sum_n coefficients[n] h^n.

    >>> cubic, h = Polynomial((0.0, 1.0, 0.0, 0.5)), torch.tensor([2.0])
    >>> cubic(h), cubic.slope(h), cubic.rise(h, h, 1.0)
    (tensor([6.]), tensor([7.]), tensor([30.]))
    >>> cubic.series
    (0.0, 2.5, 0.0, 0.5)
    """

    coefficients: tuple[float, ...]

    @property
    def series(self) -> tuple[float, ...]:
        """The coefficients on He_0, He_1, ..."""
        found = [float(c) for c in np.atleast_1d(poly2herme(self.coefficients))]
        return tuple(found + [0.0] * (len(self.coefficients) - len(found)))

    def __call__(self, H: Tensor) -> Tensor:
        """Return phi(H), by Horner's scheme."""
        value = self._zeros(H)
        for c in reversed(self.coefficients):
            value = value * H + c
        return value

    def slope(self, H: Tensor) -> Tensor:
        """Return phi'(H)."""
        return Polynomial(tuple(n * c for n, c in enumerate(self.coefficients))[1:])(H)

    def rise(self, H: Tensor, G: Tensor, size: float) -> Tensor:
        """Return (phi(H + size G) - phi(H))/size, from that of h^n to that of h^(n+1)."""
        total, rise, power, later = self._zeros(G), torch.zeros_like(H), 1.0, H + size * G
        for c in self.coefficients[1:]:
            rise, power = later * rise + G * power, power * H
            total = total + c * rise
        return total

    def _zeros(self, H: Tensor) -> Tensor:
        """Return zeros; of a constant phi autograd finds the slope, which is 0 as well."""
        return 0 * H if len(self.coefficients) < 2 else torch.zeros_like(H)


@dataclass(frozen=True)
class Erf:
    """phi(h) = factor erf(scale h).

    >>> phi, h = Erf(2.0, 1.0), torch.tensor([0.5], dtype=torch.float64)
    >>> bool(abs(phi.rise(h, h, 1e-20) - 0.5 * phi.slope(h)) < 1e-15)
    True
    """

    factor: float
    scale: float
    series = None

    def __call__(self, H: Tensor) -> Tensor:
        """Return phi(H)."""
        return self.factor * torch.erf(self.scale * H)

    def slope(self, H: Tensor) -> Tensor:
        """Return phi'(H)."""
        peak = 2 * self.factor * self.scale / math.sqrt(math.pi)
        return peak * torch.exp(-((self.scale * H) ** 2))

    def rise(self, H: Tensor, G: Tensor, size: float) -> Tensor:
        """Return (phi(H + size G) - phi(H))/size, by Taylor's series where that is small."""
        change, a2 = size * G, self.scale**2
        bend = 1 - a2 * H * change + (2 * a2**2 * H**2 - a2) * change**2 / 3
        small = (self.scale * change).abs() < 1e-4
        apart = torch.where(small, 1.0, change)
        difference = (self(H + apart) - self(H)) / torch.where(small, 1.0, apart)
        return G * torch.where(small, self.slope(H) * bend, difference)


@dataclass(frozen=True)
class Relu:
    """phi(h) = factor max(0, side h), side 1 or -1.

    >>> Relu(2.0)(torch.tensor([-1.0, 3.0])).tolist()
    [0.0, 6.0]
    """

    factor: float
    side: float = 1.0
    series = None

    def __call__(self, H: Tensor) -> Tensor:
        """Return phi(H)."""
        return self.factor * torch.relu(self.side * H)

    def slope(self, H: Tensor) -> Tensor:
        """Return phi'(H), 0 at the kink."""
        return self.factor * self.side * (self.side * H > 0).to(H.dtype)

    def rise(self, H: Tensor, G: Tensor, size: float) -> Tensor:
        """Return (phi(H + size G) - phi(H))/size: G itself where both are above 0."""
        H, G = self.side * H, self.side * G
        later = H + size * G
        crossing = (torch.relu(later) - torch.relu(H)) / size
        both = torch.where((later > 0) & (H > 0), G, torch.zeros_like(G))
        return self.factor * torch.where((later > 0) == (H > 0), both, crossing)


def numeric(
    activation: Any, *, epsilon: Any, constants: Mapping[str, Any] | None, degree: int | None
) -> tuple[Activation, str]:
    """Return the activation as numbers, and its text: what a configuration keeps.

    ``activation`` is text, a SymPy expression or a ``theory.Activation``; ``epsilon`` and
    ``constants`` give its symbols values. ``degree`` k, without an activation, stands for
    h + (epsilon/2) He_k(h). Raises ``ValueError`` in one line.

    >>> numeric(None, epsilon=0.5, constants=None, degree=None)
    (Curved(epsilon=0.5, degree=None), 'h + epsilon/2*h**2')
    >>> numeric("h + 0.1*h**2", epsilon=EPSILON, constants=None, degree=None)[0]
    Curved(epsilon=0.2, degree=None)
    """
    epsilon = finite("epsilon", epsilon)
    if activation is None or activation == DEFAULT:
        if constants:
            raise ValueError(f"constants = {constants}: {DEFAULT} has no symbol but epsilon")
        text = DEFAULT if degree is None else f"h + epsilon/2*He_{degree}(h)"
        return Curved(epsilon, degree), text
    if degree is not None:
        raise ValueError(
            f"activation_degree = {degree}: must be left out where activation is given"
        )
    from lazyrich.theory.activation import Activation as Symbolic  # SymPy takes a while

    symbolic = Symbolic(activation)
    values = {name: finite(name, value) for name, value in (constants or {}).items()}
    if "epsilon" in symbolic.symbols:
        values.setdefault("epsilon", epsilon)
    elif epsilon != EPSILON:
        raise ValueError(f"epsilon = {epsilon:g}: activation = {symbolic.text!r} has no epsilon")
    if symbolic.kind == "erf":
        return Erf(*symbolic.scale(**values)), symbolic.text
    if symbolic.kind == "relu":
        return Relu(*symbolic.scale(**values)), symbolic.text
    coefficients = tuple(symbolic.coefficients(**values))
    if max(map(abs, coefficients), default=0.0) > LARGEST_COEFFICIENT:
        largest = max(coefficients, key=abs)
        raise ValueError(
            f"activation = {symbolic.text!r}: the largest coefficient is {largest:g}: must be at "
            f"most {LARGEST_COEFFICIENT:g} in size"
        )
    if len(coefficients) in (2, 3) and coefficients[:2] == (0.0, 1.0):
        return Curved(2 * coefficients[2] if len(coefficients) == 3 else 0.0), symbolic.text
    return Polynomial(coefficients), symbolic.text
