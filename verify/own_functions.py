"""Attacks on the functions that a user's kernel has, what they leave, and the lazy curve."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from lazyrich.theory.problem.floor import lazy_floor
from lazyrich.verify.own_attacks import ALPHA
from lazyrich.verify.own_setting import (
    PLANTED,
    Array,
    Finding,
    Setting,
    kernel_matrix,
    relative,
)

_PRIME = 2**31 - 1
_MOST = 200  # functions that are counted in one dimension D
_ZERO = 1e-10  # of the largest eigenvalue: what is below is rounding
_STEP = 1e-4  # of the logarithm of kappa


def ntk_rank(setting: Setting) -> Finding:
    """The rank is that of the functions themselves, at random points, modulo a prime.

    The kernel combines phi'(w.x) x_a, and phi(w.x) with trained readouts, over all w. The control
    has one function more.
    """
    form, errors, controls, sizes = setting.problem.closed_form("ntk-rank"), [], [], []
    for D in _dimensions(setting):
        claimed = form.evaluate_terms(D=D)
        parts = sum(int(n) for name, n in claimed.items() if name.startswith("harmonics_"))
        counted = functions_by_counting(setting, D)
        claims = int(form.evaluate(D=D)), parts
        errors += [abs(claim - counted) for claim in claims]
        controls += [abs(claim + 1 - counted) for claim in claims]
        sizes.append(f"{counted} at D = {D}")
    return Finding(max(errors), 0.5, min(controls), f"functions: {', '.join(sizes)}")


def lazy_sample_size(setting: Setting) -> Finding:
    """As many samples as functions are exact, and the rest of the target is what they leave.

    The functions are counted as for ntk-rank; the rest is that of a cubature. The control leaves
    0.1% of <y^2> more, with the numbers of functions as they are.
    """
    form, errors = setting.problem.closed_form("lazy-sample-size"), []
    for D in _dimensions(setting):
        errors.append(abs(int(form.evaluate(D=D)) - functions_by_counting(setting, D)))
    plane = setting.plane
    power, left = what_is_left(plane)
    null = float(form.evaluate_terms(**plane.numbers(plane.problem.symbols))["null"])
    error, control = off_by_a_share(null, left, power)
    worst, detail = max(errors), f"{left:.3g} is left at D = 2"
    return Finding(max(worst, error), 1e-8, max(worst, control), detail)


def off_by_a_share(claimed: float, right: float, power: float) -> tuple[float, float]:
    """How far off this part of a power is, and 0.1% of that power more, both over the power.

    >>> off_by_a_share(0.0, 0.0, 2.0)
    (0.0, 0.001)
    """
    error, control = (abs(claimed + part * power - right) / power for part in (0.0, PLANTED))
    return error, control


def _dimensions(setting: Setting) -> list[int]:
    """The D at which functions are counted."""
    degree = setting.problem.activation.degree
    assert degree is not None
    return [D for D in (1, 2, 3) if math.comb(D + degree, D) <= _MOST]


def functions_by_counting(setting: Setting, D: int) -> int:
    """The rank of phi'(w.x) x_a and phi(w.x) for many w, at many x, modulo a prime.

    It is never above the right number, and below it once in some 10^7 seeds.
    """
    activation, random = setting.problem.activation, setting.generator(17)
    assert activation.degree is not None
    given = activation.coefficients(**setting.of(activation.symbols))
    exact = [Fraction(str(float(c))) for c in given]
    phi = [c.numerator * pow(c.denominator, -1, _PRIME) % _PRIME for c in exact]
    size = math.comb(D + activation.degree, D) + 8
    W, X = random.integers(1, _PRIME, size=(2, size, D)).tolist()
    rows = []
    for w in W:
        h = [sum(a * b for a, b in zip(w, x, strict=True)) % _PRIME for x in X]
        slopes = [_at([n * c for n, c in enumerate(phi)][1:], one) for one in h]
        rows += [[s * x[a] % _PRIME for s, x in zip(slopes, X, strict=True)] for a in range(D)]
        if setting.trained:
            rows.append([_at(phi, one) for one in h])
    return _rank(np.array(rows))


def _at(coefficients: list[int], h: int) -> int:
    return sum(c * pow(h, n, _PRIME) for n, c in enumerate(coefficients)) % _PRIME


def _rank(rows: Array) -> int:
    """The rank modulo the prime: each row is reduced by those before it."""
    pivots: list[tuple[int, Array]] = []
    for row in rows:
        for column, pivot in pivots:
            row = (row - row[column] * pivot) % _PRIME
        if row.any():
            column = int(row.nonzero()[0][0])
            pivots.append((column, row * pow(int(row[column]), -1, _PRIME) % _PRIME))
    return len(pivots)


def what_is_left(plane: Setting) -> tuple[float, float]:
    """<y^2>, and the part of it outside of the kernel's functions on a cubature.

    Raises ``ValueError`` where one of the functions may be lost in rounding.
    """
    described = plane.problem
    assert described.activation.degree is not None
    derived = [space.value for space in plane.spectrum.spaces]
    if min(derived, default=1.0) < 1e3 * _ZERO * max(derived, default=1.0):
        raise ValueError("on a cubature the kernel's least eigenvalue can't be told from 0")
    points, weights = plane.cubature(2 * max(described.activation.degree, described.target.degree))
    root = np.sqrt(weights)
    y = root * plane.labels(points)
    values, vectors = np.linalg.eigh(root[:, None] * kernel_matrix(plane, points) * root)
    known = vectors[:, values > _ZERO * values[-1]]
    rest = y - known @ (known.T @ y)
    return float(y @ y), float(rest @ rest)


def floor(setting: Setting) -> Finding:
    """What infinitely many samples leave: the target's power outside of the kernel's functions.

    Of a polynomial these are the eigenvectors on a cubature, of relu those on circles. Those of erf
    are all odd functions. The control leaves 0.1% of <y^2> more.
    """
    plane = setting.plane
    described = plane.problem
    values: dict[str, Any] = plane.of(described.symbols) | plane.deviations
    if described.activation.degree is not None:
        power, left = what_is_left(plane)
    elif described.activation.kind == "erf":
        points, weights = plane.cubature(max(2 * described.target.degree, 1))
        y, mirrored = plane.labels(points), plane.labels(-points)
        power, left = float(weights @ y**2), float(weights @ ((y + mirrored) / 2) ** 2)
    else:
        power, left = _left_on_circles(plane)
    error, control = off_by_a_share(lazy_floor(described, plane.spectrum, values), left, power)
    return Finding(error, 1e-6, control, f"{left:.3g} of {power:.3g} at D = 2")


def _left_on_circles(plane: Setting) -> tuple[float, float]:
    """<y^2>, and what the kernel's functions of the radius leave of each wave on the circle."""
    highest = plane.problem.target.degree
    radii, masses, kernel, _ = plane.circles
    kernel, waves = kernel[: highest + 1], on_circles(plane, radii, highest)
    largest = max(np.linalg.norm(table, 2) for table in kernel)
    power = left = 0.0
    root = np.sqrt(masses)
    for share, wave, table in zip(wave_counts(highest), waves, kernel, strict=True):
        values, vectors = np.linalg.eigh(root[:, None] * (table + table.T) / 2 * root)
        known = vectors[:, values > 1e-7 * largest]
        rest = root * wave - known @ (known.T @ (root * wave))
        power += share * float((masses * abs(wave) ** 2).sum())
        left += share * float((abs(rest) ** 2).sum())
    return power, left


def wave_counts(highest: int) -> Array:
    """How many waves on the circle there are of each degree."""
    return np.array([1.0, *[2.0] * highest])


def on_circles(plane: Setting, radii: Array, highest: int) -> Array:
    """The target's waves on circles of these sqrt(2) |x|, (highest + 1, R).

    A target of degree n has the waves up to n: 2 n + 1 angles give them exactly.
    """
    angles = 2 * np.pi * np.arange(count := 2 * highest + 1) / count
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = (radii[:, None, None] * directions / np.sqrt(2)).reshape(-1, 2)
    return np.fft.rfft(plane.labels(points).reshape(len(radii), count), axis=1).T / count


def lazy_learning_curve(setting: Setting) -> Finding:
    """The closed form of the curve, at one kappa, is its equations on the spectrum in numbers.

    With a ridge delta, kappa (P - sum m L) = delta; the loss is the bias times P d kappa/d delta at
    delta = 0, here by a difference quotient. The closed form has the derivative done. The control
    has the loss, the sum of its parts or P too large by a thousandth: the hardest to tell.
    """
    D, form = 5, setting.problem.closed_form("lazy-learning-curve")
    large = setting.of_size(D, stream=18)
    values: dict[str, Any] = large.of(large.problem.symbols) | large.deviations
    found = large.problem.spectrum(D=D, **values)
    eigenvalues = np.array([space.value for space in found.spaces])
    counts = np.array([float(space.multiplicity) for space in found.spaces])
    powers = np.array([space.power for space in found.spaces])
    kappa = float(eigenvalues.mean())

    def ridge(at: float) -> float:
        return at * (P - float(counts @ (eigenvalues / (eigenvalues + at))))

    P = float(counts @ (eigenvalues / (eigenvalues + kappa)))
    step = _STEP * kappa
    slopes = [(ridge(kappa + h) - ridge(kappa - h)) / (2 * h) for h in (step, 2 * step)]
    slope = (4 * slopes[0] - slopes[1]) / 3
    bias = float(powers @ (kappa / (eigenvalues + kappa)) ** 2) + found.null
    loss = bias * P / slope
    numbers = {**large.numbers(large.problem.symbols), **large.deviations, "kappa": kappa}
    terms = {k: float(term) for k, term in form.evaluate_terms(**numbers).items()}
    split = sum(term for k, term in terms.items() if k.startswith("harmonics_")) + terms["null"]
    whole = float(form.evaluate(**numbers))
    # Of the loss, as a null of 0 has no relative error; P is 0 in no case.
    ratios = whole / loss, split / loss, terms["samples"] / P
    error = max(abs(ratio - 1) for ratio in ratios) + abs(terms["exact_from"] - found.rank)
    control = min(abs((1 + PLANTED) * ratio - 1) for ratio in ratios)
    return Finding(error, 1e-8, control, f"D = {D}, P = {P:.3g}")


def at_start_on_circles(setting: Setting) -> Finding:
    """The mean loss over random weights of a network that is no polynomial, by quadrature.

    At one x the sum over N neurons has a mean and a variance, from a rule for h = w.x; the rest is
    a rule over circles. The control is the loss at N + 1.
    """
    plane, N = setting.plane, 3
    alpha, (sigma, *rest) = ALPHA * plane.scale, plane.deviations.values()
    radii, masses, _, _ = plane.circles
    mean, square = _of_one_neuron(plane, sigma * radii / np.sqrt(2))
    if rest:  # the readouts have the mean 0
        mean, square = 0 * mean, rest[0] ** 2 * square
    waves = on_circles(plane, radii, plane.problem.target.degree)
    shares = wave_counts(plane.problem.target.degree)
    y_square, y_mean = shares @ abs(waves) ** 2, waves[0].real
    f_square = alpha**2 * (square / N + (1 - 1 / N) * mean**2)
    expected = masses @ (y_square - 2 * alpha * mean * y_mean + f_square)
    form = plane.problem.closed_form("loss-at-init")
    at = {"alpha": alpha, **plane.numbers(plane.problem.symbols), **plane.deviations}
    found, wrong = (np.array(float(form.evaluate(N=n, **at))) for n in (N, N + 1))
    control = relative(wrong, np.array(expected))
    return Finding(relative(found, np.array(expected)), 1e-8, control, f"N = {N} at D = 2")


def _of_one_neuron(plane: Setting, deviations: Array) -> tuple[Array, Array]:
    """The mean and the mean square of phi(h), h normal with these deviations."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    half, weights = 6 * (nodes + 1), 6 * weights * np.exp(-((6 * (nodes + 1)) ** 2) / 2)
    both, masses = np.concatenate([half, -half]), np.concatenate([weights, weights])
    values = plane.phi(torch.tensor(deviations[:, None] * both)).numpy()
    masses = masses / math.sqrt(2 * math.pi)
    return values @ masses, values**2 @ masses
