"""Activations as numbers: phi, slope and rise against 60 digits, at any size of a change."""

import mpmath
import pytest
import torch

from lazyrich.simulate.activations import Curved, Erf, Polynomial, Relu

EPS = 2.0**-52
SCALE = 1.5  # of erf
KINDS = {
    "erf": (Erf(2.0, SCALE), lambda h: 2 * mpmath.erf(SCALE * h)),
    "cubic": (Polynomial((0.25, 1.0, 0.0, 0.5)), lambda h: 0.25 + h + h**3 / 2),
    "quadratic": (Curved(0.5), lambda h: h + h**2 / 4),
    "h + epsilon/2 He_3": (Curved(0.5, 3), lambda h: h + (h**3 - 3 * h) / 4),
    "relu": (Relu(2.0, -1.0), lambda h: 2 * max(-h, 0)),
}
H = torch.tensor([-2.0, -0.5, -1e-5, 0.0, 0.3, 1.0, 1.75], dtype=torch.float64)
G = torch.tensor([-1.0, 0.75, 2.0], dtype=torch.float64)
STEEPEST = 16.0  # no slope of these is larger at |h| of at most 3


def exact(function, *arguments):
    """The function of all combinations of entries, in 60 digits, rounded at the end."""
    with mpmath.workdps(60):
        values = [
            float(function(*(mpmath.mpf(float(entry)) for entry in entries)))
            for entries in torch.cartesian_prod(*arguments).reshape(-1, len(arguments))
        ]
    return torch.tensor(values, dtype=torch.float64).reshape([len(a) for a in arguments])


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_slopes(kind):
    phi, function = KINDS[kind]
    assert (phi(H) - exact(function, H)).abs().max() < 16 * EPS * STEEPEST
    smooth = H[H != 0]  # relu has a kink there
    slope = exact(lambda h: (function(h + 1e-20) - function(h - 1e-20)) / 2e-20, smooth)
    assert (phi.slope(smooth) - slope).abs().max() < 16 * EPS * STEEPEST


# Erf changes from a series to a difference where scale * size * |G| is 1e-4.
@pytest.mark.parametrize("size", [1e-30, 1e-9, 3e-5, 6e-5, 1e-4, 0.01, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_rise_is_exact_at_every_size_of_the_change(kind, size):
    """Allowed: a few roundings, and where erf takes a difference those of its values.

    Its series leaves out terms of the relative size (1e-4)^3.
    """
    phi, function = KINDS[kind]
    expected = exact(lambda h, g: (function(h + size * g) - function(h)) / size, H, G)
    found = phi.rise(H[:, None].expand(-1, len(G)), G.expand(len(H), -1), size)
    allowed = STEEPEST * G.abs() * 16 * EPS
    if kind == "erf":
        allowed = allowed + 2 * SCALE * G.abs() * 1e-12
        allowed = allowed + (SCALE * size * G.abs() >= 1e-4) * 2 * 8 * EPS / size
    assert ((found - expected).abs() <= allowed).all()


def test_one_power_off_in_the_series_of_erf_is_noticed():
    """Control: the largest allowance is below the smallest term that the series keeps."""
    size, h = 6e-5, 1.75
    kept = 2 * SCALE**4 * h**2 * size**2 / 3 * float(Erf(2.0, SCALE).slope(H[-1:]))
    assert kept > 10 * 2 * SCALE * 1e-12
