"""Certificates of the moments' dynamics: the step and the flow, from the neurons' own descent."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lazyrich.theory import ClosedForm
from lazyrich.verify.certificates import Certificate, Comparison
from lazyrich.verify.certificates.model import NEURONS, network, normalisation, weights
from lazyrich.verify.coordinates import Coordinates, Matrix

SAMPLES = ("x1", "x2")
# From here on the residuals r stand for themselves: the gradient of r^2 is 2 r times that of f.
_WHOLE_LOSS_UP_TO = 2


def _data(D: int) -> Coordinates:
    lengths = {"r": len(SAMPLES), "y": len(SAMPLES)}
    scalars = ["alpha", "epsilon", "eta_0"]
    return Coordinates(D, vectors=[*NEURONS, *SAMPLES], columns=lengths, scalars=scalars)


def _velocities(at: Coordinates, whole_loss: bool) -> tuple[list[Matrix], Matrix]:
    """(-(N/alpha^2) times the loss's gradient in each neuron, the residuals)."""
    outputs = [network(at, sample) for sample in SAMPLES]
    r = at.values["r"]
    if whole_loss:
        r = np.array([[f] for f in outputs], dtype=object) - at.values["y"]
        loss = sum((r_mu**2 for r_mu in r[:, 0]), at.ring.zero) / len(SAMPLES)
        gradients = [at.derivative(loss, w) for w in NEURONS]
    else:
        gradients = []
        for w in NEURONS:
            shares = [
                at.derivative(f, w) * (2 * r_mu) for f, r_mu in zip(outputs, r[:, 0], strict=True)
            ]
            gradients.append(sum(shares[1:], shares[0]) / len(SAMPLES))
    factor = normalisation(at)
    return [g * -factor for g in gradients], r


def _known(at: Coordinates, r: Matrix) -> dict[str, Any]:
    X = np.array([at.values[sample][:, 0] for sample in SAMPLES], dtype=object)
    return weights(at) | {"X": X, "r": r, "P": at.number(len(SAMPLES))}


def _each(D: int) -> Iterator[tuple[Coordinates, list[Matrix], dict[str, Any], str]]:
    for whole_loss in (False, True)[: 1 + (D <= _WHOLE_LOSS_UP_TO)]:
        at = _data(D)
        velocities, r = _velocities(at, whole_loss)
        yield at, velocities, _known(at, r), "whole loss" if whole_loss else "any residuals"


def _moment_step(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    for at, velocities, known, label in _each(D):
        eta_0 = at.values["eta_0"]
        pairs = zip(NEURONS, velocities, strict=True)
        moved = [at.values[w] + v * eta_0 for w, v in pairs]
        wbar = sum(moved[1:], moved[0]) / len(moved)
        M = sum((w @ w.T for w in moved[1:]), moved[0] @ moved[0].T) / len(moved)
        yield f"wbar, {label}", wbar, at.interpret(cf.terms["wbar"], **known)
        yield f"M, {label}", M, at.interpret(cf.terms["M"], **known)


def _moment_flow(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    for at, velocities, known, label in _each(D):
        half = [v @ at.values[w].T for w, v in zip(NEURONS, velocities, strict=True)]
        mean: Matrix = sum(half[1:], half[0]) / len(half)  # pyright: ignore[reportAssignmentType]
        wbar = sum(velocities[1:], velocities[0]) / len(velocities)
        yield f"d wbar, {label}", wbar, at.interpret(cf.terms["wbar"], **known)
        yield f"d M, {label}", mean + mean.T, at.interpret(cf.terms["M"], **known)


# Between two test vectors a term of M has the indices u, x, w, x, x', w, x', v: four pairs.
CERTIFICATES = {
    "moment-step": Certificate(4, 0, _moment_step),
    "moment-flow": Certificate(4, 0, _moment_flow),
}
