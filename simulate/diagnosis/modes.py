"""Directions in which the linearised network learns one by one, each at its own rate.

For the mean square error, every eigenvector of the train kernel is fitted by itself. All of them by
an eigendecomposition; or, where the kernel does not fit in memory, those that the labels have a
part in, by Lanczos iteration with the residual as the first vector.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lazyrich.support.interruption import Ended, Interruption

# Lanczos iterations after which the modes are looked at.
CHECKED = 10
Product = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Modes:
    """Modes of the train kernel: eigenvalues k (q,), and what training does through each.

    ``residual`` and ``drift``: the parts of f0 - y - g and of g = J w0 in each mode. ``vectors``:
    the modes on the training outputs (n C, q); ``train`` and ``test``: how the outputs respond to
    each, K times the modes. ``converged``: whether these are all the modes that matter.
    """

    k: np.ndarray
    residual: np.ndarray
    drift: np.ndarray
    vectors: np.ndarray
    train: np.ndarray
    test: np.ndarray
    converged: bool = True

    def flow(self, times: np.ndarray, c: float, decay: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the coefficients a (q, times) of each mode, and b (times,), by gradient flow.

        a' = -(c k + decay) a - c (residual + exp(-decay t) drift), b = exp(-decay t) - 1.
        """
        rate = (c * self.k)[:, None]
        t = np.asarray(times, dtype=float)[None]
        total = rate + decay
        a = -c * self.residual[:, None] * _approach(total, t)
        a -= c * self.drift[:, None] * np.exp(-decay * t) * _approach(rate, t)
        return a, np.expm1(-decay * t[0])

    def descent(
        self, steps: np.ndarray, c: float, decay: float, rate: float, momentum: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the same after numbers of steps of ``torch.optim.SGD``, heavy-ball momentum.

        A step is linear in (a, velocity of a, 1 + b, velocity of b, 1) of each mode.
        """
        q = len(self.k)
        step = np.zeros((q, 5, 5))
        force = np.zeros((q, 5))  # the new velocity of a, from the five
        force[:, 0], force[:, 1] = c * self.k + decay, momentum
        force[:, 2], force[:, 4] = c * self.drift, c * self.residual
        shrink = np.array([0, 0, decay, momentum, 0.0])
        step[:, 1], step[:, 3] = force, shrink
        step[:, 0], step[:, 2] = -rate * force, -rate * shrink
        step[:, 0, 0] += 1
        step[:, 2, 2] += 1
        step[:, 4, 4] = 1
        state, done, found = np.tile([0.0, 0, 1, 0, 1], (q, 1)), 0, []
        for number in np.asarray(steps, dtype=int):
            power = np.linalg.matrix_power(step, int(number) - done)
            state, done = np.einsum("qij,qj->qi", power, state), int(number)
            found.append(state)
        states = np.stack(found, -1) if found else np.zeros((q, 5, 0))
        b = states[0, 2] - 1 if q else np.zeros(len(found))
        return states[:, 0], b

    def limit(self, c: float, decay: float) -> tuple[np.ndarray, float]:
        """Return a and b after infinite time; modes without a rate stay where they are."""
        rate, total = c * self.k, c * self.k + decay
        alive = total > len(self.k) * np.finfo(float).eps * max(total.max(initial=0.0), 1e-300)
        source = self.residual if decay > 0 else self.residual + self.drift
        safe = np.where(alive, total, 1.0)
        return np.where(alive & (rate >= 0), -c * source / safe, 0.0), -1.0 if decay > 0 else 0.0


def _approach(rate: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return (1 - exp(-rate t))/rate, t where the rate is 0."""
    safe = np.where(rate > 0, rate, 1.0)
    return np.where(rate > 0, -np.expm1(-safe * t) / safe, t)


def of_kernel(K: Tensor, K_test: Tensor, residual: Tensor, drift: Tensor) -> Modes:
    """Return all modes of a train kernel, by eigendecomposition."""
    k, vectors = torch.linalg.eigh((K + K.T) / 2)
    k = k.clamp(min=0)
    return Modes(
        k.numpy(),
        (vectors.T @ residual).numpy(),
        (vectors.T @ drift).numpy(),
        vectors.numpy(),
        (vectors * k).numpy(),
        (K_test @ vectors).numpy(),
    )


def of_products(
    product: Product,
    start: Tensor,
    iterations: int,
    settled: Callable[[Modes], bool],
    stop: Interruption | None = None,
) -> Modes:
    """Return the modes that one vector has a part in, by Lanczos iteration.

    ``product(v)`` is the kernel times v on the train and the test outputs. Every vector is made
    orthogonal to all before it. The iteration ends where ``settled`` says of the modes so far that
    more would change nothing, or after ``iterations``. With ``stop``, an interrupted one gives the
    modes that it has found.
    """
    length = float(start.norm())
    basis, train, test = [start / (length or 1.0)], [], []
    diagonal: list[float] = []
    beside: list[float] = []
    modes = None
    for number in range(min(iterations, len(start))):
        try:
            moved, moved_test = product(basis[-1])
        except (KeyboardInterrupt, Ended) as error:
            if stop is None or modes is None:
                raise
            stop.by = error.with_traceback(None)
            stop.missing.append(f"modes of the twin after {len(modes.k)} Lanczos iterations")
            return modes
        train.append(moved)
        test.append(moved_test)
        diagonal.append(float(basis[-1] @ moved))
        rest = moved.clone()
        for _ in range(2):  # once is not enough in rounding
            for vector in basis:
                rest -= (vector @ rest) * vector
        size = float(rest.norm())
        last = size <= 1e-12 * max(map(abs, diagonal), default=1.0)
        if last or number % CHECKED == CHECKED - 1 or number + 1 == min(iterations, len(start)):
            modes = _ritz(diagonal, beside, basis, train, test, length, complete=last)
            if last or settled(modes):
                return replace(modes, converged=True)
        beside.append(size)
        basis.append(rest / size)
    assert modes is not None
    return modes


def _ritz(
    diagonal: list[float],
    beside: list[float],
    basis: list[Tensor],
    train: list[Tensor],
    test: list[Tensor],
    length: float,
    complete: bool,
) -> Modes:
    q = len(diagonal)
    T = np.diag(diagonal) + np.diag(beside[: q - 1], 1) + np.diag(beside[: q - 1], -1)
    k, turn = np.linalg.eigh(T)
    vectors, moved, moved_test = (
        torch.stack(parts[:q], 1).numpy() @ turn for parts in (basis, train, test)
    )
    k = np.maximum(k, 0)
    return Modes(k, length * turn[0], np.zeros(q), vectors, moved, moved_test, complete)


def together(one: Modes, other: Modes) -> Modes:
    """Return the modes of a residual and those of a drift as one list."""

    def beside(name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name), getattr(other, name)], -1)

    return Modes(
        k=beside("k"),
        residual=np.concatenate([one.residual, np.zeros_like(other.k)]),
        drift=np.concatenate([np.zeros_like(one.k), other.residual]),
        vectors=beside("vectors"),
        train=beside("train"),
        test=beside("test"),
        converged=one.converged and other.converged,
    )
