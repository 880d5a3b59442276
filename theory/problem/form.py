"""The closed forms of a described problem."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import sympy as sp

from lazyrich.theory import generate
from lazyrich.theory.closed_form import ClosedForm


@dataclass(frozen=True)
class ProblemForm(ClosedForm):
    """A closed form that accepts every symbol of its problem, also those that it does not need.

    One call then serves all activations and targets: the kernel of phi(h) = h takes ``sigma`` too.
    """

    accepted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, form: ClosedForm, accepted: frozenset[str]) -> "ProblemForm":
        """Return the form, with the names that it accepts."""
        parts = {field.name: getattr(form, field.name) for field in fields(ClosedForm)}
        return cls(**parts, accepted=accepted)

    def _used(self, values: dict[Any, Any]) -> dict[Any, Any]:
        needed = self.arguments()
        return {k: v for k, v in values.items() if k in needed or k not in self.accepted}

    def evaluate(self, **values: Any) -> Any:
        """Return the value of ``expr`` (see ``ClosedForm.evaluate``)."""
        return super().evaluate(**self._used(values))

    def evaluate_terms(self, **values: Any) -> dict[str, Any]:
        """Return the value of each named part."""
        return super().evaluate_terms(**self._used(values))

    def subs(self, point: Mapping[Any, Any] | None = None, /, **more: Any) -> ClosedForm:
        """Return the form at values for some of its symbols (see ``ClosedForm.subs``)."""
        return super().subs(self._used({**(point or {}), **more}))

    def function(self, backend: str) -> Callable[..., Any]:
        """Return ``expr`` as a function of keyword arrays (see ``ClosedForm.function``)."""
        return self._lenient(self.expr, super().function(backend))

    def functions(self, backend: str) -> dict[str, Callable[..., Any]]:
        """Return each named part as such a function."""
        return {
            name: self._lenient(self.terms[name], function)
            for name, function in super().functions(backend).items()
        }

    def _lenient(self, part: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        needed = generate.arguments(
            sp.Tuple(part) if not isinstance(part, tuple) else sp.Tuple(*part)
        )
        spare = {*self.accepted, *self.arguments()} - set(needed)

        def evaluate(**values: Any) -> Any:
            return function(**{k: v for k, v in values.items() if k not in spare})

        evaluate.__doc__ = function.__doc__
        return evaluate


def instance(form: ClosedForm, **changes: Any) -> ClosedForm:
    """Return a closed form of a problem under another name, as one of the package's own."""
    parts = {field.name: getattr(form, field.name) for field in fields(ClosedForm)}
    return ClosedForm(**(parts | changes))
