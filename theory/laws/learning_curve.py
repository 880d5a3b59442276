"""The lazy learning curve: mean test loss of kernel regression with the initial kernel.

``problem.lazy`` derives it for every problem; here is that of the paper, by eigenspace.
"""

from typing import Any

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.mercer import by_name
from lazyrich.theory.network import model
from lazyrich.theory.problem.form import instance
from lazyrich.theory.problem.lazy import kappa
from lazyrich.theory.symbols import b, beta
from lazyrich.theory.wick import dot

__all__ = ["kappa", "lazy_learning_curve"]


def lazy_learning_curve() -> ClosedForm:
    """The mean test loss of fully lazy training, in the effective ridge kappa.

    ``terms``: ``samples``, the P at which kappa is the effective ridge; ``linear``, ``radial``,
    ``traceless``, the loss on each eigenspace; ``exact_from``, the P from which on the loss is 0.
    b stands for |beta|^2. ``simulate.laws.lazy`` solves for kappa.
    """
    form = model().closed_form("lazy-learning-curve")
    whole = {name: form.terms[name] for name in ("samples", "exact_from")}
    terms = {"samples": whole["samples"], **by_name(form.terms), "exact_from": whole["exact_from"]}
    return instance(
        form,
        expr=_in_b(form.expr),
        terms={name: _in_b(term) for name, term in terms.items()},
        steps=[(sentence, _in_b(part)) for sentence, part in form.steps],
        assumptions=(
            "Infinite width, centred predictor, trained to its end, epsilon != 0, P < "
            "lazy-sample-size. An approximation: the kernel's functions stand in as Gaussian "
            "features; docs/laws.md has its measured error."
        ),
        source="spectrum derived here; equations by Bordelon et al. 2020, Simon et al. 2021",
    )


def _in_b(part: Any) -> Any:
    """The part with b for |beta|^2."""
    if isinstance(part, tuple):
        return tuple(map(_in_b, part))
    return sp.sympify(part).subs(dot(beta, beta), b)
