"""What the scales of output, weights, labels and learning rate do to training.

Kumar et al. 2024: "eta = eta_0/alpha^2" (App. 8.1), four ways to laziness (Sec. 4.1), and
alpha ~ sigma^-2 (App. 8.2). Here are the exact statements behind them.
"""

import sympy as sp
from sympy import MatrixSymbol, Trace

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.moment_dynamics import sample_step
from lazyrich.theory.network import activation, neuron_average, ntk
from lazyrich.theory.symbols import D, N, alpha, epsilon, eta_0, sigma, w, x, x_prime
from lazyrich.theory.training_symbols import rho
from lazyrich.theory.wick import canonical, canonical_matrix, dot, equal, gradient

c = sp.Symbol("c", positive=True)  # scale of the labels
k = sp.Symbol("k", real=True)  # the normalised NTK K(x, x') at two inputs
eta = sp.Symbol("eta", positive=True)  # any learning rate
w_0 = MatrixSymbol("w0", D, 1)  # the initial weights of a neuron
delta = MatrixSymbol("delta", D, 1)  # alpha (w - w0)


def _share(weights: sp.MatrixExpr = w) -> sp.Expr:
    """One neuron's share alpha phi(w.x) of N f(x)."""
    return canonical(alpha * activation(dot(weights, x)))


def early_dynamics() -> ClosedForm:
    """How fast f moves at any weights: with eta = eta_0 N/alpha^2, by K and residuals alone.

    ``expr``: d f(x)/d tau from one sample x' with residual rho = f(x') - y(x'); the mean over the
    samples is the whole. ``terms``: ``at_eta``, the same a step at any learning rate eta;
    ``without_width``, a step at the paper's eta = eta_0/alpha^2.
    """
    step = sample_step(rho).subs(x, x_prime)
    moved = gradient(_share(), w)
    rate = canonical(-neuron_average(Trace(moved.T * step)) / eta_0)
    kernel = ntk().terms["ntk_normalised"]
    if not equal(rate, -2 * rho * kernel):
        raise AssertionError(f"d f/d tau is not -2 rho K: {rate}")
    in_a_step = -2 * rho * k * eta_0
    at_eta = in_a_step.subs(eta_0, eta * alpha**2 / N)
    return ClosedForm(
        name="early-dynamics",
        title="d f(x)/d tau from one sample x' with residual rho = f(x') - y(x')",
        expr=rate,
        terms={"at_eta": at_eta, "without_width": at_eta.subs(eta, eta_0 / alpha**2)},
        steps=[
            ("What the sample takes from a neuron in a step at eta = eta_0 N/alpha^2.", step),
            ("N times the gradient of f(x) in that neuron's weights.", moved),
            ("Minus their scalar product, averaged over the neurons, a unit of tau.", rate),
            (
                "That is -2 rho k a unit of tau, with k = K(x, x'): no alpha and no N. A step:",
                in_a_step,
            ),
            ("The same at any learning rate eta.", at_eta),
            (
                "At eta_0/alpha^2 it falls with the width: N belongs into the rate.",
                at_eta.subs(eta, eta_0 / alpha**2),
            ),
        ],
        assumptions=(
            "Gradient flow on the mean square error (no 1/2). At the start rho = -y is free of "
            "alpha for the centred predictor only: the plain one has rho = f - y, f of order alpha."
        ),
        source="Kumar et al. 2024, App. 8.1",
    )


def scale_equivalence() -> ClosedForm:
    """Which scales of output, weights and labels give the same training, up to units: exact.

    Weights sigma w', labels c y. ``expr``: the two numbers that training depends on, at the same
    eta_0. ``terms``: ``weights``, the (alpha, epsilon) at sigma = 1 that w' trains with;
    ``labels``, the alpha at c = 1; ``quadratic``, the one number for the quadratic part alone.
    """
    scaled = sigma * w
    weights = {alpha: alpha * sigma, epsilon: epsilon * sigma}
    in_place = sample_step(rho).subs(w, scaled) / sigma
    for got, wanted in (
        (_share(scaled), _share().subs(weights, simultaneous=True)),
        (_share().subs(alpha, c * alpha), c * _share()),
    ):
        if not equal(got, wanted):
            raise AssertionError(f"the networks differ: {got} != {wanted}")
    for got, wanted in (
        (in_place, sample_step(rho).subs(weights)),
        (sample_step(c * rho).subs(alpha, c * alpha), sample_step(rho)),
    ):
        if canonical_matrix(got - wanted) != sp.ZeroMatrix(D, 1):
            raise AssertionError(f"the steps differ: {got} != {wanted}")
    labels = alpha / c
    invariants = sp.Tuple(weights[alpha].subs(alpha, labels), weights[epsilon])
    quadratic = sp.Mul(*invariants)
    return ClosedForm(
        name="scale-equivalence",
        title="What training depends on, at output scale alpha, weights sigma w' and labels c y",
        expr=invariants,
        terms={
            "weights": tuple(weights.values()),
            "labels": labels,
            "quadratic": quadratic,
        },
        steps=[
            ("The share of a neuron of weights sigma w', N f(x).", _share(scaled)),
            ("It is that of w' at this alpha and epsilon.", tuple(weights.values())),
            ("What a sample x with residual rho takes from w in a step.", sample_step(rho)),
            (
                "The same from sigma w', over sigma: what it takes from w' at that alpha and "
                "epsilon, with the same eta_0.",
                canonical_matrix(in_place),
            ),
            ("Labels c y and c alpha multiply f and rho by c: the step stays.", labels),
            ("So training depends on these two numbers only.", invariants),
            (
                "At fixed epsilon, alpha ~ sigma^-2 keeps their product, the scale of the "
                "quadratic part; the linear part changes.",
                quadratic,
            ),
        ],
        assumptions=(
            "Same inputs, same w', gradient descent at eta = eta_0 N/alpha^2, plain or centred. "
            "Losses are in units of c^2."
        ),
        source="Kumar et al. 2024, Sec. 4.1, App. 8.2 and Figure 7",
    )


def lazy_coordinates() -> ClosedForm:
    """The centred predictor in delta = alpha (w - w0): laziness is 1/alpha, in epsilon/alpha.

    ``terms``: ``predictor``, one neuron's share of N (f - f_0); ``step``, what a sample x with
    residual rho takes from delta; ``lazy_predictor``, ``lazy_step``, their limits for
    alpha -> infinity, the linearised network.
    """
    weights = w_0 + delta / alpha
    predictor = canonical(_share(weights) - _share(w_0))
    step = canonical_matrix(alpha * sample_step(rho).subs(w, weights))
    ratio = sp.Dummy("ratio", real=True)
    for part in (predictor, step):
        if sp.sympify(part).subs(epsilon / alpha, ratio).has(alpha):
            raise AssertionError(f"alpha stands outside epsilon/alpha in {part}")
    lazy_predictor = canonical(_to_first_order(predictor))
    lazy_step = canonical_matrix(step.subs(1 / alpha, 0).doit())
    return ClosedForm(
        name="lazy-coordinates",
        title="Centred training in delta = alpha (w - w0): (share of N f, step by one sample)",
        expr=sp.Tuple(predictor, step),
        terms={
            "predictor": predictor,
            "step": step,
            "lazy_predictor": lazy_predictor,
            "lazy_step": lazy_step,
        },
        steps=[
            ("One neuron's share of N (f(w0 + delta/alpha) - f(w0)).", predictor),
            ("What the sample takes from delta in a step.", step),
            ("alpha stands in epsilon/alpha only. Without it, the linearised network:", lazy_step),
            ("with this predictor, linear in delta.", lazy_predictor),
        ],
        assumptions=(
            "The centred predictor (with the plain one, f_0 of order alpha has to be unlearnt: it "
            "isn't lazy at any alpha), eta = eta_0 N/alpha^2. Then |w - w0| is of order 1/alpha."
        ),
        source="derived here; Kumar et al. 2024, Sec. 4.1, App. 8.1",
    )


def _to_first_order(expr: sp.Expr) -> sp.Expr:
    return sp.Add(*(term for term in sp.Add.make_args(expr) if not term.has(1 / alpha)))
