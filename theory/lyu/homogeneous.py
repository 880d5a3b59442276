"""Any L-homogeneous model under gradient flow with decay: its scaling, its early and late laws.

Lyu et al. 2024, Sec. 3. Write theta = a (thetabar + delta) with a(t) = alpha exp(-lambda t): then
a and alpha leave the decay, and stand in one power in front of the gradient.
"""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.lyu.symbols import L, a, alpha, c, f, lamda, n, q, scale, t, y

c_w = sp.Symbol("c_w", positive=True)  # a factor of all weights
c_y = sp.Symbol("c_y", positive=True)  # a factor of all labels
slope = sp.Symbol("ell_f", real=True)  # d loss/d f at one sample
bend = sp.Symbol("Df", real=True)  # d f/d theta at thetabar + delta, along one weight
direction = sp.Symbol("thetabar", real=True)  # one weight of thetabar
h = sp.Symbol("h", real=True)  # a^L delta: the kernel predictor's weight
kappa = sp.Symbol("kappa", positive=True)  # an eigenvalue of the NTK at thetabar
s_i = sp.Symbol("s_i", nonnegative=True)  # y_i f_i - q of one sample


def homogeneous_scaling() -> ClosedForm:
    """What multiplying all weights by c_w does to f, to its gradient and to the NTK.

    ``terms``: ``function``, ``gradient``, ``kernel``, and ``euler``, the number <grad f, theta>/f.
    """
    r, phi = sp.Dummy("r", positive=True), sp.Dummy("phi", positive=True)
    F = sp.Function("F")(phi)
    ray = r**L * F
    radial, across = sp.diff(ray, r), sp.diff(ray, phi) / r
    factors = {
        sp.powsimp(sp.factor(sp.expand(part.subs(r, c_w * r) / part))) for part in (radial, across)
    }
    if len(factors) != 1:
        raise AssertionError(f"the gradient scales in two ways: {factors}")
    (gradient,) = factors
    function = sp.expand(ray.subs(r, c_w * r) / ray)
    euler = sp.expand(r * radial / ray)
    return ClosedForm(
        name="homogeneous-scaling",
        title="(f, grad f)(c_w theta) over (f, grad f)(theta) of an L-homogeneous model",
        expr=sp.Tuple(function, gradient),
        terms={
            "function": function,
            "gradient": gradient,
            "kernel": sp.powsimp(gradient**2, force=True),
            "euler": euler,
        },
        steps=[
            ("On a plane through 0, in polar coordinates, f = r^L F(phi). At c_w r:", function),
            ("Both components of grad f, along r and across it, are multiplied by", gradient),
            ("so that the NTK, a product of two gradients, is multiplied by", gradient**2),
            ("Euler: <grad f, theta> = r df/dr, over f.", euler),
        ],
        assumptions=(
            "f(c_w theta) = c_w^L f(theta) for c_w > 0, differentiable off 0. Any two directions "
            "span a plane. If f is also C^2 at 0, its Hessian there exists: L = 1 or L >= 2; for "
            "L = 2 f is then a quadratic form."
        ),
        source="Lyu et al. 2024, Sec. 3",
    )


def _rates() -> tuple[sp.Expr, sp.Expr]:
    """d delta/dt and d h/dt by one sample."""
    time_a, time_delta = sp.Function("a")(t), sp.Function("delta")(t)
    theta = time_a * (direction + time_delta)
    flow = -slope * homogeneous_scaling().terms["gradient"].subs(c_w, time_a) * bend - lamda * theta
    decay = {sp.diff(time_a, t): -lamda * time_a}
    moved = sp.diff(theta, t).subs(decay) - flow
    rate = linear_root(moved, sp.diff(time_delta, t))
    rate_h = sp.diff(time_a**L * time_delta, t).subs({sp.diff(time_delta, t): rate} | decay)
    plain = {time_a: a, time_delta: h / a**L}
    return tuple(sp.powsimp(sp.expand(part.subs(plain))) for part in (rate, rate_h))


def homogeneous_flow() -> ClosedForm:
    """Gradient flow with decay in theta = a (thetabar + delta), one sample's share.

    Symbols: ell_f = d loss/d f, Df = d f/d theta along this weight at thetabar + delta.
    ``terms``: ``delta``, its rate; ``h``, the rate of a^L delta; ``scale``, a(t).
    """
    rate, rate_h = _rates()
    return ClosedForm(
        name="homogeneous-flow",
        title="d delta/dt for theta = a (thetabar + delta), a = alpha exp(-lambda t)",
        expr=rate,
        terms={"delta": rate, "h": rate_h, "scale": scale()},
        steps=[
            ("a(t) solves da/dt = -lambda a.", scale()),
            (
                "d theta/dt = -(gradient) - lambda theta, and grad f(theta) = a^(L-1) Df by "
                "homogeneity. The decay of theta is that of a, so that what is left is",
                rate,
            ),
            (
                "alpha stands nowhere: runs from different alpha are runs of one equation in a, "
                "from delta = 0 at a = alpha.",
                a,
            ),
            ("With h = a^L delta, f = a^L f(thetabar + delta) is <Df, h> for small delta.", rate_h),
        ],
        assumptions="Gradient flow on mean loss + (lambda/2)|theta|^2; ell_f Df is averaged over "
        "the samples.",
        source="derived here, for Lyu et al. 2024, Sec. 3",
    )


def kernel_predictor() -> ClosedForm:
    """The early predictor: f = <grad f(thetabar), h> with a ridge on h that grows as a falls.

    ``expr`` is rho of mean loss + rho |h|^2, which h minimises where it is in balance. ``terms``:
    ``ridge``, rho; ``regression``, f on an eigenvector of the NTK at thetabar, eigenvalue kappa.
    """
    rho = sp.Dummy("rho")
    _, rate = _rates()
    balance = linear_root(rate, slope * bend)
    ridge = linear_root(sp.diff(rho * h**2, h) + balance, rho)
    ridge = sp.powsimp(ridge)
    fitted = sp.together(linear_root(kappa * (f - y) + n * rho * f, f).subs(rho, ridge))
    return ClosedForm(
        name="kernel-predictor",
        title="rho of the early problem, mean loss of <grad f(thetabar), h> plus rho |h|^2",
        expr=ridge,
        terms={"ridge": ridge, "regression": fitted},
        steps=[
            ("dh/dt, one sample's share.", rate),
            ("In balance the mean of ell_f Df is this multiple of h:", sp.powsimp(balance)),
            ("that is, h minimises mean loss + rho |h|^2 with rho", ridge),
            ("Regression: f = sum of kappa (-ell_f)/(2 n rho), ell_f = 2 (f - y).", fitted),
            ("For lambda -> 0 it interpolates, with the smallest |h|.", sp.limit(fitted, lamda, 0)),
        ],
        assumptions=(
            "f(thetabar) = 0 and a^L >> |h|, so that delta = h/a^L is small: f is linear in it. "
            "h in balance: exact to order rho^2 in regression; in classification, where |h| grows "
            "with log(1/rho), to relative order 1/log."
        ),
        source="derived here, for Lyu et al. 2024, Thms. 3.4, 3.9",
    )


def late_stationarity() -> ClosedForm:
    """How nearly a stationary point of the late problem is a KKT point of the smallest norm.

    ``expr`` bounds sum_i mu_i (y_i f_i - q)/|theta|^2 for exponential loss, q the smallest margin:
    0 at a KKT point. ``terms``: ``bound``; ``multiplier``, mu_i; ``norm_square``, one sample's
    share of |theta|^2; ``square_loss``, the multiplier in regression.
    """
    margin = q + s_i
    mu = sp.exp(-margin) / (n * lamda)
    euler = homogeneous_scaling().terms["euler"]
    share = euler * mu * margin
    gap = sp.factor(sp.expand((mu * s_i) / (euler * mu * margin).subs(s_i, 0)))
    worst = linear_root(sp.numer(sp.factor(sp.diff(gap, s_i) / gap)), s_i)
    bound = (n - 1) * sp.cancel(gap.subs(s_i, worst))
    square = -2 * (f - y) / (n * lamda)
    return ClosedForm(
        name="late-stationarity",
        title="Bound of sum_i mu_i (y_i f_i - q)/|theta|^2 at a stationary point, q = min y_i f_i",
        expr=bound,
        terms={
            "bound": bound,
            "multiplier": mu.subs(s_i, f - q),
            "norm_square": share,
            "square_loss": square,
        },
        steps=[
            (
                "theta = sum_i mu_i y_i grad f_i at a stationary point of mean exp(-y f) + "
                "(lambda/2)|theta|^2, with mu_i at margin y_i f_i = q + s_i:",
                mu,
            ),
            ("Times theta, by Euler: |theta|^2 is the sum over the samples of", share),
            (
                "The sum is at least the share of the sample with s_i = 0; another sample's share "
                "of the gap is then, relative to |theta|^2, at most",
                gap,
            ),
            ("which is largest at this s_i.", worst),
            (
                "So the gap closes as 1/q, and q grows as log(1/lambda): slowly, but for any "
                "model. theta/q^(1/L) tends to a KKT point of min |theta|^2, y_i f_i >= 1.",
                bound,
            ),
            ("In regression the constraints are equalities, with multipliers", square),
        ],
        assumptions="L-homogeneous f; exponential loss, all margins positive.",
        source="derived here, for Lyu et al. 2024, Thms. 3.5, 3.10",
    )


def _power(base: sp.Expr, log: sp.Expr) -> sp.Expr:
    """The power of ``base`` that has this logarithm."""
    return base ** sp.expand(log / sp.log(base))


def transition_time() -> ClosedForm:
    """lambda t at which a reaches a given value: slope 1 in log alpha, for every L.

    Symbols: a, the value at which the transition happens for labels of scale 1; c_y, the scale
    of the labels (in classification: of the margins, of order log(1/lambda)). ``terms``: ``time``,
    lambda t*; ``before`` and ``after``, the scale left at T-+ = (1 -+ c) log(alpha)/lambda;
    ``drift``, what margins of log(1/lambda) add to the C of lambda t* = log(alpha) + C.
    """
    function = homogeneous_scaling().terms["function"]
    stretch = sp.Dummy("r", positive=True)
    stretched = sp.expand_log(sp.log(function.subs(c_w, stretch)))
    stretch_of_labels = _power(c_y, linear_root(stretched - sp.log(c_y), sp.log(stretch)))
    time = sp.expand(
        lamda * linear_root(sp.expand_log(sp.log(scale() / (a * stretch_of_labels))), t)
    )
    logs = [sp.log(scale((1 + sign * c) * sp.log(alpha) / lamda)) for sign in (-1, 1)]
    before, after = (_power(alpha, sp.expand_log(log)) for log in logs)
    drift = time.coeff(sp.log(c_y)) * sp.log(sp.log(1 / lamda))
    return ClosedForm(
        name="transition-time",
        title="lambda t* of the transition at labels of scale c_y, which at c_y = 1 comes at a",
        expr=time,
        terms={"time": time, "before": before, "after": after, "drift": drift},
        steps=[
            ("After the fit the state depends on (t, alpha) through this alone.", scale()),
            (
                "f is multiplied by c_y where the weights, and so a, are multiplied by",
                stretch_of_labels,
            ),
            ("Solved for t, times lambda: slope exactly 1 in log(alpha).", time),
            ("At T- = (1 - c) log(alpha)/lambda the scale left is", before),
            ("at T+ = (1 + c) log(alpha)/lambda", after),
            (
                "In classification margins grow as log(1/lambda), so that C drifts by",
                drift,
            ),
        ],
        assumptions=(
            "alpha so large that the first fit ends in the kernel regime. Regression: lambda -> 0 "
            "(C has an error of order lambda); all labels scaled together. Classification: "
            "log(1/lambda) stands for the common scale of the margins, to leading order."
        ),
        source="derived here, for Lyu et al. 2024, Sec. 3",
    )
