"""Claims of Kumar et al. 2024 on the loss: eq. (6), what it is made of, and where it vanishes."""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportArgumentType=false

from dataclasses import replace

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
from lazyrich.verify.evidence import attacked, certificate, equality, proof
from lazyrich.verify.ledger import Claim, Evidence, Verdict
from lazyrich.verify.properties import training as properties_training


def claims() -> list[Claim]:
    """The claims on the loss, in the paper's order."""
    return [
        _sufficient_statistics(),
        _decomposition(),
        _of_the_trained_predictor(),
        _total_variance(),
        _averaged_out(),
        _minimiser(),
    ]


def _squared(matrix: sp.MatrixExpr) -> sp.Expr:
    return Trace(matrix.T * matrix)


def printed_terms() -> dict[str, sp.Expr]:
    """Eq. (6) by terms."""
    return {
        "variance": (dot(beta, beta) / D - alpha * epsilon / D * Trace(M)) ** 2 / 4,
        "misalignment": _squared(alpha * epsilon * M - beta * beta.T) / (2 * D**2),
        "linear": alpha**2 / D * dot(wbar, wbar),
    }


def _sufficient_statistics() -> Claim:
    trainings, rates = given.trainings(), st.sampled_from([0.5, 0.25, 0.125])
    step = properties_training.moment_step_is_autograds

    def twice(**known):
        known["eta_0"] *= 2
        return properties.closed_form_function("moment-step")(**known)

    def wrong_sign(cf):
        return replace(cf, terms={**cf.terms, "wbar": 2 * wbar - cf.terms["wbar"]})

    return Claim(
        name="abstract-sufficient-statistics",
        source="Abstract; Sec. 5.3",
        statement="(wbar, M) are sufficient statistics for the test loss, which can be tracked "
        "over training.",
        verdict=Verdict.CONFIRMED,
        evidence=(
            certificate(
                "test-loss",
                lambda cf: replace(cf, expr=cf.expr + dot(wbar, wbar) * dot(beta, beta)),
            ),
            certificate("moment-step", wrong_sign),
            attacked(
                "they are more: full-batch gradient descent moves them without regard to anything "
                "else of the weights, as derived, at every width",
                step,
                (trainings, given.scales()),
                lambda training, eta_0: step(training, eta_0, twice),
            ),
            attacked(
                "so they evolve alone, over many steps, as the neurons' own do",
                properties_training.engines_agree,
                (trainings, rates),
                lambda training, share: properties_training.engines_agree(
                    training, share, weight_decay=1e-3
                ),
                share=0.2,
            ),
        ),
    )


def _decomposition() -> Claim:
    def term(name: str) -> Evidence:
        return equality(
            f"the {name} term",
            lambda: closed_form("test-loss").terms[name],
            lambda: printed_terms()[name],
            lambda: 2 * printed_terms()[name],
        )

    def doubled(**known):
        return 2 * properties.closed_form_function("test-loss", "misalignment")(**known)

    loss = properties.loss_equals_its_closed_form
    return Claim(
        name="eq-6",
        source="Sec. 5.3, eq. (6)",
        statement="The population loss is (|beta|^2/D - (alpha epsilon/D) Tr M)^2/4 + |alpha "
        "epsilon M - beta beta^T|_F^2/(2 D^2) + alpha^2 |wbar|^2/D.",
        verdict=Verdict.CONFIRMED,
        evidence=(
            *(term(name) for name in ("variance", "misalignment", "linear")),
            certificate(
                "test-loss",
                lambda cf: replace(
                    cf, terms={**cf.terms, "misalignment": 2 * printed_terms()["misalignment"]}
                ),
            ),
            attacked(
                "the neurons' loss on an exact finite test set, term by term, for epsilon of both "
                "signs, any beta, any width",
                loss,
                (given.networks(),),
                lambda network: loss(network, terms={"misalignment": doubled}),
            ),
        ),
    )


def _of_the_trained_predictor() -> Claim:
    loss = properties.loss_equals_its_closed_form

    def of_plain_moments(network: given.Network, start: given.Array) -> float:
        _, M_now = network.moments()
        misalignment = properties.closed_form_function("test-loss", "misalignment")
        known = {"M": properties.tensor(M_now)}
        return loss(network, start, {"misalignment": lambda **k: misalignment(**(k | known))})

    return Claim(
        name="eq-6-of-the-trained-predictor",
        source="Sec. 5.3, eq. (6) with App. 8.1, eq. (7)",
        statement="Eq. (6) decomposes the loss of the network that is trained.",
        verdict=Verdict.ASSUMING,
        assumption="The plain predictor is trained. For the centred one, which App. 8.1 says is "
        "used, wbar and M in eq. (6) are the differences from their initial values; the minimum is "
        "then at M = M_0 + beta beta^T/(alpha epsilon), wbar = wbar_0.",
        evidence=(
            certificate(
                "test-loss-centred", lambda cf: replace(cf, expr=closed_form("test-loss").expr)
            ),
            attacked(
                "the centred loss is eq. (6) in the differences; with M itself it isn't",
                lambda pair: loss(*pair),
                (given.networks_with_rows(2),),
                lambda pair: of_plain_moments(*pair),
            ),
        ),
    )


def _total_variance() -> Claim:
    def compare(D: int, claimed):
        at = Coordinates(D, vectors=[*NEURONS])
        squares = sum((at.dot(w, w) for w in NEURONS), at.ring.zero)
        total = squares / (len(NEURONS) * D)
        known = weights(at)
        centred = total - (known["wbar"].T @ known["wbar"])[0, 0] / D
        yield "about zero", total, at.interpret(claimed["total"], **known)
        yield "about the mean", centred, at.interpret(claimed["centred"], **known)

    return Claim(
        name="sec-5.3-total-variance",
        source="Sec. 5.3, below eq. (6)",
        statement="The total variance in the weights is (1/(D N)) sum |w_i|^2 = (1/D) sum M_jj.",
        verdict=Verdict.ASSUMING,
        assumption="Variance is meant about zero. About the mean of the weights it is less by "
        "|wbar|^2/D; only at wbar = 0, as at the minimum, are the two the same.",
        evidence=(
            proof(
                "neuron by neuron",
                Certificate(1, 1, compare),
                lambda: {
                    "total": Trace(M) / D,
                    "centred": (Trace(M) - dot(wbar, wbar)) / D,
                },
                lambda: {"total": Trace(M) / D, "centred": Trace(M) / D},
            ),
        ),
    )


def _averaged_out() -> Claim:
    return Claim(
        name="sec-5.3-averaged-out",
        source="Sec. 5.3, below eq. (6)",
        statement="The last term penalises any power in linear functions: the weights must average "
        "out for the loss to vanish.",
        verdict=Verdict.CONFIRMED,
        evidence=(
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
        ),
    )


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


def _minimiser() -> Claim:
    def out_of_reach(neurons: tuple[int, ...]) -> str:
        least = _least_loss(neurons)
        assert least > 0, f"the loss of {len(neurons)} neurons reaches {least}"
        return f"the least loss is {least}, at D = alpha = epsilon = beta = 1"

    def doubled(**known):
        return 2 * properties.closed_form_function("test-loss-minimiser")(**known)

    def twice(cf):
        return replace(cf, terms={**cf.terms, "M": 2 * cf.terms["M"]})

    minimiser = properties.minimiser_reaches_zero
    return Claim(
        name="sec-5.3-minimiser",
        source="Sec. 5.3, below eq. (6)",
        statement="The test error can be minimised by any network with M = beta beta^T/(alpha "
        "epsilon) and wbar = 0.",
        verdict=Verdict.ASSUMING,
        assumption="alpha epsilon > 0 and at least two neurons, and the plain predictor. M is a "
        "second moment, so positive semidefinite: for alpha epsilon < 0 no network does better "
        "than f = 0. One neuron has M = wbar wbar^T, and wbar = 0 leaves M = 0.",
        counterexample=lambda: f"N = 1: {out_of_reach((1,))}",
        evidence=(
            certificate("test-loss-minimiser", twice),
            attacked(
                "two neurons of those moments make no error on an exact test set; for alpha "
                "epsilon < 0 no neurons beat f = 0",
                minimiser,
                (given.networks(),),
                lambda network: minimiser(network, doubled),
            ),
            Evidence(
                "derived",
                "one neuron never reaches zero, two do",
                lambda _: out_of_reach((1,)),
                lambda _: out_of_reach((1, -1)),
            ),
        ),
    )
