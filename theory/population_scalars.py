"""The flow of the population loss by symmetry: three numbers, and two species that compete.

Rotations about beta leave the problem as it is, so the moments wbar = wbar_1 n and
M = m_1 n n^T + m_perp (I - n n^T), n = betahat = beta/|beta|, keep their form. With wbar = 0 a
competition of the aligned feature with the others is left, in one parameter. Not in the paper.
"""

from functools import cache

import sympy as sp
from sympy import Trace
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.mercer import ntk_eigenvalues
from lazyrich.theory.population_dynamics import population_flow
from lazyrich.theory.symbols import M0, D, I, M, alpha, b, beta, epsilon, sigma, wbar, wbar0
from lazyrich.theory.symbols import u as probe
from lazyrich.theory.training_symbols import T, a, betahat
from lazyrich.theory.wick import canonical, dot, form

wbar_1 = sp.Symbol("wbar_1", real=True)  # wbar along betahat
m_1 = sp.Symbol("m_1", real=True)  # M along betahat
m_perp = sp.Symbol("m_perp", real=True)  # M across betahat
q_1 = sp.Symbol("q_1", real=True)  # alpha epsilon m_1/b
q_perp = sp.Symbol("q_perp", real=True)  # alpha epsilon m_perp/b


def _along(expr: sp.Expr) -> sp.Expr:
    """A scalar contraction in betahat, with |betahat| = 1."""
    return sp.factor(canonical(expr).subs(canonical(dot(betahat, betahat)), 1))


def _reduced(d_wbar: MatrixExpr, d_M: MatrixExpr) -> dict[str, sp.Expr]:
    """The flow at symmetric moments as d(wbar_1, m_1, m_perp)/d tau; it must keep their form."""
    symmetric = {
        beta: sp.sqrt(b) * betahat,
        wbar: wbar_1 * betahat,
        M: m_1 * betahat * betahat.T + m_perp * (I - betahat * betahat.T),
        wbar0: sp.ZeroMatrix(D, 1),
        M0: sigma**2 * I,
    }
    d_wbar, d_M = (part.subs(symmetric).doit() for part in (d_wbar, d_M))
    du, dm_1 = _along(dot(betahat, d_wbar)), _along(form(betahat, d_M, betahat))
    dm_perp = sp.factor((_along(Trace(d_M)) - dm_1) / (D - 1))
    across = dot(probe, probe) - dot(probe, betahat) ** 2
    for got, kept in (
        (dot(probe, d_wbar), du * dot(probe, betahat)),
        (form(probe, d_M, probe), dm_1 * dot(probe, betahat) ** 2 + dm_perp * across),
    ):
        if sp.expand(_along(got - kept)) != 0:
            raise AssertionError(f"the flow leaves the symmetric form: {got} != {kept}")
    return {"wbar_1": du, "m_1": dm_1, "m_perp": dm_perp}


def _competition(flow: dict[str, sp.Expr]) -> tuple[sp.Expr, sp.Expr]:
    """d(q_1, q_perp)/dT at wbar_1 = 0, with T = 2 epsilon b tau/(alpha D^2)."""
    scale = b / (alpha * epsilon)
    clock = 2 * epsilon * b / (alpha * D**2)
    point = {wbar_1: 0, m_1: scale * q_1, m_perp: scale * q_perp, sigma**2: scale * a}
    rates = (flow[name].subs(point) / scale / clock for name in ("m_1", "m_perp"))
    by_species = zip(rates, (q_1, q_perp), strict=True)
    first, second = (q * sp.expand(sp.cancel(slope / q)) for slope, q in by_species)
    return first, second


def _fixed_points(rates: tuple[sp.Expr, sp.Expr]) -> dict[tuple, tuple]:
    """Each fixed point with the eigenvalues of the flow there."""
    species = (q_1, q_perp)
    jacobian = sp.ImmutableMatrix(rates).jacobian(species)
    found = {}
    for point in sp.solve(rates, species):
        there = jacobian.xreplace(dict(zip(species, point, strict=True)))
        found[point] = tuple(map(sp.factor, there.eigenvals()))
    return found


def _tail(rates: tuple[sp.Expr, sp.Expr]) -> sp.Expr:
    """The k of q_perp ~ 1/(k T) near the solution, where q_1 = 1 - c q_perp follows q_perp."""
    c, small = sp.Dummy("c"), sp.Dummy("small")
    slaved = {q_1: 1 - c * small, q_perp: small}
    first, second = (sp.expand(part.subs(slaved)) for part in rates)
    slope = linear_root(first.coeff(small, 1), c)
    if second.coeff(small, 1) != 0:
        raise AssertionError(f"q_perp decays exponentially: {second}")
    return sp.factor(-sp.sympify(second.coeff(small, 2)).subs(c, slope))


def _lazy_rates(rates: tuple[sp.Expr, sp.Expr]) -> dict[str, sp.Expr]:
    """The rates at which the centred flow fits for a -> infinity: twice the kernel's eigenvalues.

    With q = a + d and d fixed, d d/d(a T) is the linearised network.
    """
    d_1, d_perp = sp.Dummy("d_1"), sp.Dummy("d_perp")
    near = {q_1: a + d_1, q_perp: a + d_perp}
    linear = sp.Matrix([sp.limit(sp.expand(part.subs(near)) / a, a, sp.oo) for part in rates])
    found = (-linear.jacobian([d_1, d_perp])).eigenvals()
    clock = 2 * epsilon**2 * sigma**2 / D**2  # d(a T)/d tau
    values = {name: value for name, (value, _) in ntk_eigenvalues().terms.items()}
    expected = {name: sp.factor(2 * values[name] / clock) for name in ("radial", "traceless")}
    if {sp.factor(value) for value in found} != set(expected.values()):
        raise AssertionError(f"the lazy rates {found} are not those of the kernel, {expected}")
    return {name: clock * value for name, value in expected.items()}


@cache
def population_flow_scalar() -> ClosedForm:
    """The population flow of wbar = wbar_1 n, M = m_1 n n^T + m_perp (I - n n^T), n = beta/|beta|.

    b stands for |beta|^2. ``terms``: the rates in tau of wbar_1, m_1 and m_perp for the plain
    predictor, and ``wbar_1_centred``, ... for the centred one started at (0, sigma^2 I).
    ``components``: ``competition``, the rates of q = alpha epsilon m/b in
    T = 2 epsilon b tau/(alpha D^2) at wbar_1 = 0, and ``competition_centred``;
    ``fixed_points`` of the first with the eigenvalues there; ``tail``, q_perp at late T;
    ``lazy_rates``.
    """
    flow = population_flow().terms
    plain = _reduced(flow["wbar"], flow["M"])
    centred = _reduced(flow["wbar_centred"], flow["M_centred"])
    rich, lazy = _competition(plain), _competition(centred)
    points, rates = _fixed_points(rich), _lazy_rates(lazy)
    tail = 1 / (_tail(rich) * T)
    return ClosedForm(
        name="population-flow-scalar",
        title="d(wbar_1, m_1, m_perp)/d tau: wbar = wbar_1 n, M = m_1 n n^T + m_perp (I - n n^T)",
        expr=sp.Tuple(*plain.values()),
        terms=plain | {f"{name}_centred": part for name, part in centred.items()},
        components={
            "competition": rich,
            "competition_centred": lazy,
            "fixed_points": points,
            "tail": tail,
            "lazy_rates": rates,
        },
        steps=[
            ("d(wbar, M)/d tau on the population.", (flow["wbar"], flow["M"])),
            ("n^T d wbar/d tau, n = betahat: wbar_1 = 0 stays 0.", plain["wbar_1"]),
            ("n^T (d M/d tau) n.", plain["m_1"]),
            ("What is left of the trace, over D - 1.", plain["m_perp"]),
            (
                "At wbar_1 = 0, with q = alpha epsilon m/b, T = 2 epsilon b tau/(alpha D^2): two "
                "species compete, both from a = alpha epsilon sigma^2/b.",
                rich,
            ),
            (
                "Fixed points: (1, 0) is the solution, and the only one that attracts.",
                tuple(points),
            ),
            (
                "The eigenvalues of the flow there: at the solution one is 0,",
                tuple(points.values()),
            ),
            (
                "so q_perp ends as a power of T: M is on the edge of the semidefinite matrices.",
                tail,
            ),
            ("The same for the centred predictor: a alone says how lazy it is.", lazy),
            ("For a -> infinity it fits at twice the kernel's eigenvalues.", tuple(rates.values())),
        ],
        assumptions=(
            "Infinitely many samples; wbar along beta and M symmetric under rotations about it, as "
            "at infinite-width initialisation. D >= 2; alpha epsilon > 0 for a > 0."
        ),
        source="derived here",
    )
