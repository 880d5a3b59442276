"""Claims of Kumar et al. 2024 on the loss: eq. (6), what it is made of, and where it vanishes."""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportArgumentType=false

from dataclasses import replace

import numpy as np
import sympy as sp
from hypothesis import strategies as st
from sympy import Trace

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import D, M, alpha, beta, epsilon, wbar
from lazyrich.theory.wick import dot
from lazyrich.verify import properties
from lazyrich.verify import strategies as given
from lazyrich.verify.certificates import Certificate
from lazyrich.verify.certificates.model import NEURONS, weights
from lazyrich.verify.coordinates import Coordinates
from lazyrich.verify.evidence import (
    attach,
    attacked,
    certificate,
    counterexample,
    equality,
    evidence,
    proof,
)
from lazyrich.verify.ledger import Budget, Evidence
from lazyrich.verify.properties import training as properties_training


def _squared(matrix: sp.MatrixExpr) -> sp.Expr:
    return Trace(matrix.T * matrix)


def printed_terms() -> dict[str, sp.Expr]:
    """Eq. (6) by terms."""
    return {
        "variance": (dot(beta, beta) / D - alpha * epsilon / D * Trace(M)) ** 2 / 4,
        "misalignment": _squared(alpha * epsilon * M - beta * beta.T) / (2 * D**2),
        "linear": alpha**2 / D * dot(wbar, wbar),
    }


def _least_loss(neurons: tuple[int, ...]) -> sp.Expr:
    """min over w of the loss at D = alpha = epsilon = beta = 1 of neurons w times these signs."""
    w = sp.Symbol("w", real=True)
    mean = sum(neurons) * w / len(neurons)
    square = sum(sign**2 for sign in neurons) * w**2 / len(neurons)
    loss = closed_form("test-loss").evaluate(
        alpha=1, epsilon=1, beta=[1], wbar=[mean], M=[[square]]
    )
    critical = [point for point in sp.solve(sp.diff(loss, w), w) if point.is_real]
    return min(sp.simplify(loss.subs(w, point)) for point in critical)


_trainings, _rates = given.trainings(), st.sampled_from([0.5, 0.25, 0.125])


_step = properties_training.moment_step_is_autograds


def _sufficient_statistics_twice(**known):
    known["eta_0"] *= 2
    return properties.closed_form_function("moment-step")(**known)


def _wrong_sign(cf):
    return replace(cf, terms={**cf.terms, "wbar": 2 * wbar - cf.terms["wbar"]})


attach(
    "abstract-sufficient-statistics",
    certificate(
        "test-loss",
        lambda cf: replace(cf, expr=cf.expr + dot(wbar, wbar) * dot(beta, beta)),
    ),
    certificate("moment-step", _wrong_sign),
    attacked(
        "they are more: full-batch gradient descent moves them without regard to anything "
        "else of the weights, as derived, at every width",
        _step,
        (_trainings, given.scales()),
        lambda training, eta_0: _step(training, eta_0, _sufficient_statistics_twice),
    ),
    attacked(
        "so they evolve alone, over many steps, as the neurons' own do",
        properties_training.engines_agree,
        (_trainings, _rates),
        lambda training, share: properties_training.engines_agree(
            training, share, weight_decay=1e-3
        ),
        share=0.2,
    ),
)


def _term(name: str) -> Evidence:
    return equality(
        f"the {name} term",
        lambda: closed_form("test-loss").terms[name],
        lambda: printed_terms()[name],
        lambda: 2 * printed_terms()[name],
    )


def _decomposition_doubled(**known):
    return 2 * properties.closed_form_function("test-loss", "misalignment")(**known)


_decomposition_loss = properties.loss_equals_its_closed_form


attach(
    "eq-6",
    *(_term(name) for name in ("variance", "misalignment", "linear")),
    certificate(
        "test-loss",
        lambda cf: replace(
            cf, terms={**cf.terms, "misalignment": 2 * printed_terms()["misalignment"]}
        ),
    ),
    attacked(
        "the neurons' loss on an exact finite test set, term by term, for epsilon of both "
        "signs, any beta, any width",
        _decomposition_loss,
        (given.networks(),),
        lambda network: _decomposition_loss(
            network, terms={"misalignment": _decomposition_doubled}
        ),
    ),
)


_of_the_trained_predictor_loss = properties.loss_equals_its_closed_form


def _of_plain_moments(network: given.Network, start: given.Array) -> float:
    _, M_now = network.moments()
    misalignment = properties.closed_form_function("test-loss", "misalignment")
    known = {"M": properties.tensor(M_now)}
    return _of_the_trained_predictor_loss(
        network, start, {"misalignment": lambda **k: misalignment(**(k | known))}
    )


attach(
    "eq-6-of-the-trained-predictor",
    certificate("test-loss-centred", lambda cf: replace(cf, expr=closed_form("test-loss").expr)),
    attacked(
        "the centred loss is eq. (6) in the differences; with M itself it isn't",
        lambda pair: _of_the_trained_predictor_loss(*pair),
        (given.networks_with_rows(2),),
        lambda pair: _of_plain_moments(*pair),
    ),
)


def _compare(D: int, claimed):
    at = Coordinates(D, vectors=[*NEURONS])
    squares = sum((at.dot(w, w) for w in NEURONS), at.ring.zero)
    total = squares / (len(NEURONS) * D)
    known = weights(at)
    centred = total - (known["wbar"].T @ known["wbar"])[0, 0] / D
    yield "about zero", total, at.interpret(claimed["total"], **known)
    yield "about the mean", centred, at.interpret(claimed["centred"], **known)


attach(
    "sec-5.3-total-variance",
    proof(
        "neuron by neuron",
        Certificate(1, 1, _compare),
        lambda: {
            "total": Trace(M) / D,
            "centred": (Trace(M) - dot(wbar, wbar)) / D,
        },
        lambda: {"total": Trace(M) / D, "centred": Trace(M) / D},
    ),
)


attach(
    "sec-5.3-averaged-out",
    equality(
        "the linear term is alpha^2/D times |wbar|^2, which is 0 only at wbar = 0",
        lambda: closed_form("test-loss").terms["linear"],
        lambda: alpha**2 / D * dot(wbar, wbar),
        lambda: alpha**2 * dot(wbar, wbar),
    ),
    attacked(
        "its gradient in wbar, and the loss's in M, are those of autograd",
        properties.gradient_is_autograds,
        (given.networks(),),
        lambda network: properties.gradient_is_autograds(
            network, {"gradient_wbar": lambda **known: 0 * known["wbar"]}
        ),
    ),
    part="plain",
)


def _minimiser_doubled(**known):
    return 2 * properties.closed_form_function("test-loss-minimiser")(**known)


def _minimiser_twice(cf):
    return replace(cf, terms={**cf.terms, "M": 2 * cf.terms["M"]})


_minimiser = properties.minimiser_reaches_zero


attach(
    "sec-5.3-minimiser",
    certificate("test-loss-minimiser", _minimiser_twice),
    attacked(
        "two neurons of those moments make no error on an exact test set; for alpha "
        "epsilon < 0 no neurons beat f = 0",
        _minimiser,
        (given.networks(),),
        lambda network: _minimiser(network, _minimiser_doubled),
    ),
)


@evidence(
    "sec-5.3-minimiser",
    "derived",
    "one neuron never reaches zero, two do",
    control={"neurons": (1, -1)},
)
def out_of_reach(neurons: tuple[int, ...] = (1,)) -> str:
    least = _least_loss(neurons)
    assert least > 0, f"the loss of {len(neurons)} neurons reaches {least}"
    return f"the least loss is {least}, at D = alpha = epsilon = beta = 1"


counterexample("sec-5.3-minimiser", lambda: f"N = 1: {out_of_reach((1,))}")


@evidence(
    "sec-5.3-averaged-out",
    "proved",
    "D = 2, wbar0 = (1/2, 1/3): the loss of the change from wbar0, M0 to wbar0, M0 + beta beta^T "
    "is 0; without the centring it isn't",
    control={"centred": False},
    part="centred",
)
def centred_minimum(centred: bool = True) -> str:
    """At alpha = epsilon = 1; in rational numbers."""
    start, beta_ = sp.Matrix([sp.Rational(1, 2), sp.Rational(1, 3)]), sp.Matrix([1, 2])
    M0 = sp.eye(2)
    wbar_, M_ = start, M0 + beta_ * beta_.T
    if centred:
        wbar_, M_ = wbar_ - start, M_ - M0
    loss = closed_form("test-loss").evaluate(
        alpha=1, epsilon=1, beta=list(beta_), wbar=list(wbar_), M=M_.tolist()
    )
    assert loss == 0, f"the loss is {loss}"
    return "the loss is 0 at wbar = (1/2, 1/3)"


@evidence(
    "sec-5.3-minimiser-centred",
    "measured",
    "random weights and beta, D = 2 to 6: N = D + 1 neurons with the wanted moments are found; "
    "N = D are not enough",
    control={"more": 0},
)
def enough_neurons(budget: Budget, more: int = 1) -> str:
    """Weights with given moments exist if and only if M - wbar wbar^T has rank N - 1 at most."""
    off = []
    for size in range(2, 7):
        N, random = size + more, np.random.default_rng(budget.seed + size)
        W0, b = random.normal(size=(N, size)), random.normal(size=size)
        mean = W0.mean(0)
        wanted = np.cov(W0.T, bias=True) + np.outer(b, b)
        rank = int(np.linalg.matrix_rank(wanted))
        assert rank <= N - 1, f"D = {size}, N = {N}: rank {rank} is needed, {N - 1} is the most"
        across = np.linalg.qr(np.column_stack([np.ones(N), random.normal(size=(N, N - 1))]))[0]
        W = mean + N**0.5 * across[:, 1:] @ np.linalg.cholesky(wanted).T
        M_wanted = W0.T @ W0 / N + np.outer(b, b)
        off.append(max(abs(W.mean(0) - mean).max(), abs(W.T @ W / N - M_wanted).max()))
    line = f"D = 2 to 6: both moments within {max(off):.1e}"
    assert max(off) < 1e-9, line
    return line
