"""Which problems are the paper's model with another curvature, and its closed forms for them."""

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import sympy as sp

from lazyrich.theory.activation import h
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.problem import neuron_flow
from lazyrich.theory.symbols import beta, epsilon, x
from lazyrich.theory.wick import dot, equal

if TYPE_CHECKING:
    from lazyrich.theory.problem.description import Problem

# {name: module} of what is derived for every polynomial of degree 2 at most: the moments close.
OF_MOMENTS = {
    "network-function": "network",
    "moment-step": "moment_dynamics",
    "moment-step-decay": "moment_dynamics",
    "moment-step-momentum": "momentum",
    "moment-flow": "moment_dynamics",
    "moment-flow-decay": "moment_dynamics",
}
# Closed forms of the model phi(h) = h + (epsilon/2) h^2, for any labels.
OF_NETWORK = ("moments-at-init", "ntk-at-finite-width", "lazy-coordinates", "scale-equivalence")
# Those that hold for its target (beta.x)^2/2 alone.
OF_PAPER = (
    "test-loss-centred",
    "test-loss-minimiser",
    "kernel-alignment",
    "centred-kernel-alignment",
    "kernel-alignment-at-init",
    "gram-alignment",
    "most-aligned-moment",
    "target-difficulty",
    "loss-variance-at-init",
    "momentum-modes",
    "population-step",
    "population-flow",
    "population-flow-scalar",
    "population-time",
    "lazy-rate",
    "lazy-curve-limit",
    "slaved-flow",
    "spike-growth",
)
NAMES = (*OF_MOMENTS, *OF_NETWORK, *OF_PAPER)


def curvature(problem: "Problem") -> sp.Expr | None:
    """Return the epsilon of an activation h + (epsilon/2) h^2; None for other activations."""
    activation = problem.activation
    if problem.readouts != "fixed" or activation.degree is None or activation.degree > 2:
        return None
    value = sp.diff(activation.expr, h, 2)
    same = sp.expand(activation.expr - h - value / 2 * h**2) == 0
    return value if same and value != 0 else None


def has_trained_moments(problem: "Problem") -> bool:
    """Whether both layers are trained and the moments of (v, w) close: phi of degree 1 at most."""
    return problem.readouts == "trained" and problem.activation.degree in (0, 1)


def obstacle(problem: "Problem", name: str) -> str | None:
    """Return why a closed form of the paper's model is none of this problem, or None."""
    if name == "moment-flow" and has_trained_moments(problem):
        return None
    if not problem.moments_close:
        return problem.why_open()
    if name in OF_MOMENTS:
        return None if problem.activation.degree else "a constant activation learns nothing"
    if curvature(problem) is None:
        return "derived for h + (epsilon/2) h^2, epsilon not 0"
    if not problem.inputs.isotropic:
        return "derived for inputs N(0, I/D)"
    if name in OF_PAPER and not equal(problem.target.expr, dot(beta, x) ** 2 / 2):
        return "derived for the target (beta.x)^2/2"
    return None


def closed_form(problem: "Problem", name: str) -> ClosedForm:
    """Return a closed form of the moments, or one of the paper's at this problem's curvature."""
    from lazyrich import theory

    if name == "moment-flow" and has_trained_moments(problem):
        return neuron_flow.trained_moment_flow(problem)
    if name in OF_MOMENTS:
        module = import_module(f"lazyrich.theory.{OF_MOMENTS[name]}")
        expr = problem.activation.expr
        form = getattr(module, name.replace("-", "_"))(lambda z: expr.subs(h, z))
        return replace(form, source=f"{form.source}; for {problem!r}")
    form, value = theory.closed_form(name), curvature(problem)
    if value == epsilon:
        return form
    parts = {
        part: _at(getattr(form, part), value) for part in ("expr", "terms", "components", "steps")
    }
    return replace(form, **parts, source=f"{form.source}; for {problem!r}")


def _at(part: Any, value: Any) -> Any:
    """The part with its curvature put in."""
    if isinstance(part, sp.Basic):
        return part.subs(epsilon, value)
    if isinstance(part, dict):
        return {key: _at(item, value) for key, item in part.items()}
    if isinstance(part, tuple | list):
        return type(part)(_at(item, value) for item in part)
    return part
