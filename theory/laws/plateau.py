"""The early plateau at small epsilon: least squares of y on x, its exact mean over data sets.

For small epsilon the kernel's linear eigenvalue dwarfs the others, so the network first fits what a
linear function can and waits there. Not in the papers. For other targets: ``problem.plateau``.
"""

from dataclasses import replace

import sympy as sp

from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.laws.symbols import gamma
from lazyrich.theory.problem import Problem
from lazyrich.theory.problem import plateau as of_problem
from lazyrich.theory.symbols import D, P, b


def early_plateau() -> ClosedForm:
    """The mean test loss of least squares of y on x, the early plateau at small epsilon.

    b stands for |beta|^2. ``terms``: ``many_samples`` is ``expr`` for P >= D + 2,
    ``few_samples`` for P <= D - 2 (the interpolation of least norm), between them the mean is
    infinite; ``train`` is the mean train loss, 0 for P <= D; ``null`` the loss of predicting 0,
    which no linear function improves on.

    >>> early_plateau().evaluate(D=1, P=5, b=1), early_plateau().evaluate(D=10, P=10, b=10)
    (22/21, oo)
    """
    form = of_problem.early_plateau(Problem())
    null = form.terms["null"]
    losses = {name: of_problem.finite_case(form.terms[f"{name}_samples"]) for name in _SIDES}
    added = {name: loss - null for name, loss in losses.items()}
    limits = {
        name: sp.factor(sp.limit((power / (b / D) ** 2).subs(P, gamma * D), D, sp.oo))
        for name, power in (*added.items(), ("train", of_problem.finite_case(form.terms["train"])))
    }
    return replace(
        form,
        terms={name: term for name, term in form.terms.items() if name != "floor"},
        components={"limits": limits},
        steps=[
            ("Kernel at epsilon -> 0: its linear eigenvalue stays, the others vanish.", 1 / D),
            ("So w.x is fitted first; y has no linear part: the loss is this plus |w|^2/D.", null),
            *form.steps,
            (
                "What is added to the loss of predicting 0 at P = gamma D, D -> infinity, over "
                "(b/D)^2: with many, with few samples; and what is left on the samples.",
                tuple(limits.values()),
            ),
        ],
        assumptions=(
            "x ~ N(0, I/D), the mean over data sets. epsilon -> 0 at fixed alpha, at times between "
            "those of the linear and of the quadratic modes, any width; exact for least squares at "
            "every D and P but P = D - 1, D, D + 1, where the mean is infinite."
        ),
        source="derived here",
    )


_SIDES = ("many", "few")
