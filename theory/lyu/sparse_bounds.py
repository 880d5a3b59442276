"""Test error of max-margin classifiers on {+-1}^d by Rademacher complexity (Lyu et al. 2024)."""

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.linear import linear_root
from lazyrich.theory.lyu.symbols import d, n

k = sp.Symbol("k", integer=True, positive=True)  # nonzero entries, all +-1, of the true weights
delta = sp.Symbol("delta", positive=True)  # probability that the bound fails
_s = sp.Dummy("s", positive=True)


def _largest_of_means() -> sp.Expr:
    """A bound of E max_j |(1/n) sum_i sigma_i x_ij| over d coordinates: Massart's lemma."""
    even = [sp.factorial(2 * m) - 2**m * sp.factorial(m) for m in range(6)]
    if min(even) < 0:  # (2 m)!/m! = 2^m (2 m - 1)!!, so that this shows it for every m
        raise AssertionError("cosh(s) is not below exp(s^2/2), term by term")
    moment = _s**2 / (2 * n)  # log E exp(s mean(sigma)) = n log cosh(s/n) is at most this
    choices = sp.Dummy("m", positive=True)  # log of the number of means, with both signs
    bound = (choices + moment) / _s
    best = sp.sqrt(linear_root(sp.numer(sp.factor(sp.diff(bound, _s))), _s**2))
    return sp.cancel(bound.subs(_s, best)).subs(choices, sp.log(2 * d))


def sparse_margin_bound() -> ClosedForm:
    """Bounds of the test error that hold with probability 1 - delta.

    ``terms``: ``l1`` and ``l2``, for the classifiers of smallest L1 and L2 norm at margin 1;
    ``l1_complexity``, ``l2_complexity``, the Rademacher complexities; ``deviation``.
    """
    per_norm = _largest_of_means()
    l1 = k * per_norm
    l2 = sp.sqrt(k) * sp.sqrt(d) / sp.sqrt(n)
    deviation = 3 * sp.sqrt(sp.log(2 / delta) / (2 * n))
    return ClosedForm(
        name="sparse-margin-bound",
        title="Bound of the test error of the smallest L1 norm at margin 1",
        expr=2 * l1 + deviation,
        terms={
            "l1": 2 * l1 + deviation,
            "l2": 2 * l2 + deviation,
            "l1_complexity": l1,
            "l2_complexity": l2,
            "deviation": deviation,
        },
        steps=[
            (
                "k entries +-1, k odd: |<w*, x>| >= 1 on all of {+-1}^d. So the solution at margin "
                "1 on the samples has an L1 norm of at most k, an L2 norm of at most sqrt(k).",
                k,
            ),
            (
                "E max_j |mean of sigma_i x_ij| <= (log(2 d) + log E exp(s mean(sigma)))/s; "
                "cosh(s) <= exp(s^2/2), term by term as (2 m)! >= 2^m m!; least over s:",
                per_norm,
            ),
            ("Complexity of the L1 ball of radius k.", l1),
            ("Of the L2 ball of radius sqrt(k), by Jensen, |x|^2 = d.", l2),
            (
                "The ramp loss at margin 1 has slope 1, is 0 on the samples and at least the test "
                "error: symmetrisation costs a factor 2 (Mohri et al. 2018, Thm. 3.3), and the "
                "empirical complexity a deviation of",
                deviation,
            ),
            ("Together:", 2 * l1 + deviation),
        ],
        assumptions=(
            "x uniform in {+-1}^d, labels sign<w*, x>, w* with k odd and entries +-1 on its "
            "support; other k-sparse w* have larger norms at margin 1: (2, 1, 1, 1) has 5 > k = 4."
        ),
        source="derived here, for Lyu et al. 2024, Sec. 3",
    )
