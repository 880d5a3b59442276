"""Any quadratic problem: inputs x ~ N(0, Sigma), target c_0 + c_1.x + x^T B x/2, noisy labels.

The paper's problem is Sigma = I/D, c_0 = 0, c_1 = 0, B = beta beta^T (Kumar et al. 2024, Sec. 5); a
multi-index target sum_k (beta_k.x)^2/2 is B = sum_k beta_k beta_k^T (Sec. 15.1).
"""

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.general_spectrum import null_function
from lazyrich.theory.linear import linear_root
from lazyrich.theory.network import network_function
from lazyrich.theory.symbols import (
    A,
    B,
    D,
    Gaussian,
    I,
    M,
    Sigma,
    alpha,
    beta,
    epsilon,
    u,
    wbar,
    x,
)
from lazyrich.theory.test_loss import test_loss
from lazyrich.theory.wick import (
    canonical,
    canonical_matrix,
    dot,
    equal,
    expectation,
    form,
    gradient,
)

c_0 = sp.Symbol("c_0", real=True)  # the target's constant
c_1 = MatrixSymbol("c_1", D, 1)  # its linear part
c_A = sp.Symbol("c_A")  # A = c_A Sigma^-1 at the minimum
sigma_noise = sp.Symbol("sigma_noise", nonnegative=True)  # standard deviation of the label noise
INPUTS = Gaussian(x, Sigma)
PAPER = {Sigma: I / D, c_0: 0, c_1: sp.ZeroMatrix(D, 1), B: beta * beta.T, sigma_noise: 0}
_noise = sp.Symbol("xi", real=True)


def general_target() -> sp.Expr:
    """y(x) = c_0 + c_1.x + x^T B x/2, without its noise.

    >>> expectation(general_target(), INPUTS)
    c_0 + Trace(B*Sigma)/2
    """
    return c_0 + dot(c_1, x) + form(x, B, x) / 2


def noise_mean(expr: sp.Expr) -> sp.Expr:
    """The mean over the label noise xi, of mean 0 and any law, of a polynomial of degree 2 in xi.

    >>> noise_mean((c_0 + _noise) ** 2)
    c_0**2 + sigma_noise**2
    """
    by_degree = sp.Poly(sp.expand(expr), _noise).as_dict()
    if max(by_degree)[0] > 2:
        raise ValueError(f"degree {max(by_degree)[0]} in xi: its variance gives degree 2 at most")
    return by_degree.get((0,), sp.S.Zero) + sigma_noise**2 * by_degree.get((2,), sp.S.Zero)


def residual_terms() -> dict[str, sp.Expr]:
    """The mean square of c_0 + u.x + x^T A x/2 + xi, by terms, for any u and symmetric A.

    Raises ``AssertionError`` if they don't add up to it.
    """
    linear, quadratic = dot(u, x), form(x, A, x) / 2
    mean = expectation(c_0 + quadratic, INPUTS)
    terms = {
        "variance": mean**2,
        "misalignment": expectation((c_0 + quadratic) ** 2, INPUTS) - mean**2,
        "linear": expectation(linear**2, INPUTS),
        "noise": noise_mean(_noise**2),
    }
    terms = {name: canonical(term) if name != "variance" else term for name, term in terms.items()}
    whole = expectation(noise_mean((c_0 + linear + quadratic + _noise) ** 2), INPUTS)
    if not equal(sp.Add(*terms.values()), whole):
        raise AssertionError("the terms of the general loss do not add up to it")
    return terms


def residual() -> dict[MatrixSymbol, sp.MatrixExpr]:
    """The u and A of y - f = c_0 + u.x + x^T A x/2, read off the network's function."""
    parts = {u: c_1 - alpha * wbar, A: B - alpha * epsilon * M}
    difference = general_target() - network_function().expr
    if not equal(difference, c_0 + dot(parts[u], x) + form(x, parts[A], x) / 2):
        raise AssertionError("y - f is not of the form c_0 + u.x + x^T A x/2")
    return parts


def general_test_loss() -> ClosedForm:
    """The population loss on a general quadratic problem, by terms.

    ``terms``: variance, misalignment, linear (as in ``test-loss``) and noise; ``components``: the
    gradients in wbar and M.
    """
    general, parts = residual_terms(), residual()
    terms = {name: term.subs(parts) for name, term in general.items()}
    loss = sp.Add(*terms.values())
    paper = canonical(loss.subs(PAPER))
    if not equal(paper, test_loss().expr):
        raise AssertionError(f"the paper's case is not its loss: {paper}")
    return ClosedForm(
        name="general-test-loss",
        title="The population loss <(y + noise - f)^2> of a general quadratic problem",
        expr=loss,
        terms=terms,
        components={"gradient_wbar": gradient(loss, wbar), "gradient_M": gradient(loss, M)},
        steps=[
            ("The residual is c_0 + u.x + x^T A x/2 + noise with this u", parts[u]),
            ("and this A.", parts[A]),
            ("variance: the square of the residual's mean.", general["variance"]),
            ("misalignment: the variance of its quadratic part.", general["misalignment"]),
            ("linear: the mean square of its linear part.", general["linear"]),
            ("noise: what no predictor can remove.", general["noise"]),
            ("Together, with u and A put in.", loss),
            ("The paper's case Sigma = I/D, B = beta beta^T, c_0 = c_1 = 0, no noise.", paper),
        ],
        assumptions=(
            "x ~ N(0, Sigma); B and M symmetric, B of any rank; noise of mean 0 and variance "
            "sigma_noise^2, of any law, independent of x. The centred predictor has wbar - wbar0 "
            "and M - M0 in place of wbar and M."
        ),
        source="derived here; generalises Kumar et al. 2024, Sec. 5.3, eq. (6), for Sec. 15.1",
    )


def general_test_loss_minimiser() -> ClosedForm:
    """Where the general loss is least, and the loss there.

    ``expr``: M; ``terms``: wbar, M and loss. The network has no constant function: it makes up for
    a constant c_0 in the target by a quadratic one, and a part of c_0^2 stays.
    """
    general = residual_terms()
    loss = sp.Add(*general.values())
    slope = gradient(loss, A)
    at_multiple = canonical_matrix(slope.subs(A, c_A * Sigma.I).doit())
    root = linear_root(at_multiple.as_coeff_matrices()[0], c_A)
    if canonical_matrix(at_multiple.subs(c_A, root)) != sp.ZeroMatrix(D, D):
        raise AssertionError("the gradient does not vanish at a multiple of the inverse of Sigma")
    parts = residual()
    M_star = canonical_matrix((B - root * Sigma.I) / (alpha * epsilon))
    wbar_star = canonical_matrix(c_1 / alpha)
    rest = {u: parts[u].subs(wbar, wbar_star).doit(), A: parts[A].subs(M, M_star).doit()}
    least = canonical(sp.Add(*(term.subs(rest) for term in general.values())))
    return ClosedForm(
        name="general-test-loss-minimiser",
        title="The minimiser (wbar, M) of the loss of a general quadratic problem",
        expr=M_star,
        terms={"wbar": wbar_star, "M": M_star, "loss": sp.factor(least)},
        steps=[
            ("The gradient in u, for the residual c_0 + u.x + x^T A x/2.", gradient(loss, u)),
            ("The gradient in A.", slope),
            ("At A = c_A Sigma^-1.", at_multiple),
            (
                "It vanishes there, and nowhere else, as the loss is strictly convex, for c_A =",
                root,
            ),
            ("u = c_1 - alpha wbar = 0.", wbar_star),
            ("A = B - alpha epsilon M.", M_star),
            ("The least loss: a part of c_0^2, and the noise.", sp.factor(least)),
        ],
        assumptions=(
            "epsilon != 0, Sigma positive definite; unique among all vectors wbar and symmetric M. "
            "N neurons have these moments if and only if M - wbar wbar^T is positive semidefinite "
            "of rank at most N - 1."
        ),
        source="derived here; generalises Kumar et al. 2024, Sec. 5.3, sentence below eq. (6)",
    )


def general_target_decomposition() -> ClosedForm:
    """The target's power on linear functions, quadratic forms and the kernel's null space.

    ``terms``: linear, quadratic, null; ``components``: the functions themselves. The kernel at
    initialisation can learn the first two, and never the third.
    """
    null = null_function()
    amount = expectation(null * general_target(), INPUTS) / expectation(null**2, INPUTS)
    components = {"linear": dot(c_1, x), "null": canonical(sp.cancel(amount) * null)}
    learnable = canonical(general_target() - components["null"] - components["linear"])
    components["quadratic"] = learnable
    terms = {k: expectation(components[k] ** 2, INPUTS) for k in ("linear", "quadratic", "null")}
    power = expectation(general_target() ** 2, INPUTS)
    if not equal(sp.Add(*terms.values()), power):
        raise AssertionError("the powers of the target's parts do not add up to <y^2>")
    return ClosedForm(
        name="general-target-decomposition",
        title="The power of a general quadratic target on what the kernel can and cannot learn",
        expr=power,
        terms=terms,
        components={k: components[k] for k in terms},
        steps=[
            ("The target.", canonical(general_target())),
            ("The kernel's null space among polynomials of degree at most 2.", null),
            ("The target's component there: it comes from c_0 alone.", components["null"]),
            ("Its linear part.", components["linear"]),
            ("What is left is a quadratic form.", learnable),
            ("The power of each.", tuple(terms.values())),
            ("They add up to <y^2>: the parts are orthogonal.", power),
        ],
        assumptions="x ~ N(0, Sigma), Sigma positive definite; B symmetric of any rank; no noise.",
        source="derived here; generalises Kumar et al. 2024, App. 11.1, eq. (17)",
    )
