"""Attacks on the spectrum of a user's problem: eigenvalues, and the target on their spaces."""

from typing import Any

import numpy as np

from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.own_functions import (
    off_by_a_share,
    on_circles,
    wave_counts,
    what_is_left,
)
from lazyrich.verify.own_setting import (
    Finding,
    Setting,
    kernel_matrix,
    relative,
)

_MOST = 2000  # points of a cubature, on which a kernel matrix takes seconds


def spectrum(setting: Setting) -> Finding:
    """Eigenvalues as often as their multiplicities say, and no others, on an exact cubature."""
    degree = setting.problem.activation.degree
    assert degree is not None
    worst, control, sizes = 0.0, np.inf, []
    values: dict[str, Any] = setting.of(setting.problem.activation.symbols) | setting.deviations
    for D in [D for D in (1, 2, 3) if (degree + 1) ** D <= _MOST]:
        points, weights = gauss_hermite(D, 2 * degree)
        root = np.sqrt(weights)
        table = root[:, None] * kernel_matrix(setting, points) * root
        expected = np.linalg.eigvalsh(table)[::-1]
        spaces = setting.problem.spectrum(D=D, **values).spaces
        padded = np.zeros_like(expected)
        numbers = np.repeat([s.value for s in spaces], [s.multiplicity for s in spaces])
        padded[: len(numbers)] = numbers
        worst = max(worst, relative(padded, expected))
        if len(numbers):
            # The control has the smallest eigenvalue once less: it is the hardest to tell.
            shorter = padded.copy()
            shorter[len(numbers) - 1] = 0.0
            control = min(control, relative(shorter, expected))
        sizes.append(f"{len(numbers)} at D = {D}")
    return Finding(worst, 1e-11, control, f"eigenvalues: {', '.join(sizes)}")


def traces(setting: Setting) -> Finding:
    """The eigenvalues' sum is <K(x, x)>, that of their squares <K(x, x')^2>, by quadrature.

    For activations with harmonics of every degree, in the plane; the squares of the degrees up to
    40 or that of the target. The control has an eigenvalue of harmonic degree 1 once more.
    """
    plane = setting.plane
    found, (_, masses, kernel, along) = plane.spectrum, plane.circles
    total = sum(s.multiplicity * s.value for s in found.spaces) + found.tail
    ours = np.array([total, np.sqrt(sum(s.multiplicity * s.value**2 for s in found.spaces))])
    squares = wave_counts(len(kernel) - 1) @ np.einsum("a,lab,b->l", masses, kernel**2, masses)
    expected = np.array([masses @ along, np.sqrt(squares)])
    error = float((np.abs(ours - expected) / expected).max())
    one = next(s.value for s in found.spaces if s.degree == 1)
    wrong = np.array([ours[0] + one, np.sqrt(ours[1] ** 2 + one**2)])
    control = float((np.abs(wrong - expected) / expected).max())
    return Finding(error, 1e-5, control, f"{len(found.spaces)} eigenvalues at D = 2, and the tail")


def power_on_spectrum(setting: Setting) -> Finding:
    """<y K y> and <y K^2 y> in the plane, circle by circle, against eigenvalues and powers."""
    plane = setting.plane
    highest = plane.problem.target.degree
    radii, masses, kernel, _ = plane.circles
    y = on_circles(plane, radii, highest)
    twice = wave_counts(highest)
    found = plane.spectrum
    # The scale is that of the largest eigenvalue on all of y; the control moves 10% of y there.
    largest, square = found.spaces[0].value, twice @ (abs(y) ** 2 @ masses)
    image, errors = y, []
    for power in (1, 2):
        image = np.einsum("lab,b,lb->la", kernel[: highest + 1], masses, image)
        ours = sum(s.power * s.value**power for s in found.spaces)
        expected = twice @ ((y.conj() * image).real @ masses)
        errors.append((ours - expected) / (square * largest**power))
    control = max(abs(error + 0.1) for error in errors)
    detail = f"D = 2, quadrature error of the eigenvalues {found.error:.0e}"
    return Finding(max(map(abs, errors)), 0.02, control, detail)


def target_decomposition(setting: Setting) -> Finding:
    """The target's power outside the kernel's functions is what they leave on a cubature.

    The functions are the eigenvectors of the kernel on the cubature. The control leaves 0.1% of
    <y^2> more.
    """
    plane = setting.plane
    power, expected = what_is_left(plane)
    split = plane.problem.closed_form("target-decomposition")
    found = float(split.evaluate_terms(**plane.numbers(plane.problem.symbols))["null"])
    error, control = off_by_a_share(found, expected, power)
    return Finding(error, 1e-10, control, f"{expected:.3g} of {power:.3g} is left at D = 2")
