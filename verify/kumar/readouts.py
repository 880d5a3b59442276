"""Claims on the network with both layers trained: App. 12, eqs. (21)-(23) (Kumar et al.)."""

from dataclasses import replace
from typing import Any

import sympy as sp
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from sympy import Rational

from lazyrich.theory import closed_form
from lazyrich.theory.readout import sigma_v, sigma_w
from lazyrich.theory.symbols import D, M, alpha, epsilon, wbar, x, x_prime
from lazyrich.theory.wick import canonical, dot, form
from lazyrich.verify import strategies as given
from lazyrich.verify.evidence import (
    attach,
    attacked,
    certificate,
    counterexample,
    equality,
)
from lazyrich.verify.ledger import Evidence
from lazyrich.verify.properties import closed_form_function
from lazyrich.verify.properties import readouts as laws


@st.composite
def _networks(draw) -> tuple[given.Array, given.Array]:
    """(v, W) of shapes (N,) and (N, D)."""
    N, D_ = draw(given.widths()), draw(given.dimensions())
    return draw(given.arrays(N)), draw(given.arrays(N, D_))


def networks_with(*shapes: int | None) -> SearchStrategy[Any]:
    """(v, W, array, ...); a shape n stands for (n, D), None for (D,)."""

    def extended(network: tuple[given.Array, given.Array]):
        size = network[1].shape[1]
        more = [given.arrays(*([] if n is None else [n]), size) for n in shapes]
        return st.tuples(*(st.just(a) for a in network), *more)

    return _networks().flatmap(extended)


def _printed_kernel(linear: int = 2) -> sp.Expr:
    inner, sizes = dot(x, x_prime), dot(x, x) * dot(x_prime, x_prime)
    return linear * inner + 3 * epsilon**2 / 2 * inner**2 + epsilon**2 / 4 * sizes


def _derived_kernel() -> sp.Expr:
    """The derived kernel at sigma_w = sigma_v = 1."""
    return canonical(closed_form("readout-ntk-at-init").expr.subs({sigma_v: 1, sigma_w: 1}))


def _initial_inputs():
    inputs = given.dimensions().flatmap(lambda D_: given.arrays(3, D_))
    return inputs, given.epsilons(), given.scales(-3, 3), given.scales(-3, 3)


def _eigenvalue(name: str) -> Any:
    """An eigenvalue of the derived kernel at sigma_w = sigma_v = 1."""
    value = closed_form("readout-ntk-eigenvalues").terms[name][0]
    return sp.factor(value.subs({sigma_v: 1, sigma_w: 1}))


def _at(expr: sp.Expr, D_: int, e: Any) -> sp.Expr:
    return expr.subs({D: D_, epsilon: e})


def _function_printed(factor: sp.Expr) -> sp.Expr:
    return alpha * dot(wbar, x) + factor * alpha * epsilon * form(x, M, x)


attach(
    "eq-21",
    equality(
        "f in the readout-weighted moments",
        lambda: closed_form("readout-network-function").expr,
        lambda: _function_printed(Rational(1, 2)),
        lambda: _function_printed(sp.S.One),
    ),
    certificate(
        "readout-network-function",
        lambda cf: replace(cf, expr=_function_printed(sp.S.One)),
    ),
    attacked(
        "the neurons' outputs are the function of these moments",
        lambda given_, a, e: laws.readout_function_is_that_of_the_moments(
            *given_, alpha=a, epsilon=e
        ),
        (networks_with(3), given.alphas(), given.epsilons()),
        lambda given_, a, e: laws.readout_function_is_that_of_the_moments(
            *given_, alpha=a, epsilon=e, outputs=lambda x, wbar, **_: a * x @ wbar
        ),
    ),
)


_loss = closed_form_function("test-loss")


attach(
    "sec-12-loss",
    attacked(
        "the loss on an exact test set is eq. (6) at these moments",
        lambda given_, a, e: laws.readout_loss_is_eq_6(*given_, alpha=a, epsilon=e),
        (networks_with(None), given.alphas(), given.epsilons()),
        lambda given_, a, e: laws.readout_loss_is_eq_6(
            *given_,
            alpha=a,
            epsilon=e,
            loss=lambda **known: _loss(**(known | {"epsilon": -e})),
        ),
    ),
)


attach(
    "eq-23",
    equality(
        "at sigma_w = sigma_v = 1 the derived kernel is the printed one",
        _derived_kernel,
        _printed_kernel,
        lambda: _printed_kernel(linear=1),
    ),
    certificate("readout-ntk-at-init", lambda cf: replace(cf, expr=_printed_kernel())),
    attacked(
        "autograd's kernel of both layers, averaged over an exact cubature of the weights",
        laws.readout_kernel_is_autograds,
        _initial_inputs(),
        lambda X, e, sw, sv: laws.readout_kernel_is_autograds(
            X, e, sw, sv, lambda x, x_prime, **_: (sw**2 + sv**2) * (x * x_prime).sum(-1)
        ),
    ),
)


def _order(name: str) -> Any:
    """D^2/epsilon^2 times the eigenvalue; of order 1 if it is O(epsilon^2 D^-2)."""
    return sp.factor(_eigenvalue(name) * D**2 / epsilon**2)


attach(
    "sec-12-quadratic-eigenvalues",
    equality(
        "traceless, over epsilon^2/D^2; with epsilon/D^2 as printed it would not be a number",
        lambda: _order("traceless"),
        lambda: sp.Integer(3),
        lambda: 3 / epsilon,
    ),
    equality(
        "radial, over epsilon^2/D^2: it grows as D^2, which is not of the printed order",
        lambda: _order("radial"),
        lambda: (D + 2) * (D + 6) / 4,
        lambda: sp.Integer(3),
    ),
    certificate(
        "readout-ntk-eigenvalues",
        lambda cf: replace(cf, terms=dict(cf.terms) | {"radial": cf.terms["traceless"]}),
    ),
    attacked(
        "eigenvalues and multiplicities of autograd's kernel on an exact cubature",
        laws.readout_operator_has_the_derived_spectrum,
        (given.dimensions(3), given.epsilons(), given.scales(-2, 2), given.scales(-2, 2)),
        lambda D_, e, sw, sv: laws.readout_operator_has_the_derived_spectrum(
            D_, e, sw, sv, lambda *_: {"linear": ((sw**2 + sv**2) / D_, D_)}
        ),
    ),
)


counterexample(
    "sec-12-quadratic-eigenvalues",
    lambda: (
        "epsilon = 1: the radial eigenvalue over epsilon/D^2 is "
        + ", ".join(f"{_at(_order('radial'), big, 1)} at D = {big}" for big in (10, 100, 1000))
        + ", so that no constant bounds it; itself it is "
        f"{_at(_eigenvalue('radial'), 1000, 1)} at D = 1000"
    ),
)


def _linear_bias_ratio(name: str) -> Any:
    return sp.factor(_eigenvalue(name) / _eigenvalue("linear"))


def _largest(D_: int, e: Any) -> str:
    values = {k: _at(_eigenvalue(k), D_, e) for k in ("linear", "radial", "traceless")}
    first = max(values, key=lambda k: values[k])
    assert first == "linear", f"at D = {D_}, epsilon = {e} the radial eigenvalue is the largest"
    return f"D = {D_}, epsilon = {e}: " + ", ".join(f"{k} {v}" for k, v in values.items())


attach(
    "sec-12-linear-bias",
    equality(
        "radial over linear",
        lambda: _linear_bias_ratio("radial"),
        lambda: epsilon**2 * (D + 2) * (D + 6) / (8 * D),
        lambda: epsilon**2 * (D + 2) / D,
    ),
    equality(
        "traceless over linear",
        lambda: _linear_bias_ratio("traceless"),
        lambda: 3 * epsilon**2 / (2 * D),
        lambda: 3 * epsilon**2 / D,
    ),
    Evidence(
        "proved",
        "linear functions have the largest eigenvalue in Fig. 11, not at epsilon = 1/2, D = 100",
        lambda _: _largest(40, Rational(1, 4)),
        lambda _: _largest(100, Rational(1, 2)),
    ),
)


counterexample(
    "sec-12-linear-bias",
    lambda: (
        f"D = 100, epsilon = 1/2: linear {_at(_eigenvalue('linear'), 100, 1)}, radial "
        f"{_at(_eigenvalue('radial'), 100, Rational(1, 2))}"
    ),
)
