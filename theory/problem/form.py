"""The closed forms of a described problem."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

import sympy as sp

from lazyrich.theory import generate
from lazyrich.theory.closed_form import ClosedForm
from lazyrich.theory.symbols import b


@dataclass(frozen=True, repr=False)
class ProblemForm(ClosedForm):
    """A closed form that accepts every symbol of its problem, also those that it does not need.

    One call then serves all activations and targets: the kernel of phi(h) = h takes ``sigma`` too.
    Where a vector of ``vanishing`` is 0 the form is 0, and the expression has no value.
    """

    accepted: frozenset[str] = frozenset()
    vanishing: tuple[str, ...] = ()
    direction: str | None = None

    @classmethod
    def of(
        cls,
        form: ClosedForm,
        accepted: frozenset[str],
        vanishing: tuple[str, ...] = (),
        direction: str | None = None,
    ) -> "ProblemForm":
        """Return the form, with the names that it accepts and the vectors with which it is 0.

        ``direction``: the vector whose square is b.
        """
        parts = {field.name: getattr(form, field.name) for field in fields(ClosedForm)}
        return cls(**parts, accepted=accepted, vanishing=vanishing, direction=direction)

    @property
    def _norm(self) -> str | None:
        named = self._named()
        return self.direction if named.get("b") == b and self.direction not in named else None

    def _at(self, values: Mapping[Any, Any]) -> ClosedForm:
        """The form, or zero where it vanishes."""
        given = {k if isinstance(k, str) else generate.python_name(k): v for k, v in values.items()}
        vectors = [_entries(given[name]) for name in self.vanishing if name in given]
        if not any(entries and all(e == 0 for e in entries) for entries in vectors):
            return self
        parts = {field.name: getattr(self, field.name) for field in fields(ClosedForm)}
        zero = {"expr": sp.S.Zero, "terms": dict.fromkeys(self.terms, sp.S.Zero)}
        return ClosedForm(**{**parts, **zero, "cancelled": self._named()})

    def _used(self, values: dict[Any, Any]) -> dict[Any, Any]:
        needed = {*self.arguments(), self._norm}
        return {k: v for k, v in values.items() if k in needed or k not in self.accepted}

    def evaluate(self, **values: Any) -> Any:
        """Return the value of ``expr`` (see ``ClosedForm.evaluate``)."""
        form, used = self._at(values), self._used(values)
        return form.evaluate(**used) if form is not self else super().evaluate(**used)

    def evaluate_terms(self, **values: Any) -> dict[str, Any]:
        """Return the value of each named part."""
        form, used = self._at(values), self._used(values)
        return form.evaluate_terms(**used) if form is not self else super().evaluate_terms(**used)

    def subs(self, point: Mapping[Any, Any] | None = None, /, **more: Any) -> ClosedForm:
        """Return the form at values for some of its symbols (see ``ClosedForm.subs``)."""
        values = {**(point or {}), **more}
        form, used = self._at(values), self._used(values)
        return form.subs(used) if form is not self else super().subs(used)

    def function(self, backend: str) -> Callable[..., Any]:
        """Return ``expr`` as a function of keyword arrays (see ``ClosedForm.function``)."""
        return self._lenient(self.expr, super().function(backend), backend)

    def functions(self, backend: str) -> dict[str, Callable[..., Any]]:
        """Return each named part as such a function."""
        return {
            name: self._lenient(self.terms[name], function, backend)
            for name, function in super().functions(backend).items()
        }

    def _lenient(self, part: Any, function: Callable[..., Any], backend: str) -> Callable[..., Any]:
        needed = generate.arguments(
            sp.Tuple(part) if not isinstance(part, tuple) else sp.Tuple(*part)
        )
        spare = {*self.accepted, *self.arguments()} - set(needed)

        def evaluate(**values: Any) -> Any:
            used = {k: v for k, v in values.items() if k not in spare}
            vectors = {n: _as_array(used[n], backend) for n in self.vanishing if n in used}
            zero = [(vector == 0).all(-1) for vector in vectors.values()]
            for name, is_zero in zip(vectors, zero, strict=True):
                used[name] = vectors[name] + is_zero[..., None]  # any other vector
            value = function(**used)
            for is_zero in zero:
                value = value * ~is_zero
            return value

        evaluate.__doc__ = function.__doc__
        return evaluate


def _entries(vector: Any) -> list:
    """The entries of a vector, as lists, arrays and SymPy columns have them."""
    given = vector.tolist() if hasattr(vector, "tolist") else vector
    rows = given if isinstance(given, list | tuple) else []
    return [entry for row in rows for entry in (row if isinstance(row, list | tuple) else [row])]


def _as_array(vector: Any, backend: str) -> Any:
    """The vector as an array with entries in the last dimension."""
    if hasattr(vector, "shape") and not isinstance(vector, sp.MatrixBase):
        return vector
    return import_module(backend).asarray([float(entry) for entry in _entries(vector)])


def instance(form: ClosedForm, **changes: Any) -> ClosedForm:
    """Return a closed form of a problem under another name, as one of the package's own."""
    parts = {field.name: getattr(form, field.name) for field in fields(ClosedForm)}
    return ClosedForm(**(parts | changes))
