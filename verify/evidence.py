"""Evidence: code attached to the claims of the record, and pieces that many claims share.

A function becomes evidence by a decorator, which names the claim, the level, what is shown, and
the arguments that plant an error (the control)::

    @evidence("eq-6", "measured", "the loss falls", control={"order": -1})
    def falls(budget: Budget, order: int = 1) -> str: ...

``attach`` attaches pieces that are made by a function, such as ``certificate``.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, TypeVar

import sympy as sp
from hypothesis.strategies import SearchStrategy

from lazyrich.verify.attack import attack
from lazyrich.verify.certificates import Certificate, certify, prove
from lazyrich.verify.ledger import Budget, Claim, Evidence

Make = Callable[[], Any]  # derivations wait until the evidence is asked for

Check = TypeVar("Check", bound=Callable[..., str])

_EVIDENCE: dict[str, list[Evidence]] = defaultdict(list)
_COUNTEREXAMPLES: dict[str, Callable[[], str]] = {}


def evidence(
    claim: str,
    level: str,
    sentence: str,
    *,
    control: Mapping[str, Any],
    part: str = "",
    own_setting: bool = False,
) -> Callable[[Check], Check]:
    """Attach a check to a claim.

    The check takes ``budget`` if it has an argument of that name; every other argument has a
    default. ``control`` holds the arguments with which the check must fail.
    """

    def attached(check: Check) -> Check:
        code = check.__code__
        with_budget = "budget" in signature(check).parameters

        def run(budget: Budget, **arguments: Any) -> str:
            return check(budget, **arguments) if with_budget else check(**arguments)

        piece = Evidence(
            level,
            sentence,
            run,
            lambda budget: run(budget, **control),
            part,
            own_setting,
            _place(code.co_filename, code.co_firstlineno),
            ", ".join(map(_planted, control, control.values())),
            with_budget,
        )
        _EVIDENCE[claim].append(piece)
        return check

    return attached


def _planted(name: str, value: Any) -> str:
    """An argument of a control as text; of a record what is not its default.

    >>> _planted("P", 60), _planted("law", len)
    ('P = 60', 'another law')
    """
    if is_dataclass(value):
        own = ((f.name, getattr(value, f.name), f.default) for f in fields(value))
        return f"{name} with {', '.join(_planted(n, v) for n, v, default in own if v != default)}"
    words = name.replace("_", " ")
    if isinstance(value, tuple) and all(isinstance(one, int | float | str) for one in value):
        return f"{words} = {', '.join(f'{one}' for one in value)}"
    return f"{words} = {value}" if isinstance(value, int | float | str) else f"another {words}"


def attach(claim: str, *pieces: Evidence, part: str = "", own_setting: bool = False) -> None:
    """Attach pieces of evidence to a claim, or to one part of it."""
    frame = sys._getframe(1)
    where = _place(frame.f_code.co_filename, frame.f_lineno)
    _EVIDENCE[claim] += [
        replace(
            piece,
            part=part or piece.part,
            own_setting=own_setting,
            where=where,
            draws=_takes_budget(piece.check),
        )
        for piece in pieces
    ]


def _takes_budget(check: Callable[..., str]) -> bool:
    """Whether the check uses the budget that it is given: ``lambda _: ...`` doesn't.

    >>> _takes_budget(lambda _: "5"), _takes_budget(lambda budget: f"{budget.seed}")
    (False, True)
    """
    return next(iter(signature(check).parameters)) != "_"


def counterexample(claim: str, compute: Callable[[], str]) -> None:
    """Attach the computation of a claim's counter-example."""
    if claim in _COUNTEREXAMPLES:
        raise ValueError(f"claim {claim!r} has a counter-example already")
    _COUNTEREXAMPLES[claim] = compute


def evidence_for(claim: Claim) -> tuple[Evidence, ...]:
    """The evidence attached to a claim; imports the code of the claim's source on first use."""
    _imported(claim.source)
    return tuple(_EVIDENCE.get(claim.name, ()))


def counterexample_for(claim: Claim) -> Callable[[], str] | None:
    """The computation of a claim's counter-example, or None."""
    _imported(claim.source)
    return _COUNTEREXAMPLES.get(claim.name)


def attached_names(sources: tuple[str, ...]) -> set[str]:
    """The names of all claims that the code of these sources has attached something to."""
    for source in sources:
        _imported(source)
    return {*_EVIDENCE, *_COUNTEREXAMPLES}


@cache
def _imported(source: str) -> None:
    if source:
        package = import_module(f"lazyrich.verify.{source}")
        for module in iter_modules(package.__path__):
            import_module(f"{package.__name__}.{module.name}")


def _place(file: str, line: int) -> str:
    """The file from the package's root and the line, as in verify/kumar/model.py:12."""
    path = Path(file).resolve()
    root = Path(__file__).resolve().parent.parent
    return f"{path.relative_to(root) if path.is_relative_to(root) else path.name}:{line}"


def equality(sentence: str, derived: Make, claimed: Make, planted: Make) -> Evidence:
    """For symbolic D the derived expression equals the claimed one, and not the planted one.

    All three make polynomials in traces and bilinear forms, or rational functions of scalars.
    """

    def check(expr: Make) -> str:
        difference = _difference(derived(), expr())
        assert difference == 0, f"differs from what is derived by {_in_part(difference)}"
        return f"both sides are {_short(derived())}"

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

    ``share``: fraction of the budget's examples, for expensive examples.
    """

    def searching(budget: Budget) -> Budget:
        return Budget(max(100, budget.examples), budget.seed)

    def part(budget: Budget) -> Budget:
        return Budget(max(1, round(share * budget.examples)), budget.seed)

    return Evidence(
        "attacked",
        sentence,
        lambda budget: attack(law, *inputs, budget=part(budget)),
        # It ends at the first input that it fails on, so that many cost little.
        lambda budget: attack(planted, *inputs, budget=searching(budget), shrink=False),
    )


def _in_part(expr: Any) -> str:
    """An expression, or how many terms it has and its shortest.

    >>> _in_part(sp.Symbol("x") + 1), _in_part(sp.Add(*sp.symbols("A1:99")))
    ('$x + 1$', '98 terms, one of them $A_{1}$')
    """
    from lazyrich.theory.closed_form import latex

    short, terms = _short(expr), sp.Add.make_args(sp.sympify(expr).doit())
    if short.startswith("$"):
        return short
    return f"{len(terms)} terms, one of them ${min(map(latex, terms), key=len)}$"


def _short(expr: Any) -> str:
    from lazyrich.theory.closed_form import latex

    text = latex(expr)
    return f"${text}$" if len(text) < 160 else "a long expression"
