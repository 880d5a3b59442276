"""Quadrature in the plane for activations that are no polynomials: with kinks, or steep."""

from itertools import pairwise

import numpy as np

from lazyrich.verify.cubature import doubling_panels
from lazyrich.verify.own_setting import Array, Setting, kernel_matrix

_FARTHEST = 14.0  # of |w|/sigma


def weights_in_plane(setting: Setting, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """w.a and w.b on a polar rule for w in the plane of a and b, and weights adding up to 1."""
    deviation = next(iter(setting.deviations.values()))
    length = np.linalg.norm(a)
    along = a @ b / length
    across = np.sqrt(max(b @ b - along**2, 0.0))
    # The angles at which w.a or w.b changes sign are where relu has its kinks.
    turn = np.arctan2(-along, across) if across else np.pi / 2
    edges = np.array([np.pi / 2, -np.pi / 2, turn, turn + np.pi, 0.0])
    edges = np.unique(np.mod(edges, 2 * np.pi))
    edges = np.append(edges, 2 * np.pi)
    bend = setting.bend(deviation * float(np.sqrt(max(a @ a, b @ b))))
    radii, weights = doubling_panels(0, _FARTHEST, 48, bend)
    weights = weights * radii * np.exp(-(radii**2) / 2) / (2 * np.pi)
    angles, shares = _between(edges, 48, bend / _FARTHEST)
    first = radii * np.cos(angles)[:, None]
    second = radii * np.sin(angles)[:, None]
    values = deviation * length * first, deviation * (along * first + across * second)
    return *values, shares[:, None] * weights


def inputs_in_plane(W: Array, bend: float) -> tuple[Array, Array]:
    """Points and weights of N(0, I/2), cut where a neuron of W, (N, 2), changes sign."""
    kinks = np.arctan2(W[:, 1], W[:, 0])[:, None] + [np.pi / 2, -np.pi / 2]
    edges = np.unique(np.append(np.mod(kinks, 2 * np.pi), [0.0, 2 * np.pi]))
    radii, radial = doubling_panels(0, 12, 60, bend)
    radial = radial * radii * np.exp(-(radii**2) / 2) / (2 * np.pi)
    angles, shares = _between(edges, 60, bend / 12)
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = (radii * directions[:, :, None]).transpose(0, 2, 1).reshape(-1, 2) / np.sqrt(2)
    return points, (shares[:, None] * radial).ravel()


def _between(edges: Array, count: int, smallest: float) -> tuple[Array, Array]:
    """The rules of ``doubling_panels`` from each edge to the next, in a row."""
    rules = [doubling_panels(*ends, count, smallest) for ends in pairwise(edges)]
    points, weights = map(np.concatenate, zip(*rules, strict=True))
    return points, weights


def kernel_on_circles(plane: Setting, highest: int) -> tuple[Array, Array, Array, Array]:
    """The kernel at initialisation for x ~ N(0, I/2), by lengths and the angle in between.

    Returns sqrt(2) |x| on a rule, (R,), its weights, <K cos(l angle)> over angles for l = 0 to
    ``highest``, (highest + 1, R, R), and K at angle 0, (R,).
    """
    bend = plane.bend(next(iter(plane.deviations.values())) / np.sqrt(2))
    farthest = 7 + np.sqrt(2 * plane.problem.target.degree)  # y^2 r exp(-r^2/2) is largest below
    radii, masses = doubling_panels(0, farthest, 60, bend)
    masses = masses * radii * np.exp(-(radii**2) / 2)
    # The kernel has its kinks at angles 0 and pi.
    # Few panels have too few nodes for the waves.
    turn = bend / farthest if bend / farthest < np.pi / 8 else np.inf
    angles, shares = doubling_panels(0, np.pi, 60, turn)
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    waves = np.cos(np.arange(highest + 1)[:, None] * angles) * shares / np.pi
    points = (radii[:, None, None] * directions / np.sqrt(2)).reshape(-1, 2)
    by_degree, along = [], []
    for radius in radii:
        one = np.array([[radius / np.sqrt(2), 0.0]])
        table = kernel_matrix(plane, one, points).reshape(len(radii), len(angles))
        by_degree.append(table @ waves.T)
        along.append(kernel_matrix(plane, one)[0, 0])
    return radii, masses, np.moveaxis(np.array(by_degree), -1, 0), np.array(along)
