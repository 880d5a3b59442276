"""Claims of footnote 2 on trained readouts: what (wbar, M) no longer determine (Kumar et al.)."""

from dataclasses import replace
from typing import Any

import numpy as np

from lazyrich.theory import closed_form
from lazyrich.verify import strategies as given
from lazyrich.verify.evidence import attach, attacked, certificate, counterexample, evidence
from lazyrich.verify.kumar.readouts import networks_with
from lazyrich.verify.properties import readouts as laws
from lazyrich.verify.properties import tensor


def _kernels(W: float, v: float) -> tuple[float, tuple]:
    """K(1, 1) of one neuron at D = 1, epsilon = 0, alpha = 1, with its (wbar, M)."""
    arrays = np.array([v]), np.array([[W]])
    tensors = (tensor(a) for a in (*arrays, np.ones((1, 1))))
    gradients = laws.readout_gradients(*tensors, alpha=1.0, epsilon=0.0)
    return float(gradients.square().sum()), laws.readout_moments(*arrays)


def _equal_moments(W: float, v: float, other: float) -> None:
    (_, ours), (_, theirs) = _kernels(W, v), _kernels(other, v)
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a, b), f"the moments differ: {a} and {b}"


def _flow_with_frozen_readouts(cf: Any) -> Any:
    from lazyrich.theory.readout import v

    return replace(cf, terms={name: term.subs(v, 1) for name, term in cf.terms.items()})


@evidence(
    "footnote-2-kernel",
    "proved",
    "two networks with equal wbar, M and f, and different kernels",
    control={"v": 1.0},
)
def pair(v: float = 0.0) -> str:
    _equal_moments(0.0, v, 1.0)
    values = [_kernels(W, v)[0] for W in (0.0, 1.0)]
    assert values[0] != values[1], f"K(1, 1) = {values[0]} for both"
    return f"v = {v}, w = 0 and 1 have equal moments, K(1, 1) = {values[0]} and {values[1]}"


counterexample("footnote-2-kernel", lambda: "N = D = 1, epsilon = 0: " + pair(0.0))


def _short_flow(given_, rho, a, e) -> float:
    formulas = closed_form("readout-moment-flow").functions("torch")
    frozen = {
        name: (lambda v, f=f, **k: f(v=1.0, **k))  # noqa: ARG005
        for name, f in formulas.items()
    }
    return laws.readout_flow_is_the_derived(*given_, rho=rho, alpha=a, epsilon=e, flow=frozen)


@evidence(
    "footnote-2-same-arguments",
    "proved",
    "two networks with equal wbar, M and f that part after one step",
    control={"v": 1.0},
)
def apart(v: float = 0.0) -> str:
    """One step on the sample x = 1, y = 1/2, at epsilon = 0, alpha = 1, eta_0 = 1/2."""
    _equal_moments(0.0, v, 1.0)
    step = {"alpha": 1.0, "epsilon": 0.0, "learning_rate": 0.5}
    X, y = np.ones((1, 1)), np.array([0.5])
    after = [
        laws.moments_after_a_step(np.array([v]), np.array([[W]]), X, y, **step)[0].item()
        for W in (0.0, 1.0)
    ]
    assert after[0] != after[1], f"wbar = {after[0]} after the step for both"
    return f"v = {v}, w = 0 and 1: wbar = {after[0]} and {after[1]} after one step"


attach(
    "footnote-2-same-arguments",
    certificate("readout-moment-flow", _flow_with_frozen_readouts),
    attacked(
        "the rate of (wbar, M) by autograd",
        lambda given_, rho, a, e: laws.readout_flow_is_the_derived(
            *given_, rho=rho, alpha=a, epsilon=e
        ),
        (networks_with(None), given.entries(), given.alphas(-6, 6), given.epsilons()),
        _short_flow,
    ),
)


counterexample("footnote-2-same-arguments", lambda: "N = D = P = 1: " + apart(0.0))
