"""Hermite polynomials, and the exact population loss of networks and targets made of them.

He_k are the probabilists': He_2 = h^2 - 1, He_3 = h^3 - 3h. Network and target are sums of ridge
functions g_a(u_a.x), each g_a a polynomial, so that for x ~ N(0, I/D) the mean square of their
difference splits by Hermite degree n: it is the sum over all pairs (a, b) and over n of

    (u_a.u_b/D)^n/n!  m_n(a) m_n(b),      m_n(a) = <g_a^(n)(u_a.x)>.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lazyrich.simulate.shapes import Float, Number
from lazyrich.support.arguments import positive_integer

# The highest k of which (k!)^2, which the population loss holds, is a float64.
HIGHEST_DEGREE = 98


def degree(name: str, value: object) -> int:
    """Return the degree of a Hermite polynomial, or raise ``ValueError`` naming the argument.

    >>> degree("target_degree", 99)
    Traceback (most recent call last):
    ...
    ValueError: target_degree = 99: must be at most 98
    """
    k = positive_integer(name, value)
    if k > HIGHEST_DEGREE:
        raise ValueError(f"{name} = {value}: must be at most {HIGHEST_DEGREE}")
    return k


def hermite(k: int, h: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return He_k(h), by He_{n+1} = h He_n - n He_{n-1}. Its derivative is k He_{k-1}.

    >>> hermite(3, torch.tensor([1.0, 2.0, 3.0]))                      # h^3 - 3h
    tensor([-2.,  2., 18.])
    """
    before, now = torch.zeros_like(h), torch.ones_like(h)
    for n in range(k):
        before, now = now, h * now - n * before
    return now


def hermite_rise(
    k: int, h: Float[Tensor, "*shape"], g: Float[Tensor, "*shape"], size: float
) -> Float[Tensor, "*shape"]:
    """Return (He_k(h + size g) - He_k(h))/size, accurately for every size.

    >>> h = torch.tensor([1.0, 2.0])
    >>> hermite_rise(3, h, h, 1.0), hermite_rise(3, h, h, 1e-30)       # the second: h He_3'(h)
    (tensor([ 4., 50.]), tensor([ 0., 18.]))
    """
    before, now = torch.zeros_like(h), torch.ones_like(h)
    rise_before, rise, later = torch.zeros_like(h), torch.zeros_like(h), h + size * g
    for n in range(k):
        rise_before, rise = rise, later * rise + g * now - n * rise_before
        before, now = now, h * now - n * before
    return rise


class Ridges(NamedTuple):
    """Ridge functions sum_a coefficients_a g(u_a.x) that share g = sum_j series_j He_j.

    ``directions`` has a row u_a each.
    """

    directions: Float[Tensor, "A D"]
    coefficients: Float[Tensor, " A"]
    series: tuple[float, ...]

    def times(self, factor: Number) -> "Ridges":
        """Return the functions multiplied by a number.

        >>> Ridges(torch.eye(2), torch.ones(2), (0.0, 1.0)).times(4).coefficients
        tensor([4., 4.])
        """
        return self._replace(coefficients=self.coefficients * factor)

    def on(self, device: torch.device) -> "Ridges":
        """Return them on this device."""
        return Ridges(self.directions.to(device), self.coefficients.to(device), self.series)

    def mean_derivative(self, n: int) -> Float[Tensor, " A"]:
        """Return coefficients times m_n: the means of the n-th derivatives over x ~ N(0, I/D).

        u.x has variance s = |u|^2/D, and <He_i(u.x)> = (i - 1)!! (s - 1)^(i/2) for even i.

        >>> cubes = Ridges(torch.eye(2), torch.ones(2), (0.0, 3.0, 0.0, 1.0))     # h^3
        >>> cubes.mean_derivative(1)                                   # 3 s, s = 1/2
        tensor([1.5000, 1.5000])
        """
        excess = self.directions.square().sum(-1) / self.directions.shape[-1] - 1
        total = torch.zeros_like(excess)
        for j in range(n, len(self.series)):
            i = j - n
            if i % 2 == 0:
                factor = self.series[j] * math.perm(j, n) * math.prod(range(i - 1, 0, -2))
                total += factor * excess ** (i // 2)
        return self.coefficients * total


def population_by_degree(
    parts: Sequence[Ridges], block: int = 1024
) -> dict[str, Float[Tensor, ""]]:
    """Return the mean square over x ~ N(0, I/D) of the sum of all parts, by Hermite degree.

    ``degree_0`` is the square of the mean, ``degree_1`` the power of the linear functions, and so
    on; they add up to it. Pairs are taken ``block`` rows at a time.

    >>> h = Ridges(torch.tensor([[2.0, 0.0]]), torch.tensor([1.0]), (0.5, 0.0, 0.5))      # h^2/2
    >>> {name: float(power) for name, power in population_by_degree([h]).items()}
    {'degree_0': 1.0, 'degree_1': 0.0, 'degree_2': 2.0}
    """
    parts = [part.on(parts[0].directions.device) for part in parts]
    U = torch.cat([part.directions for part in parts])
    degrees = range(max(len(part.series) for part in parts))
    means = [torch.cat([part.mean_derivative(n) for part in parts]) for n in degrees]
    powers = [U.new_zeros(()) for _ in degrees]
    # Allocated once: a new matrix for each block left a gigabyte of holes in glibc's heap.
    room = U.new_empty(2, min(block, U.shape[0]), U.shape[0])
    for top in range(0, U.shape[0], block):
        rows = slice(top, top + block)
        overlaps, power = room[:, : U[rows].shape[0]]
        torch.mm(U[rows], U.T, out=overlaps).div_(U.shape[1])
        power.fill_(1.0)
        for n in degrees:
            share = means[n][rows] @ power @ means[n]
            if not bool(torch.isfinite(share)):  # an overlap that counts for nothing overflowed
                counts = (means[n][rows] != 0)[:, None] & (means[n] != 0)
                share = means[n][rows] @ torch.where(counts, power, 0.0) @ means[n]
            powers[n] += share / float(math.factorial(n))
            power *= overlaps
    return {f"degree_{n}": power for n, power in enumerate(powers)}
