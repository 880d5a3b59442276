"""A user's problem with numbers, what an attack on it finds, and what the attacks share.

Networks are evaluated by torch, derivatives taken by autograd, means by quadrature.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lazyrich.verify.cubature import gauss_hermite

if TYPE_CHECKING:
    from lazyrich.theory import Problem
    from lazyrich.theory.problem.eigenspaces import Spectrum

Array = np.ndarray
HIGHEST = 40  # harmonic degree of kernels with all of them
PLANTED = 1e-3  # the relative error of the wrong statements that have no nearer form
_SIZED = 256  # inputs by which the size of labels and outputs is taken


@dataclass(frozen=True)
class Setting:
    """A problem with numbers: dimension, samples, width, and values of its symbols."""

    problem: "Problem"
    D: int
    P: int
    N: int
    seed: int
    values: dict[str, Any]

    def generator(self, stream: int) -> np.random.Generator:
        """Return a random generator of its own for each attack."""
        return np.random.default_rng([self.seed, stream])

    @property
    def trained(self) -> bool:
        """Whether the readouts are trained."""
        return self.problem.readouts == "trained"

    @property
    def deviations(self) -> dict[str, float]:
        """The standard deviations of the initial weights, 1 unless given."""
        names = ("sigma_w", "sigma_v") if self.trained else ("sigma",)
        return {name: self.values.get(name, 1.0) for name in names}

    def of(self, names: Any) -> dict[str, Any]:
        """Return the values of some symbols."""
        return {name: self.values[name] for name in names}

    def numbers(self, names: Any) -> dict[str, Any]:
        """The same as plain numbers and lists, with D, and Sigma where the inputs have it."""
        found = self.of([*names, *self.problem.inputs.symbols])
        plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in found.items()}
        return {"D": self.D, **plain}

    def phi(self, h: torch.Tensor) -> torch.Tensor:
        """Return the activation at h, from its definition."""
        activation = self.problem.activation
        own = self.of(activation.symbols)
        if activation.kind == "polynomial":
            total = torch.zeros_like(h)
            for coefficient in reversed(activation.coefficients(**own)):
                total = total * h + coefficient
            return total
        factor, slope = activation.scale(**own)
        return factor * (torch.erf if activation.kind == "erf" else torch.relu)(slope * h)

    def labels(self, X: Array) -> Array:
        """Return the target at the rows of X."""
        return self.problem.target.labels(X, **self.of(self.problem.target.symbols))

    @property
    def sizes(self) -> tuple[float, float]:
        """The powers of two nearest to the size of the labels, and of v phi(w.x); 1 for what is 0.

        Their ratio is the unit of alpha: with an output far from the labels' size, an attack would
        test only one of the two.
        """
        random, (sigma, *rest) = self.generator(12), self.deviations.values()
        labels = self.labels(random.normal(size=(_SIZED, self.D)) / np.sqrt(self.D) @ self.root)
        phi = self.phi(torch.tensor(sigma * random.normal(size=_SIZED))).numpy()
        largest = math.prod(rest) * math.hypot(*phi)
        y, f = (
            2.0 ** round(math.log2(size / math.sqrt(_SIZED))) if 0 < size < math.inf else 1.0
            for size in (math.hypot(*labels), largest)
        )
        return y, f

    @property
    def scale(self) -> float:
        """The unit of alpha: with alpha = 1 the output is of the labels' size."""
        y, f = self.sizes
        return y / f

    def bend(self, size: float) -> float:
        """How far x goes while phi(w.x) bends, where |w| is ``size``; inf unless phi is erf."""
        activation = self.problem.activation
        if activation.kind != "erf":
            return math.inf
        slope = abs(activation.scale(**self.of(activation.symbols))[1])
        return 1 / (slope * size) if slope * size else math.inf

    @cached_property
    def kernel(self) -> Callable[..., Array]:
        """The derived kernel at initialisation, as a function of arrays x and x_prime."""
        function = self.problem.closed_form("ntk-at-init").function("numpy")
        return partial(function, **self.of(self.problem.activation.symbols), **self.deviations)

    @cached_property
    def spectrum(self) -> "Spectrum":
        """The initial kernel's spectrum in numbers, with the target on it."""
        values: dict[str, Any] = {**self.of(self.problem.symbols), **self.deviations}
        return self.problem.spectrum(D=self.D, highest=self._highest, **values)

    @cached_property
    def circles(self) -> tuple[Array, Array, Array, Array]:
        """In the plane: the kernel on circles (``own_planes.kernel_on_circles``)."""
        from lazyrich.verify.own_planes import kernel_on_circles

        plane: Any = self
        return kernel_on_circles(plane, self._highest)

    @property
    def _highest(self) -> int:
        return max(HIGHEST, self.problem.target.degree)

    @cached_property
    def plane(self) -> "Setting":
        """The problem in the plane, with other vectors and matrices of that size."""
        return self.of_size(2, stream=4)

    @property
    def root(self) -> Array:
        """The R of x = R z for z ~ N(0, I/D): the unit matrix unless the inputs have a Sigma."""
        if self.problem.inputs.isotropic:
            return np.eye(self.D)
        return np.linalg.cholesky(self.D * np.asarray(self.values["Sigma"])).T

    def cubature(self, degree: int) -> tuple[Array, Array]:
        """Return points and weights, exact for polynomials of that degree in the inputs."""
        points, weights = gauss_hermite(self.D, degree)
        return points @ self.root, weights

    def of_size(self, D: int, stream: int) -> "Setting":
        """The problem in D dimensions, with other vectors and matrices of that size."""
        random, values = self.generator(stream), dict(self.values)
        for name, symbol in self.problem.target.symbols.items():
            if shape := getattr(symbol, "shape", None):
                values[name] = random.normal(size=(D,) if shape[1] == 1 else (D, D))
        if not self.problem.inputs.isotropic:
            values["Sigma"] = drawn_covariance(D, random)
        return replace(self, D=D, values=values)

    def network(self, width: int, stream: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return initial weights (N, D) and readouts (N,)."""
        random = self.generator(stream)
        first, *rest = self.deviations.values()
        W = torch.tensor(first * random.normal(size=(width, self.D)))
        v = (
            torch.tensor(rest[0] * random.normal(size=width))
            if rest
            else torch.ones(width).double()
        )
        return W, v

    def function(self, W: torch.Tensor, v: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Return (1/N) sum_i v_i phi(w_i.x) at the rows of X, without alpha."""
        return self.phi(X @ W.T) @ v / W.shape[0]

    def tangent(self, W: torch.Tensor, v: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
        """Return the derivatives of the function in all trained weights, (P, parameters)."""
        trained = (0, 1) if self.trained else (0,)
        slopes = torch.func.jacrev(lambda W, v: self.function(W, v, X), trained)(W, v)
        return torch.cat([slope.reshape(X.shape[0], -1) for slope in slopes], dim=1)


@dataclass(frozen=True)
class Finding:
    """What one attack found: the error, what it may be, and the error of the wrong statement."""

    error: float
    allowed: float
    control: float
    detail: str

    @property
    def holds(self) -> bool:
        """Whether the statement held."""
        return bool(self.error <= self.allowed)

    @property
    def control_rejected(self) -> bool:
        """Whether the wrong statement was told apart: if not, the attack says nothing."""
        return bool(self.control > self.allowed)


def drawn_covariance(D: int, random: np.random.Generator) -> Array:
    """A random covariance, of order I/D and well conditioned."""
    factor = random.normal(size=(D, D)) / np.sqrt(D)
    return (factor @ factor.T + np.eye(D)) / D


def relative(found: Array, expected: Array) -> float:
    scale = np.abs(expected).max()
    return float(np.abs(found - expected).max() / scale) if scale else float(np.abs(found).max())


def kernel_matrix(setting: Setting, X: Array, Z: Array | None = None) -> Array:
    """Return the derived kernel at initialisation at the rows of X and Z."""
    Z = X if Z is None else Z
    return setting.kernel(x=X[:, None], x_prime=Z[None, :]) + np.zeros((len(X), len(Z)))
