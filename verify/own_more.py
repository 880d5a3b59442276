"""Further attacks on a user's problem: mean loss at the start, the target's split, eigenvalues.

As those of ``own_attacks``: networks are evaluated by torch, means taken by quadrature.
"""

from typing import Any

import numpy as np
import torch

from lazyrich.verify.cubature import gauss_hermite
from lazyrich.verify.own_attacks import (
    Array,
    Finding,
    Setting,
    in_two_dimensions,
    kernel_matrix,
    relative,
)

_ALPHA = 1.5


def loss_at_init(setting: Setting) -> Finding:
    """The mean loss over random weights is that on an exact cubature over weights and inputs.

    One neuron in the plane, and two neurons on a line. The control is the loss at N + 1.
    """
    found, expected, wrong = [], [], []
    for D, N in ((2, 1), (1, 2)):
        small = setting.of_size(D, stream=9)
        form = small.problem.closed_form("loss-at-init")
        at = {"alpha": _ALPHA, **small.numbers(small.problem.symbols), **small.deviations}
        found.append(float(form.evaluate(N=N, **at)))
        wrong.append(float(form.evaluate(N=N + 1, **at)))
        expected.append(_mean_loss_at_init(small, D, N))
    control = relative(np.array(wrong), np.array(expected))
    error = relative(np.array(found), np.array(expected))
    return Finding(error, 1e-10, control, "N = 1 at D = 2, N = 2 at D = 1")


def _mean_loss_at_init(small: Setting, D: int, N: int) -> float:
    degree = small.problem.activation.degree
    assert degree is not None
    nodes, masses = gauss_hermite(1, 2 * degree)
    of_weights = _grid(nodes[:, 0], masses, N * D)
    readout_nodes, readout_masses = gauss_hermite(1, 2)
    points, weights = small.cubature(2 * max(degree, small.problem.target.degree))
    y, X = small.labels(points), torch.tensor(points)
    first, *rest = small.deviations.values()
    readouts = (
        _grid(rest[0] * readout_nodes[:, 0], readout_masses, N) if rest else [(np.ones(N), 1.0)]
    )
    total = 0.0
    for flat, mass in of_weights:
        W = torch.tensor(first * flat.reshape(N, D))
        for v, share in readouts:
            f = _ALPHA * small.function(W, torch.tensor(v), X).numpy()
            total += mass * share * float(weights @ (y - f) ** 2)
    return total


def _grid(nodes: Array, masses: Array, size: int) -> list[tuple[Array, float]]:
    """Every point of the product rule of this size, with its weight."""
    places = np.stack(np.meshgrid(*[np.arange(len(nodes))] * size, indexing="ij"), -1)
    return [(nodes[i], float(masses[i].prod())) for i in places.reshape(-1, size)]


def target_decomposition(setting: Setting) -> Finding:
    """The target's power outside the kernel's functions is what they leave on a cubature.

    The functions are the eigenvectors of the kernel on the cubature. The control leaves 0.1% of
    <y^2> more.
    """
    plane = in_two_dimensions(setting)
    described = plane.problem
    assert described.activation.degree is not None
    degree = 2 * max(described.activation.degree, described.target.degree)
    points, weights = plane.cubature(degree)
    root = np.sqrt(weights)
    y = root * plane.labels(points)
    table = root[:, None] * kernel_matrix(plane, points) * root
    values, vectors = np.linalg.eigh(table)
    known = vectors[:, values > 1e-10 * values[-1]]
    split = described.closed_form("target-decomposition")
    found = float(split.evaluate_terms(**plane.numbers(described.symbols))["null"])
    power = y @ y
    expected = power - ((known.T @ y) ** 2).sum()
    error, control = (abs(found + part * power - expected) / power for part in (0.0, 1e-3))
    return Finding(error, 1e-10, control, f"{known.shape[1]} functions at D = 2")


def traces(setting: Setting) -> Finding:
    """The eigenvalues' sum is <K(x, x)>, that of their squares <K(x, x')^2>, by quadrature.

    For activations with harmonics of every degree, in the plane. The control has an eigenvalue of
    harmonic degree 1 once more.
    """
    plane = in_two_dimensions(setting)
    values: dict[str, Any] = plane.of(plane.problem.activation.symbols) | plane.deviations
    found = plane.problem.spectrum(D=2, highest=40, **values)
    nodes, masses = np.polynomial.legendre.leggauss(60)
    radii, masses = 3.5 * (nodes + 1), 3.5 * masses
    masses = masses * radii * np.exp(-(radii**2) / 2)
    # K depends on the angle between x and x': x along the first axis, x' at every angle. Its kinks
    # are at angles 0 and pi.
    angles = np.pi * (nodes + 1) / 2
    first = radii[:, None] * np.array([1.0, 0.0]) / np.sqrt(2)
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    second = (radii[:, None, None] * directions / np.sqrt(2)).reshape(-1, 2)
    table = kernel_matrix(plane, first, second).reshape(60, 60, 60)
    turn = np.polynomial.legendre.leggauss(60)[1] / 2
    squares = np.einsum("a,b,t,abt->", masses, masses, turn, table**2)
    kernel = np.array([kernel_matrix(plane, one[None])[0, 0] for one in first])
    ours = np.array(
        [
            sum(s.multiplicity * s.value for s in found.spaces) + found.tail,
            np.sqrt(sum(s.multiplicity * s.value**2 for s in found.spaces)),
        ]
    )
    expected = np.array([masses @ kernel, np.sqrt(squares)])
    error = float((np.abs(ours - expected) / expected).max())
    one = next(s.value for s in found.spaces if s.degree == 1)
    wrong = np.array([ours[0] + one, np.sqrt(ours[1] ** 2 + one**2)])
    control = float((np.abs(wrong - expected) / expected).max())
    return Finding(error, 1e-5, control, f"{len(found.spaces)} eigenvalues at D = 2, and the tail")
