"""Claims of footnote 2 on trained readouts: what (wbar, M) no longer determine (Kumar et al.)."""

from dataclasses import replace
from typing import Any

import numpy as np

from lazyrich.theory import closed_form
from lazyrich.verify import strategies as given
from lazyrich.verify.evidence import attacked, certificate
from lazyrich.verify.kumar.readouts import networks_with
from lazyrich.verify.ledger import Claim, Evidence, Verdict
from lazyrich.verify.properties import readouts as laws
from lazyrich.verify.properties import tensor

SECTIONS = {11: "Derivations for Toy Model", 12: "Loss Decomposition With Readouts"}


def claims() -> list[Claim]:
    """The claims of footnote 2, in its order."""
    return [_same_mechanism(), _kernel_needs_more(), _section_of_footnote()]


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


def _kernel_needs_more() -> Claim:
    def pair(v: float) -> str:
        _equal_moments(0.0, v, 1.0)
        values = [_kernels(W, v)[0] for W in (0.0, 1.0)]
        assert values[0] != values[1], f"K(1, 1) = {values[0]} for both"
        return f"v = {v}, w = 0 and 1 have equal moments, K(1, 1) = {values[0]} and {values[1]}"

    return Claim(
        name="footnote-2-kernel",
        source="Sec. 5, footnote 2",
        statement="With trained readouts the kernel is not only a function of wbar and M.",
        verdict=Verdict.CONFIRMED,
        counterexample=lambda: "N = D = 1, epsilon = 0: " + pair(0.0),
        evidence=(
            Evidence(
                "proved",
                "two networks with equal wbar, M and f, and different kernels",
                lambda _: pair(0.0),
                lambda _: pair(1.0),
            ),
        ),
    )


def _section_of_footnote() -> Claim:
    def section(number: int) -> str:
        assert "Readouts" in SECTIONS[number], f"Section {number} is {SECTIONS[number]!r}"
        return f"Section {number}: {SECTIONS[number]!r}"

    return Claim(
        name="footnote-2-section",
        source="Sec. 5, footnote 2",
        statement="Readouts are discussed in Appendix Section 11.",
        verdict=Verdict.MISPRINT,
        printed="Appendix Section 11",
        derived="Appendix Section 12",
        derivation="The appendix numbers its sections from 8; 12 is the one on readouts.",
        counterexample=f"Section 11 is {SECTIONS[11]!r}, Section 12 {SECTIONS[12]!r}",
        evidence=(
            Evidence(
                "read", "titles of the sections", lambda _: section(12), lambda _: section(11)
            ),
        ),
    )


def _same_mechanism() -> Claim:
    def apart(v: float) -> str:
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

    def short_flow(given_, rho, a, e) -> float:
        formulas = closed_form("readout-moment-flow").functions("torch")
        frozen = {
            name: (lambda v, f=f, **k: f(v=1.0, **k))  # noqa: ARG005
            for name, f in formulas.items()
        }
        return laws.readout_flow_is_the_derived(*given_, rho=rho, alpha=a, epsilon=e, flow=frozen)

    return Claim(
        name="footnote-2-same-arguments",
        source="Sec. 5, footnote 2; App. 12",
        statement="That the kernel needs more than wbar and M is a technicality: the same "
        "arguments hold with trained readouts.",
        verdict=Verdict.ASSUMING,
        assumption="The arguments are those on the loss, which (wbar, M) of eq. (22) determine. "
        "Training no longer closes on them, as it does with frozen readouts: d wbar/d tau and "
        "d M/d tau need <v^2>, <v^2 w>, <v^2 w w^T> and the moments of w up to order 4, and no "
        "power of v times w or w w^T in them is linear in v.",
        counterexample=lambda: "N = D = P = 1: " + apart(0.0),
        evidence=(
            Evidence(
                "proved",
                "two networks with equal wbar, M and f that part after one step",
                lambda _: apart(0.0),
                lambda _: apart(1.0),
            ),
            certificate("readout-moment-flow", _flow_with_frozen_readouts),
            attacked(
                "the rate of (wbar, M) by autograd",
                lambda given_, rho, a, e: laws.readout_flow_is_the_derived(
                    *given_, rho=rho, alpha=a, epsilon=e
                ),
                (networks_with(None), given.entries(), given.alphas(-6, 6), given.epsilons()),
                short_flow,
            ),
        ),
    )


def _flow_with_frozen_readouts(cf: Any) -> Any:
    from lazyrich.theory.readout import v

    return replace(cf, terms={name: term.subs(v, 1) for name, term in cf.terms.items()})
