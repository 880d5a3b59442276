"""The attack on the lazy learning curve of a user's problem: regression on Gaussian features.

The curve is derived for features that are Gaussian, so that is where it is tested: a drawn kernel
matrix with the problem's eigenvalues, a linear solve, and the loss of that solution on new inputs,
exactly. The kernel's true functions of x are not Gaussian: the report says how far the loss on
drawn inputs is from the curve, without judging it.
"""

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq

from lazyrich.theory.problem.eigenspaces import Spectrum
from lazyrich.verify.own_setting import Array, Finding, Setting, kernel_matrix
from lazyrich.verify.statistics import two_stages

_D, _P = 100, 200  # large: Gaussian features have the curve's loss up to terms of order 1/P
_PILOT, _MOST = 100, 2000
_FUNCTIONS = 50  # at least, to learn all of
_SMALLEST = 0.1  # of the loss: an error of the curve that must not be missed
_INPUTS, _TEST = 10, 200  # data sets of real inputs, and test inputs of each


def learning_curve(setting: Setting) -> Finding:
    """The lazy learning curve is the mean loss of regression on Gaussian features.

    At half as many samples as functions, and at most 200. The control is the loss without its
    variance factor P/(P - sum m L^2), and a curve that is a quarter too large where that factor is
    within 10% of 1. An error of 10% of the loss is seen.
    """
    large, found, names = _large(setting)
    P = max(1, min(_P, found.rank // 2))
    curve = float(large.problem.learning_curve(P=P, D=large.D, **names))
    wrong = _without_variance(found, P)
    if abs(wrong - curve) < _SMALLEST * curve:
        wrong = 1.25 * curve

    def sample(first: int, count: int) -> Array:
        seeds = ([setting.seed, 10, draw] for draw in range(first, first + count))
        return np.array([gaussian_loss(found, P, np.random.default_rng(s)) for s in seeds])

    losses, allowed = two_stages("the loss", sample, 0, _SMALLEST * curve, pilot=_PILOT, most=_MOST)
    mean, on_inputs = float(losses.mean()), _on_inputs(large, P) / curve
    return Finding(
        abs(mean / curve - 1),
        allowed / curve,
        abs(mean - wrong) / curve,
        f"{len(losses)} draws of {P} Gaussian samples at D = {large.D}; "
        f"on real inputs the mean loss is {on_inputs:.2f} of the curve (not judged)",
    )


def _large(setting: Setting) -> tuple[Setting, Spectrum, dict[str, Any]]:
    """The problem at the largest D at which floating point tells its eigenvalues apart."""
    for D in (_D, 30, 10):
        large = setting.of_size(D, stream=9)
        names: dict[str, Any] = {**large.of(large.problem.symbols), **large.deviations}
        try:
            return large, large.problem.spectrum(D=D, highest=12, **names), names
        except ValueError:
            if D == 10:
                raise
    raise AssertionError


def all_learned(setting: Setting) -> Finding:
    """With twice as many samples as functions the curve is the mean loss of least squares.

    On Gaussian features, given them: what of the labels is no function of the kernel counts as
    noise. The control is that noise alone. An error of 10% of the loss is seen.
    """
    D, found, large, names = 0, None, setting, {}
    while found is None or found.rank < _FUNCTIONS:
        D += 1
        large = setting.of_size(D, stream=21)
        names = {**large.of(large.problem.symbols), **large.deviations}
        found = large.problem.spectrum(D=D, **names)
    P, power = 2 * found.rank, sum(space.power for space in found.spaces) + found.null
    noise = math.sqrt(power)
    curve = float(large.problem.learning_curve(P=P, D=D, noise=noise, **names))

    def sample(first: int, count: int) -> Array:
        seeds = ([setting.seed, 22, draw] for draw in range(first, first + count))
        drawn = (np.random.default_rng(s).normal(size=(P, found.rank)) for s in seeds)
        return np.array([1 + (np.linalg.svd(Z, compute_uv=False) ** -2.0).sum() for Z in drawn])

    fixed = found.null + noise**2
    losses, allowed = two_stages("the loss", sample, 0, _SMALLEST * curve / fixed, pilot=20)
    mean = fixed * float(losses.mean())
    detail = f"{len(losses)} draws of {P} Gaussian samples of {found.rank} functions"
    error, control = (abs(mean - other) / curve for other in (curve, fixed))
    return Finding(error, allowed * fixed / curve, control, detail)


def gaussian_loss(found: Spectrum, P: int, random: np.random.Generator) -> float:
    """The loss of kernel regression on P draws of Gaussian features, with this spectrum.

    A space's features enter through their Gram matrix, and the target's direction in it through one
    column. The mean over new inputs is a sum over spaces: no test set is drawn.

    >>> from lazyrich.theory.problem.eigenspaces import Eigenspace
    >>> one = Spectrum(1, (Eigenspace(1, 1.0, 5, 2.0),), 0.0, 0.0, 0.0)
    >>> round(gaussian_loss(one, 5, np.random.default_rng(0)), 9)  # as many samples as features
    0.0
    """
    kernel = found.tail * np.eye(P)
    y = np.sqrt(found.null) * random.normal(size=P)
    columns = []
    for space in found.spaces:
        along, others = random.normal(size=P), _factor(P, space.multiplicity - 1, random)
        y = y + np.sqrt(space.power) * along
        kernel += space.value * (np.outer(along, along) + others @ others.T)
        columns.append((space, along, others))
    a = np.linalg.solve(kernel, y)
    return found.null + sum(
        float((np.sqrt(s.power) - s.value * (along @ a)) ** 2)
        + s.value**2 * float(((others.T @ a) ** 2).sum())
        for s, along, others in columns
    )


def _factor(P: int, m: int, random: np.random.Generator) -> Array:
    """A G whose G G' is that of P draws of m independent features (Bartlett, where m >= P)."""
    if m < P:
        return random.normal(size=(P, m))
    triangle = np.tril(random.normal(size=(P, P)), -1)
    return triangle + np.diag(np.sqrt(random.chisquare(m - np.arange(P, dtype=float))))


def _without_variance(found: Spectrum, P: int) -> float:
    """The control: the target's power that is missed, and what is never learned."""
    values = np.array([s.value for s in found.spaces])
    counts = np.array([float(s.multiplicity) for s in found.spaces])

    def samples(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return float(counts @ (values / (values + kappa)) + found.tail / kappa) - P

    low, high = np.log(values.min()) - 60, np.log(values @ counts) + 60
    kappa = math.exp(brentq(samples, low, high))  # pyright: ignore[reportArgumentType]
    missed = kappa / (values + kappa)
    return float(np.array([s.power for s in found.spaces]) @ missed**2) + found.null


def _on_inputs(setting: Setting, P: int) -> float:
    """The mean loss of kernel regression on drawn inputs."""
    random, losses = setting.generator(11), []
    for _ in range(_INPUTS):
        X = random.normal(size=(P + _TEST, setting.D)) / np.sqrt(setting.D)
        y, kernel = setting.labels(X), kernel_matrix(setting, X, X[:P])
        f = kernel[P:] @ np.linalg.solve(kernel[:P], y[:P])
        losses.append(np.mean((f - y[P:]) ** 2))
    return float(np.mean(losses))
