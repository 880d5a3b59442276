"""Claims of Kumar et al. 2024 on the model: eqs. (1)-(5), (7), (18) and sentences around them."""

# SymPy carries few annotations, and what is inferred from its source is mostly wrong.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

from dataclasses import replace

import numpy as np
import sympy as sp
from sympy import Rational

from lazyrich.simulate.neurons import network as forward
from lazyrich.theory import closed_form
from lazyrich.theory.symbols import M0, D, M, N, alpha, epsilon, sigma, wbar, wbar0, x, x_prime
from lazyrich.theory.wick import dot, form
from lazyrich.verify import properties
from lazyrich.verify import strategies as given
from lazyrich.verify.certificates import Certificate
from lazyrich.verify.certificates.model import NEURONS, network, weights
from lazyrich.verify.coordinates import Coordinates
from lazyrich.verify.counterexample import SIMPLE, smallest
from lazyrich.verify.evidence import (
    attach,
    attacked,
    certificate,
    counterexample,
    equality,
    evidence,
    proof,
)
from lazyrich.verify.ledger import Budget
from lazyrich.verify.properties import training as properties_training
from lazyrich.verify.tolerances import assert_close

PAPER_KERNEL = (
    r"$x \cdot x' + \epsilon (x \cdot x')\, \bar{w} \cdot (x + x')"
    r" + \epsilon^2 (x \cdot x')\, x^\top M x'$"
)


def _remainder(D: int, claimed):
    """f(w + d) - f(w) - grad f(w).d with neurons w1, w2 and changes d1, d2."""
    vectors = [*NEURONS, "d1", "d2", "x"]
    at = Coordinates(D, vectors=vectors, scalars=["alpha", "epsilon"])
    pairs = list(zip(NEURONS, vectors[2:4], strict=True))
    f = network(at, "x")
    slopes = ((at.derivative(f, w).T @ at.values[d])[0, 0] for w, d in pairs)
    linear = f + sum(slopes, at.ring.zero)
    changes = {w: at.values[d] for w, d in pairs}
    at.values |= {w: at.values[w] + change for w, change in changes.items()}
    moved = network(at, "x")
    at.values |= changes
    yield "remainder", moved - linear, at.interpret(claimed["remainder"], M=weights(at)["M"])


def same_moments_same_network(
    network: given.Network, X: given.Array, keep_mean: bool = True
) -> float:
    """Rotate the neurons among themselves, W -> O W, with O 1 = 1, which keeps wbar and M."""
    count = network.N
    v = np.arange(1.0, count + 1)
    v -= v.mean() * keep_mean
    size = v @ v
    mixing = np.eye(count) - (2 / size * np.outer(v, v) if size else 0.0)
    other = replace(network, W=mixing @ network.W)
    big = replace(properties.absolute(network), W=np.abs(mixing) @ np.abs(network.W))
    operations = 4 * count * (network.D + 4) + 60
    shares = []
    for name, value in (("f", _outputs), ("kernel", properties.autograd_ntk)):
        ours, theirs = (np.asarray(value(n, X)) for n in (other, network))
        bound = np.asarray(value(big, np.abs(X)))
        shares.append(
            assert_close(ours, theirs, magnitude=bound, operations=operations, label=name)
        )
    return max(shares)


def _outputs(network: given.Network, X: given.Array) -> given.Array:
    outputs = forward(
        properties.tensor(X),
        properties.tensor(network.W),
        alpha=network.alpha,
        epsilon=network.epsilon,
    )
    return outputs.numpy()


def paper_kernel() -> sp.Expr:
    """K as eqs. (5) and (18) print it."""
    common = dot(x, x_prime)
    mean = dot(wbar, x) + dot(wbar, x_prime)
    return common + epsilon * common * mean + epsilon**2 * common * form(x, M, x_prime)


def _kernel_at(expr: sp.Expr, alpha: sp.Rational, N: int) -> sp.Expr:
    """The kernel at D = 1 and epsilon = x = x' = wbar = M = 1."""
    one = sp.ImmutableMatrix([[1]])
    numbers = {"alpha": alpha, "N": N, "epsilon": 1, "D": 1}
    expr = expr.subs({s: numbers[s.name] for s in expr.free_symbols if s.name in numbers})
    return expr.subs(dict.fromkeys(expr.atoms(sp.MatrixSymbol), one)).doit()


def _spread_of_moments(D: int, claimed):
    at = Coordinates(D, vectors=[*NEURONS], scalars=["sigma"])
    known, variance = weights(at), at.values["sigma"] ** 2

    def mean(polynomial):
        return at.mean(at.mean(polynomial, "w1", variance), "w2", variance)

    excess = known["M"] - at.identity() * variance
    squares = {
        "mean of wbar": sum((mean(entry) for entry in known["wbar"].flat), at.ring.zero),
        "mean of M": mean(known["M"][0, 0]),
        "<|wbar|^2>": mean((known["wbar"].T @ known["wbar"])[0, 0]),
        "<|M - sigma^2 I|^2>": mean(sum((e**2 for e in excess.flat), at.ring.zero)),
    }
    for name, value in squares.items():
        yield name, value, at.interpret(claimed[name])


def _remainder_(factor: Rational) -> dict[str, sp.Expr]:
    return {"remainder": factor * alpha * epsilon * form(x, M, x)}


attach(
    "eq-1",
    proof(
        "the remainder is quadratic: (alpha epsilon/2) x^T <(w - w0)(w - w0)^T> x",
        Certificate(2, 0, _remainder),
        lambda: _remainder_(Rational(1, 2)),
        lambda: _remainder_(Rational(1)),
    ),
    attacked(
        "training leaves the linearised predictor by O(1/alpha): slope -1",
        properties_training.laziness_is_first_order,
        (given.seeds(), given.epsilons()),
        lambda seed, e: properties_training.laziness_is_first_order(seed, e, learning_rate=0.01),
        share=0.1,
    ),
)


@evidence(
    "eq-1",
    "measured",
    "uncentred training doesn't approach its linearisation: slope 0",
    control={"centred": True},
)
def stays_off(budget: Budget, centred: bool = False) -> str:
    slopes = [
        properties_training.laziness_slope(budget.seed + i, 0.5, centred=centred) for i in range(2)
    ]
    worst = max(abs(slope) for slope in slopes)
    assert worst < properties_training.SLOPE_TOLERANCE, f"slope {worst:.3f} in alpha, not 0"
    powers = " and ".join(f"{slope:.4f}" for slope in slopes)
    return f"in two draws the relative distance goes as alpha to the powers {powers}"


def _without_factor(**known):
    return properties.closed_form_function("ntk", "ntk_normalised")(
        **{k: v for k, v in known.items() if k not in ("alpha", "N")}
    )


attach(
    "eq-2",
    attacked(
        "autograd's kernel of the neurons equals the derived NTK, its alpha^2/N included",
        lambda pair: properties.ntk_is_the_jacobians_gram_matrix(*pair),
        (given.networks_with_rows(3),),
        lambda pair: properties.ntk_is_the_jacobians_gram_matrix(*pair, ntk=_without_factor),
    ),
    certificate("ntk", lambda cf: replace(cf, expr=cf.terms["ntk_normalised"])),
)


attach(
    "eq-3",
    equality(
        "f in terms of (wbar, M)",
        lambda: closed_form("network-function").expr,
        lambda: alpha * dot(wbar, x) + alpha * epsilon / 2 * form(x, M, x),
        lambda: alpha * dot(wbar, x) + alpha * epsilon * form(x, M, x),
    ),
    certificate(
        "network-function",
        lambda cf: replace(cf, expr=cf.expr + alpha * epsilon * form(x, M, x)),
    ),
)


attach(
    "eq-4",
    attacked(
        "other neurons with the same wbar and M give the same function and kernel",
        lambda pair: same_moments_same_network(*pair),
        (given.networks_with_rows(3),),
        lambda pair: same_moments_same_network(*pair, keep_mean=False),
    ),
)


_two, _x_2 = sp.MatrixSymbol("wbar", 2, 1), sp.MatrixSymbol("x", 2, 1)


def _counterexample() -> str:
    try:
        product(_two)
    except AssertionError as error:
        return f"D = 2: {error}"
    raise AssertionError("wbar x is a product after all")


@evidence(
    "sec-5-missing-dot",
    "derived",
    "wbar^T x is a number, wbar x is no product",
    control={"left": _two},
)
def product(left: sp.MatrixExpr = _two.T) -> str:
    try:
        return f"the product at D = 2 has shape {(left * _x_2).shape}"
    except sp.ShapeError:
        shapes = f"shapes {left.shape} and {_x_2.shape}"
        raise AssertionError(f"vectors of {shapes} have no product") from None


counterexample("sec-5-missing-dot", _counterexample)


def _spread(of_M: sp.Expr) -> dict[str, sp.Expr]:
    # N = 2 neurons: deviations of the mean of N independent terms go as 1/N.
    return {
        "mean of wbar": sp.S.Zero,
        "mean of M": sigma**2,
        "<|wbar|^2>": sigma**2 * D / 2,
        "<|M - sigma^2 I|^2>": sigma**4 * of_M / 2,
    }


attach(
    "sec-5-initial-moments",
    proof(
        "means and mean squared deviations of wbar and M over w_i ~ N(0, sigma^2 I)",
        Certificate(1, 2, _spread_of_moments),
        lambda: _spread(D * (D + 1)),
        lambda: _spread(D**2),
    ),
)


def _change(scale: sp.Expr) -> sp.Expr:
    f = closed_form("network-function").expr
    return scale * (f - f.subs({wbar: wbar0, M: M0}))


def _with_alpha_twice(network: given.Network, start: given.Array) -> float:
    return properties.loss_equals_its_closed_form(
        network, start, {"linear": lambda **known: known["alpha"] ** 2 * _linear(**known)}
    )


_linear = properties.closed_form_function("test-loss", "linear")


attach(
    "eq-7",
    equality(
        "with alpha once, it is the network's function of (wbar - wbar0, M - M0)",
        lambda: closed_form("network-function").expr.subs({wbar: wbar - wbar0, M: M - M0}),
        lambda: _change(sp.S.One),
        lambda: _change(alpha),
    ),
    attacked(
        "its loss on an exact test set is eq. (6) in the differences of the moments",
        lambda pair: properties.loss_equals_its_closed_form(*pair),
        (given.networks_with_rows(2),),
        lambda pair: _with_alpha_twice(*pair),
    ),
)


counterexample(
    "eq-7",
    lambda: (
        smallest(lambda alpha: alpha * alpha, lambda alpha: alpha, alpha=SIMPLE)
        + ": the factor of (1/N) sum [phi(w_i.x) - phi(w_i0.x)] with the f of eq. (3)"
    ),
)


for _claim in ("eq-5", "eq-18"):  # the same formula, printed twice
    attach(
        _claim,
        equality(
            "eq. (2) gives alpha^2/N times the printed bracket; the bracket alone is rejected",
            lambda: closed_form("ntk").expr,
            lambda: alpha**2 / N * paper_kernel(),
            paper_kernel,
        ),
        equality(
            "divided by alpha^2/N the kernel is the printed bracket",
            lambda: closed_form("ntk").terms["ntk_normalised"],
            paper_kernel,
            lambda: paper_kernel() + epsilon * dot(x, x_prime) * dot(wbar, x),
        ),
        certificate("ntk", lambda cf: replace(cf, expr=paper_kernel())),
    )
    counterexample(
        _claim,
        lambda: (
            smallest(
                lambda N, alpha: _kernel_at(paper_kernel(), alpha, N),
                lambda N, alpha: _kernel_at(closed_form("ntk").expr, alpha, N),
                N=(1, 2, 3),
                alpha=SIMPLE,
                agree_where="where alpha^2 = N",
            )
            + ", at D = 1 and epsilon = x = x' = wbar = M = 1"
        ),
    )
