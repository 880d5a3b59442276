"""Claims of Kumar et al. 2024 that rest on a wide network, at the widths that there are."""

from dataclasses import replace
from typing import Any

import numpy as np

from lazyrich.theory import closed_form
from lazyrich.verify.certificates.width import CERTIFICATES
from lazyrich.verify.evidence import attach, evidence, proof
from lazyrich.verify.ledger import Budget
from lazyrich.verify.small_runs import Setting, curves
from lazyrich.verify.statistics import mean_is, mostly


def _doubled(name: str, term: str) -> Any:
    cf = closed_form(name)
    return replace(cf, terms=dict(cf.terms) | {term: 2 * cf.terms[term]})


def _fluctuation(D: int, N: int, first: int, count: int) -> np.ndarray:
    """<(K - <K>)^2>/<<K>^2> of the kernel's quadratic part for each draw of the weights; (count,).

    With A = M - I it is <(x.x')^2 (x^T A x')^2> over <(x.x')^4>, exactly by Wick's theorem.
    """
    found = []
    for seed in range(first, first + count):
        W = np.random.default_rng(seed).normal(size=(N, D))
        A = W.T @ W / N - np.eye(D)
        found.append(((D + 6) * (A**2).sum() + 2 * A.trace() ** 2) / (3 * D * (D + 2)))
    return np.array(found)


_name = "ntk-at-finite-width"


attach(
    "sec-11.1-infinite-width",
    proof(
        "it is the mean over the weights at every width; the variance goes as 1/N",
        CERTIFICATES[_name],
        lambda: closed_form(_name),
        lambda: _doubled(_name, "variance"),
    ),
)


def _symbols():
    return closed_form("ntk-at-finite-width").terms["quadratic_fluctuation"].free_symbols


attach(
    "sec-5-wide-for-the-target",
    proof(
        "the mean of |M - sigma^2 I|_F^2 is (D + 1)/N of |sigma^2 I|_F^2",
        CERTIFICATES["moments-at-init"],
        lambda: closed_form("moments-at-init"),
        lambda: _doubled("moments-at-init", "distance"),
    ),
)


@evidence(
    "sec-5-wide-for-the-target",
    "measured",
    "mean fluctuation of the quadratic part of the kernel, exact for each draw of the weights; it "
    "is not a fifth more",
    control={"factor": 1.2},
)
def wide_enough(budget: Budget, D: int = 30, N: int = 60, factor: float = 1.0) -> str:
    derived = float(
        closed_form("ntk-at-finite-width")
        .terms["quadratic_fluctuation"]
        .subs({s: {"D": D, "N": N}[s.name] for s in _symbols()})
    )
    return mean_is(
        f"D = {D}, N = {N}: fluctuation over that derived",
        lambda *draws: _fluctuation(D, N, *draws) / derived,
        budget.seed,
        factor,
        smallest=0.2,
    )


@evidence(
    "fig-4-two-neurons",
    "measured",
    "two neurons: more than one draw in ten ends worse than predicting nothing (half of them do); "
    "at infinite width none",
    control={"width": np.inf},
)
def fail(budget: Budget, width: float = 2) -> str:
    """In the setting of Figure 4 as it is known from outside the text."""

    def worse(first: int, count: int) -> np.ndarray:
        sizes = {"dimension": 40, "P": 120, "steps": 1500, "seeds": count}
        setting = Setting(epsilon=0.25, learning_rate=1.0)
        found = curves((setting,), width=width, centred=False, first_seed=first, **sizes)
        return found.test[:, 0, -1] > 1

    what = f"N = {width:g}: the test loss ends above that of predicting nothing"
    return mostly(what, worse, budget.seed, share=0.5, against=0.1)
