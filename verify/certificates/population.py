"""Certificates of decay, momentum and the population's dynamics, from the neurons' own descent."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lazyrich.theory import ClosedForm, closed_form
from lazyrich.verify.certificates import Certificate, Comparison
from lazyrich.verify.certificates.model import (
    NEURONS,
    network,
    normalisation,
    target,
    weights,
)
from lazyrich.verify.coordinates import Coordinates, Matrix, inverse

SAMPLES = ("x1", "x2")
VELOCITIES = ("v1", "v2")


def _mean(columns: list[Matrix]) -> Matrix:
    return sum(columns[1:], columns[0]) / len(columns)


def _mean_product(left: list[Matrix], right: list[Matrix]) -> Matrix:
    return _mean([a @ b.T for a, b in zip(left, right, strict=True)])


def _gradient_steps(at: Coordinates) -> list[Matrix]:
    """eta times the gradient of mean(r^2) + (kappa/2) mean |w_i|^2 in each neuron.

    The residuals stand for themselves: the gradient of r^2 is 2 r times that of f.
    """
    kappa, eta = at.values["kappa"], at.values["eta_0"] * normalisation(at)
    steps = []
    for w in NEURONS:
        slopes = [at.derivative(network(at, x), w) for x in SAMPLES]
        parts = [s * (2 * r) for s, r in zip(slopes, at.values["r"][:, 0], strict=True)]
        penalty = kappa * at.dot(w, w) / (2 * len(NEURONS))
        steps.append((_mean(parts) + at.derivative(penalty, w)) * eta)
    return steps


def _data(D: int, *more: str) -> Coordinates:
    scalars = ["alpha", "epsilon", "eta_0", "kappa", "kappa_d", "mu"]
    vectors = [*NEURONS, *SAMPLES, *more]
    return Coordinates(D, vectors=vectors, columns={"r": len(SAMPLES)}, scalars=scalars)


def _known(at: Coordinates) -> dict[str, Any]:
    X = np.array([at.values[x][:, 0] for x in SAMPLES], dtype=object)
    return weights(at) | {"X": X, "P": at.number(len(SAMPLES))}


def _moment_step_decay(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = _data(D)
    kept = 1 - at.values["eta_0"] * at.values["kappa_d"]
    pairs = zip(NEURONS, _gradient_steps(at), strict=True)
    moved = [at.values[w] * kept - step for w, step in pairs]
    known = _known(at)
    yield "wbar", _mean(moved), at.interpret(cf.terms["wbar"], **known)
    yield "M", _mean_product(moved, moved), at.interpret(cf.terms["M"], **known)


def _moment_flow_decay(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = _data(D)
    known, per_eta = _known(at), inverse(at.values["eta_0"])
    pairs = zip(NEURONS, _gradient_steps(at), strict=True)
    slopes = [step * -per_eta - at.values[w] * at.values["kappa_d"] for w, step in pairs]
    half = _mean_product(slopes, [at.values[w] for w in NEURONS])
    yield "d wbar", _mean(slopes), at.interpret(cf.terms["wbar"], **known)
    yield "d M", half + half.T, at.interpret(cf.terms["M"], **known)


def _moment_step_momentum(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at = _data(D, *VELOCITIES)
    kept = 1 - at.values["eta_0"] * at.values["kappa_d"]
    w = [at.values[name] for name in NEURONS]
    v = [at.values[name] for name in VELOCITIES]
    v_new = [a * at.values["mu"] + step for a, step in zip(v, _gradient_steps(at), strict=True)]
    w_new = [a * kept - b for a, b in zip(w, v_new, strict=True)]
    known = _known(at) | {"vbar": _mean(v), "C": _mean_product(w, v), "V": _mean_product(v, v)}
    expected = {
        "wbar": _mean(w_new),
        "vbar": _mean(v_new),
        "M": _mean_product(w_new, w_new),
        "C": _mean_product(w_new, v_new),
        "V": _mean_product(v_new, v_new),
    }
    for name, moment in expected.items():
        yield name, moment, at.interpret(cf.terms[name], **known)


def _population(D: int) -> tuple[Coordinates, dict[str, list[Matrix]], dict[str, Any]]:
    """-(N/alpha^2) times the gradient of <(f - y)^2> in each neuron, plain and centred."""
    scalars = ["alpha", "epsilon", "eta_0"]
    vectors = [*NEURONS, "beta", "x", "wbar0"]
    at = Coordinates(D, vectors=vectors, matrices=["M0"], scalars=scalars)
    alpha, epsilon, x = at.values["alpha"], at.values["epsilon"], at.values["x"]
    quadratic = (x.T @ at.values["M0"] @ x)[0, 0]
    start = alpha * at.dot("wbar0", "x") + alpha * epsilon * quadratic / 2
    plain = network(at, "x") - target(at)
    velocities = {}
    for name, residual in (("plain", plain), ("centred", plain - start)):
        loss = at.mean(residual**2, "x")
        velocities[name] = [at.derivative(loss, w) * -normalisation(at) for w in NEURONS]
    return at, velocities, weights(at)


# (wbar, M) after an affine map of the neurons is proved with moment-step: a few D will do here.
_MOMENTS_UP_TO = 3


def _population_step(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at, velocities, known = _population(D)
    w = [at.values[name] for name in NEURONS]
    moved = {
        kind: [a + b * at.values["eta_0"] for a, b in zip(w, speeds, strict=True)]
        for kind, speeds in velocities.items()
    }
    for kind, names in (("plain", ("F", "g")), ("centred", ("F_centred", "g_centred"))):
        F, g = (at.interpret(cf.components[name], **known) for name in names)
        for name, before, after in zip(NEURONS, w, moved[kind], strict=True):
            yield f"{kind} map of {name}", after, F @ before - g
    if D <= _MOMENTS_UP_TO:
        plain = moved["plain"]
        yield "wbar", _mean(plain), at.interpret(cf.terms["wbar"], **known)
        yield "M", _mean_product(plain, plain), at.interpret(cf.terms["M"], **known)


def _population_flow(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    at, velocities, known = _population(D)
    w = [at.values[name] for name in NEURONS]
    for kind, suffix in (("plain", ""), ("centred", "_centred")):
        half = _mean_product(velocities[kind], w)
        d_wbar = at.interpret(cf.terms[f"wbar{suffix}"], **known)
        yield f"{kind} d wbar", _mean(velocities[kind]), d_wbar
        yield f"{kind} d M", half + half.T, at.interpret(cf.terms[f"M{suffix}"], **known)


def _population_flow_scalar(D: int, cf: ClosedForm) -> Iterator[Comparison]:
    """Against population-flow, which has a certificate of its own, along the first axis."""
    at = Coordinates(D, scalars=["alpha", "epsilon", "sigma", "wbar_1", "m_1", "m_perp", "root_b"])
    first = at.matrix(np.eye(D, dtype=int)[:, :1])
    along = first @ first.T
    across = at.identity() - along
    values = at.values
    known = {
        "beta": first * values["root_b"],
        "wbar": first * values["wbar_1"],
        "M": along * values["m_1"] + across * values["m_perp"],
        "wbar0": first * at.ring.zero,
        "M0": at.identity() * values["sigma"] ** 2,
    }
    flow = closed_form("population-flow")
    for suffix in ("", "_centred"):
        du, dm_1, dm_perp = (
            at.interpret(cf.terms[name + suffix], b=values["root_b"] ** 2)
            for name in ("wbar_1", "m_1", "m_perp")
        )
        d_wbar = at.interpret(flow.terms[f"wbar{suffix}"], **known)
        d_M = at.interpret(flow.terms[f"M{suffix}"], **known)
        yield f"d wbar{suffix}", d_wbar, first * du
        yield f"d M{suffix}", d_M, along * dm_1 + across * dm_perp


# Between two test vectors a term of M after a step has at most the indices of u, x, w, x, x', w,
# x', v: four pairs. On the population the map puts two of beta or of weights between u and w, and
# the flow of M two next to M, from two pairs of inputs.
CERTIFICATES = {
    "moment-step-decay": Certificate(4, 0, _moment_step_decay),
    "moment-flow-decay": Certificate(4, 0, _moment_flow_decay),
    "moment-step-momentum": Certificate(4, 0, _moment_step_momentum),
    "population-step": Certificate(2, 2, _population_step),
    "population-flow": Certificate(3, 2, _population_flow),
    "population-flow-scalar": Certificate(2, 2, _population_flow_scalar),
}
