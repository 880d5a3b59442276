"""Claims of Kumar et al. 2024 that rest on a wide network, at the widths that there are."""

from dataclasses import replace
from typing import Any

import numpy as np

from lazyrich.simulate.arrays import standard_normal
from lazyrich.theory import closed_form
from lazyrich.verify.certificates.width import CERTIFICATES
from lazyrich.verify.evidence import proof
from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict
from lazyrich.verify.small_runs import Setting, curves, with_error


def claims() -> list[Claim]:
    """The claims on width."""
    return [_infinite_width_kernel(), _wide_enough(), _two_neurons()]


def _doubled(name: str, term: str) -> Any:
    cf = closed_form(name)
    return replace(cf, terms=dict(cf.terms) | {term: 2 * cf.terms[term]})


def _quadratic_fluctuation(budget: Budget, D: int, N: int) -> np.ndarray:
    """<(K - <K>)^2>/<<K>^2> of the kernel's quadratic part, for six draws of the weights."""
    X = standard_normal(budget.seed, "test inputs", (3000, D)) / D**0.5
    left, right = X[:1500], X[1500:]
    found = []
    for i in range(6):
        W = standard_normal(budget.seed + i, "weights", (N, D))
        M = W.T @ W / N
        common = (left * right).sum(1)
        wide = common**2
        drawn = common * ((left @ M) * right).sum(1)
        found.append(float((drawn - wide).square().mean() / wide.square().mean()))
    return np.array(found)


def _infinite_width_kernel() -> Claim:
    name = "ntk-at-finite-width"
    return Claim(
        name="sec-11.1-infinite-width",
        source="App. 11.1",
        statement="At infinite width and random initialisation the kernel is that of eq. (10).",
        verdict=Verdict.CONFIRMED,
        evidence=(
            proof(
                "it is the mean over the weights at every width; the variance goes as 1/N",
                CERTIFICATES[name],
                lambda: closed_form(name),
                lambda: _doubled(name, "variance"),
            ),
        ),
    )


def _wide_enough() -> Claim:
    def check(budget: Budget, D: int, N: int, factor: float) -> str:
        derived = float(
            closed_form("ntk-at-finite-width")
            .terms["quadratic_fluctuation"]
            .subs({s: {"D": D, "N": N}[s.name] for s in _symbols()})
        )
        found = _quadratic_fluctuation(budget, D, N)
        line = f"D = {D}, N = {N}: {with_error(found)}, derived {derived:.3g}"
        error = found.std(ddof=1) / len(found) ** 0.5
        # The average over 1,500 pairs of inputs adds about 10%: products of eight Gaussians.
        assert abs(found.mean() - factor * derived) < 5 * error + 0.2 * derived, f"not so: {line}"
        return line

    def _symbols():
        return closed_form("ntk-at-finite-width").terms["quadratic_fluctuation"].free_symbols

    return Claim(
        name="sec-5-wide-for-the-target",
        source="Sec. 5, below eq. (5); App. 11.1",
        statement="In a wide network the initial kernel is that of M = I, with the eigenvalues of "
        "Sec. 5.",
        verdict=Verdict.ASSUMING,
        assumption="For quadratic functions, the target among them, 'wide' means N >> D: the "
        "kernel's quadratic part fluctuates by (D + 5)/(3 N) of its square, 7% at D = 100, N = "
        "500. For linear functions, and for the initial loss, N >> epsilon^2 and N >> alpha^2 do, "
        "at every D (closed forms ntk-at-finite-width, loss-at-init).",
        evidence=(
            proof(
                "the mean of |M - sigma^2 I|_F^2 is (D + 1)/N of |sigma^2 I|_F^2",
                CERTIFICATES["moments-at-init"],
                lambda: closed_form("moments-at-init"),
                lambda: _doubled("moments-at-init", "distance"),
            ),
            Evidence(
                "measured",
                "fluctuation of the quadratic part of the kernel over draws of the weights",
                lambda budget: check(budget, 30, 60, 1.0),
                lambda budget: check(budget, 30, 60, 3.0),
            ),
        ),
    )


def _two_neurons() -> Claim:
    def fail(budget: Budget, width: float) -> str:
        """In the setting of Figure 4 as it is known from outside the text."""
        setting = Setting(epsilon=0.25, learning_rate=1.0)
        rows = {"dimension": 40, "P": 120, "steps": 1500, "centred": False, "seeds": 16}
        found = curves((setting,), width=width, first_seed=budget.seed, **rows)
        stuck = int((found.test[:, 0, -1] > 1).sum())
        linear = np.median(found.terms["linear"][:, 0, 0])
        line = f"N = {width:g}: {stuck} of 16 seeds end worse than predicting nothing, after 1,500 "
        line += f"steps; linear power {linear:.2g} <y^2> at the start"
        assert stuck >= 4, f"hardly a draw fails: {line}"
        return line

    return Claim(
        name="fig-4-two-neurons",
        source="Fig. 4; Fig. 5, 10, 11",
        statement="A two-layer network groks in Figure 4: alignment with the task begins at 1-2 "
        "thousand epochs.",
        verdict=Verdict.OPEN,
        derived="The text gives no width, and it decides: with two neurons, as the figure is known "
        "to have used, many draws of the weights end in a poor minimum, and the initial linear "
        "power alpha^2 sigma^2/N is large from the start.",
        evidence=(
            Evidence(
                "measured",
                "at N = 2 many draws end in a poor minimum, at infinite width none does",
                lambda budget: fail(budget, 2),
                lambda budget: fail(budget, np.inf),
            ),
        ),
    )
