"""Pieces of evidence that many claims share, each with its negative control."""

from collections.abc import Callable
from typing import Any

import sympy as sp
from hypothesis.strategies import SearchStrategy

from lazyrich.verify.attack import attack
from lazyrich.verify.certificates import Certificate, certify, prove
from lazyrich.verify.ledger import Budget, Evidence

Make = Callable[[], Any]  # derivations wait until the evidence is asked for


def equality(sentence: str, derived: Make, claimed: Make, planted: Make) -> Evidence:
    """For symbolic D the derived expression equals the claimed one, and not the planted one.

    All three make polynomials in traces and bilinear forms, or rational functions of scalars.
    """

    def check(expr: Make) -> str:
        difference = _difference(derived(), expr())
        assert difference == 0, f"differs from what is derived by {_short(difference)}"
        return f"it is {_short(derived())}"

    return Evidence("derived", sentence, lambda _: check(claimed), lambda _: check(planted))


def _difference(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    from lazyrich.theory.wick import canonical

    if a.has(sp.Trace) or b.has(sp.Trace):
        return canonical(a - b)
    return sp.simplify(a - b)


def certificate(name: str, planted: Callable[[Any], Any]) -> Evidence:
    """The closed form ``name`` is certified by brute force; ``planted`` makes a wrong one of it."""
    from lazyrich.theory import closed_form

    return Evidence(
        "proved",
        f"closed form {name} against explicit coordinates, for every D",
        lambda _: certify(name),
        lambda _: certify(name, planted(closed_form(name))),
    )


def proof(sentence: str, how: Certificate, claimed: Make, planted: Make) -> Evidence:
    """The claimed formulas {name: expression} hold by brute force; the planted ones don't."""
    return Evidence(
        "proved", sentence, lambda _: prove(how, claimed()), lambda _: prove(how, planted())
    )


def attacked(
    sentence: str,
    law: Callable[..., float | None],
    inputs: tuple[SearchStrategy[Any], ...],
    planted: Callable[..., float | None],
    share: float = 1.0,
) -> Evidence:
    """The law holds on random inputs; the planted one, the same law on a wrong formula, doesn't.

    ``share`` of the budget's examples are enough where one example is dear.
    """

    def part(budget: Budget) -> Budget:
        return Budget(max(1, round(share * budget.examples)), budget.seed)

    return Evidence(
        "attacked",
        sentence,
        lambda budget: attack(law, *inputs, budget=part(budget)),
        lambda budget: attack(planted, *inputs, budget=budget, shrink=False),
    )


def _short(expr: Any) -> str:
    from lazyrich.theory.closed_form import latex

    text = latex(expr)
    return f"${text}$" if len(text) < 160 else "a long expression"
