"""Closed forms with the numbers of the run put in, typeset as MathML, which browsers draw offline.

The formulas are derived by ``theory``; nothing here knows one.
"""

from functools import cache, lru_cache
from typing import Any

from sympy.core.cache import clear_cache

from lazyrich.explore.chart import number
from lazyrich.simulate import Run
from lazyrich.simulate.activations import Curved
from lazyrich.theory import ClosedForm, Problem, closed_form
from lazyrich.theory.printing import latex

# Of activations whose formulas are kept: one for each text that a user types.
KEPT = 32
MISSING = "latex2mathml is not installed: pip install latex2mathml"


def mathml(text: str) -> str:
    """Return LaTeX as a MathML element. Raises ``ValueError`` without the extra ``explore``.

    >>> mathml("x^2").startswith("<math") and "<msup>" in mathml("x^2")
    True
    """
    try:
        from latex2mathml.converter import convert
    except ModuleNotFoundError:
        raise ValueError(MISSING) from None
    return convert(text, display="block")


def of_two_layer(phi: Any, settings: dict[str, Any], run: Run | None) -> list[dict[str, Any]]:
    """Return the formulas of this network, each with ``title``, ``rows`` and a ``source``."""
    found = []
    if isinstance(phi, Curved) and run is not None:
        found.append(_loss(settings, phi.epsilon, run))
    found.append(_eigenvalues(settings))
    if isinstance(phi, Curved) and settings["centred"] and not settings["noise"]:
        found.append(_plateau(settings["D"], settings["P"]))
    clear_cache()  # SymPy keeps every expression with numbers that it has met
    return [each for each in found if each]


def _loss(settings: dict[str, Any], epsilon: float, run: Run) -> dict[str, Any]:
    """Return the population loss, its terms with their values at the end of the run."""
    name = "test-loss-centred" if settings["centred"] else "test-loss"
    form, last = closed_form(name), run.history.isel(step=-1)
    point = {"D": settings["D"], "alpha": settings["alpha"], "epsilon": epsilon}
    put_in = form.subs(**point)
    rows = [
        _row(_name(term), symbols, put_in.terms[term], f"{float(last[term]):.4g}")
        for term, symbols in _symbols(name).items()
    ]
    steps = int(last.step)
    title = f"The population loss is the sum of three terms; their values at step {steps:,}"
    return {"title": title, "rows": rows, "source": name}


def _eigenvalues(settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return the eigenvalues of the first kernel, at infinite width."""
    problem = described(settings["activation"])
    try:
        form: ClosedForm = problem.closed_form("ntk-eigenvalues")
    except ValueError:  # none in closed form: erf and relu
        return None
    values = {name: settings[name] for name in problem.activation.symbols}
    point = {"D": settings["D"], "sigma": 1.0, **values}
    at = {symbol: point[name] for name, symbol in form.symbols.items()}
    rows = []
    for term, left in _symbols_of_eigenvalues(settings["activation"]).items():
        value, count = (float(each.subs(at)) for each in form.terms[term])
        rows.append(
            {
                "label": _name(term),
                "symbols": left,
                "numbers": mathml(f"{_decimal(value)}, \\quad {count:.0f}\\ \\text{{times}}"),
                "value": f"{value:.4g}",
            }
        )
    title = "Eigenvalues of the first kernel, and how often each occurs (infinite width)"
    return {"title": title, "rows": rows, "source": "ntk-eigenvalues"} if rows else None


@lru_cache(KEPT)
def described(activation: str) -> Problem:
    """Return the problem of an activation; it keeps what was derived for it.

    >>> described("h + h^3") is described("h + h^3")
    True
    """
    return Problem(activation=activation)


@lru_cache(KEPT)
def _symbols_of_eigenvalues(activation: str) -> dict[str, str]:
    """Return each eigenvalue and its multiplicity in symbols, typeset."""
    found = {}
    for term, part in described(activation).closed_form("ntk-eigenvalues").terms.items():
        if isinstance(part[0], tuple) or not hasattr(part[0], "subs"):
            continue  # several eigenvalues on one space: roots that fill lines
        left = f"{latex(part[0])}, \\quad {latex(part[1])}\\ \\text{{times}}"
        found[term] = mathml(left)
    return found


@cache
def _symbols(name: str) -> dict[str, str]:
    """Return the terms of a closed form in symbols, typeset."""
    return {term: _typeset(part) for term, part in closed_form(name).terms.items()}


def _plateau(D: int, P: int) -> dict[str, Any]:
    """Return the early plateau, its mean over data sets."""
    form = closed_form("early-plateau")
    term = form.terms["many_samples" if P > D else "few_samples"]
    sizes = {form.symbols["D"]: D, form.symbols["P"]: P}
    piece = next(part for part, holds in term.args if holds.subs(sizes) == True)  # noqa: E712
    value = number(piece.subs(sizes).subs(form.symbols["b"], float(D)))
    text = "infinite" if value is None else f"{value:.4g}"
    rows = [_row("plateau", _typeset(piece), piece.subs(sizes).evalf(4), text)]
    title = "The early plateau of the test loss: a mean over data sets; b = |β|² = D"
    return {"title": title, "rows": rows, "source": "early-plateau"}


def _row(label: str, symbols: str, put_in: Any, value: str) -> dict[str, str]:
    return {
        "label": label,
        "symbols": symbols,
        "numbers": _typeset(put_in),
        "value": value,
    }


def _typeset(part: Any) -> str:
    return mathml(latex(part))


def _decimal(value: float) -> str:
    """A number in LaTeX.

    >>> _decimal(0.025), _decimal(3e-7)
    ('0.025', '3 \\\\times 10^{-7}')
    """
    text, _, power = f"{value:.4g}".partition("e")
    return f"{text} \\times 10^{{{int(power)}}}" if power else text


def _name(term: str) -> str:
    return term.replace("harmonics_", "harmonics of degree ").replace("_", " ")
