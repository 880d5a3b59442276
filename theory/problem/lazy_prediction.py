"""What lazy training of your own network reaches, on average over data sets, before any training.

The numbers come from the kernel's spectrum and the target's power (``theory.Problem``). Nothing is
said of rich training, for which there are laws only for phi = h + (epsilon/2) h^2.
"""

import json
import math
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import sympy as sp

from lazyrich.support.arguments import not_negative, positive_integer, shown
from lazyrich.theory.activation import missing
from lazyrich.theory.problem.description import RELU_ON_A_LINE, Problem
from lazyrich.theory.problem.eigenspaces import (
    Spectrum,
    highest_for,
    learning_curve,
    unresolved_from,
)
from lazyrich.theory.problem.floor import lazy_floor
from lazyrich.theory.problem.norms import Norms, differs, without_room
from lazyrich.theory.problem.spectrum import initial_rank
from lazyrich.theory.problem.target_values import Axis, TargetValues, to_float
from lazyrich.theory.problem.target_values import powers as exact_powers
from lazyrich.theory.symbols import D as dimension
from lazyrich.theory.values import to_give

_DIVERGES = "diverges: the variance is infinite, with as many samples as functions"
_OUT_OF_RANGE = "the mean square of the labels is beyond the range of floating point"
_UNRESOLVED = "not known: the kernel's other eigenvalues are too small for floating point"
# Where the mean loss on real inputs may be far from the lazy curve; the numbers are from the docs.
FAR = (
    "the samples differ too much in norm, or are too few. In 103 such problems the mean loss on "
    "drawn inputs was 0.57 to 2e13 times this one, and off by a factor above 1.5 in 73."
)
_MOST = 10.0  # times the loss of predicting nothing: a mean above it is that of rare data sets
_EVERY_DEGREE = "the kernel has functions of every degree"


@dataclass(frozen=True)
class LazyPrediction:
    """Mean test losses of fully lazy training on inputs N(0, I/D); they include the noise.

    ``nothing`` is the loss of predicting nothing, ``plateau`` what least squares of y on x leaves
    with many samples, ``curve`` the mean loss by number of samples (empty where it is not known,
    inf where the mean diverges), ``floor`` that with infinitely many. ``exact_from`` is the number
    of functions that the kernel has, or None, and then ``reason`` says why; with as many samples a
    ``floor`` of 0 is reached. Noise, and what of the target lies outside of the kernel, leave more
    at every finite number: the loss falls to ``floor`` as 1/P. ``directions`` says which directions
    of the target were chosen here. ``unreliable`` are the sizes at which the mean loss on real
    inputs may be far from that of the curve, and ``with_norms`` gives a better guess there, where
    one is known. ``unknown_from`` is the number of samples from which on there is no curve, as the
    kernel's eigenvalues are too small to be told from 0.
    ``print(prediction)`` shows it; ``json()`` is text.
    """

    problem: str
    D: int
    P: int
    nothing: float
    plateau: float
    curve: dict[int, float]
    floor: float
    exact_from: int | None
    reason: str = ""
    directions: str = ""
    unknown_from: int | None = None
    unreliable: tuple[int, ...] = ()
    with_norms: dict[int, float] = field(default_factory=dict)

    def json(self) -> str:
        """Return all of it as JSON, with null for a mean that diverges."""
        curve = {P: loss if math.isfinite(loss) else None for P, loss in self.curve.items()}
        return json.dumps(asdict(self) | {"curve": curve}, indent=2)

    def __str__(self) -> str:
        lines = [
            f"{self.problem}, D = {self.D}; lazy training, x ~ N(0, I/D), means over data sets",
            *([f"  {self.directions}"] if self.directions else []),
            f"  loss of predicting nothing:               {self.nothing:.4g}",
            f"  plateau, linear least squares, many data: {self.plateau:.4g}",
        ]
        if not self.curve and self.unknown_from is None:
            lines.append("  lazy test loss:                           not known: see below")
        for P, loss in self.curve.items():
            shown = f"{loss:.4g}" if math.isfinite(loss) else _DIVERGES
            lines.append(f"  {f'lazy test loss at P = {P}:':42s}{shown}")
        if self.unknown_from is not None and self.unknown_from <= 2 * self.P:
            lines.append(f"  {f'from P = {self.unknown_from} on:':42s}{_UNRESOLVED}")
        lines.append(f"  lazy floor, infinitely many samples:      {self.floor:.4g}")
        lines.append(f"  samples that reach the floor:             {self._enough()}")
        return "\n".join([*lines, *self._how_good()])

    def _how_good(self) -> list[str]:
        """How good the numbers are: exact, approximate, or no guide."""
        if not self.curve:
            return ["The numbers are exact."]
        lines = [
            "The lazy test losses are approximate (Gaussian features); the other numbers are exact."
        ]
        if self.unreliable:
            sizes = ", ".join(map(str, self.unreliable))
            lines.append(f"Not reliable at P = {sizes}: {FAR}")
        if self.with_norms:
            known = (f"{loss:.4g} at P = {size}" for size, loss in self.with_norms.items())
            lines.append(f"Better there, as the norms are drawn too: {', '.join(known)}.")
        return lines

    def _enough(self) -> str:
        """The number of samples that reach the floor, in words."""
        if self.exact_from is None:
            return f"no finite number: {self.reason}"
        if self.exact_from == 0:
            return "none: the kernel is 0"
        functions = f"{self.exact_from}, the number of the kernel's functions"
        if self.floor == 0:
            return functions
        return f"no finite number: above {functions}, the loss falls to the floor as 1/P"


def predict_lazy(
    problem: Problem, D: int, P: int, *, noise: float = 0.0, **symbols: Any
) -> LazyPrediction:
    """Return what lazy training of ``problem`` reaches with P samples in D dimensions.

    ``symbols`` are the values of the symbols of activation and target, and of ``sigma``
    (``sigma_w`` and ``sigma_v`` with trained readouts), 1 by default. Directions of the target
    without a value are sqrt(D) along axes of their own: their squares are D, and they are
    orthogonal. Raises ``ValueError`` for a missing or unknown symbol, and for bad sizes.

    >>> found = predict_lazy(Problem("h + c*h^3", "(beta.x)^2/2"), D=4, P=10, c=0.1)
    >>> found.nothing, found.floor, found.exact_from          # an odd kernel learns no even target
    (0.75, 0.75, 24)
    """
    D, P, noise = positive_integer("D", D), positive_integer("P", P), not_negative("noise", noise)
    if not math.isfinite(noise * noise) or (noise and not noise * noise):
        raise ValueError(f"noise = {noise:g}: {_OUT_OF_RANGE}")
    scales = ("sigma",) if problem.readouts == "fixed" else ("sigma_w", "sigma_v")
    values: dict[str, Any] = {**dict.fromkeys(scales, 1.0), **symbols}
    drawn = _directions(problem, D, values)
    values |= drawn
    for name, symbol in problem.target.symbols.items():
        if name not in values:
            raise ValueError(_without_value(problem, name, symbol))
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is refused below
        spectrum = problem.spectrum(D=D, highest=highest_for(problem), **values)
    powers = _powers(problem, TargetValues(D, values), drawn)
    nothing = sum(powers.values()) + noise**2
    relu = problem.activation.kind == "relu"
    on_a_line = relu and D == 1
    unknown_from = None if on_a_line else unresolved_from(spectrum, noise)
    sizes = [] if on_a_line else sorted({max(1, P // 4), max(1, P // 2), P, 2 * P})
    sizes = [size for size in sizes if unknown_from is None or size < unknown_from]
    losses = learning_curve(spectrum, sizes, noise=noise) if sizes else []
    curve = dict(zip(sizes, map(float, losses), strict=True))
    unreliable, with_norms = _on_inputs(problem, spectrum, values, curve, nothing, noise)
    exact_from, reason = None, RELU_ON_A_LINE if on_a_line else ""
    if problem.activation.degree is not None:
        own = problem.activation.symbols
        point = {symbol: sp.Rational(str(float(values[n]))) for n, symbol in own.items()}
        exact_from = int(initial_rank(problem, {dimension: D, **point}))
    elif not spectrum.spaces:
        exact_from = 0
    elif not on_a_line:
        reason = _EVERY_DEGREE
    return LazyPrediction(
        problem=f"phi = {problem.activation.text}, y = {problem.target.text}",
        D=D,
        P=P,
        nothing=nothing,
        plateau=sum(power for n, power in powers.items() if n != 1) + noise**2,
        curve=curve,
        floor=lazy_floor(problem, spectrum, values) + noise**2,
        exact_from=exact_from,
        reason=reason,
        directions=_said(drawn, D),
        unknown_from=unknown_from,
        unreliable=unreliable,
        with_norms=with_norms,
    )


def _on_inputs(
    problem: Problem,
    spectrum: Spectrum,
    values: dict[str, Any],
    curve: dict[int, float],
    nothing: float,
    noise: float,
) -> tuple[tuple[int, ...], dict[int, float]]:
    """The sizes at which the curve is no guide, and the losses with norms there that are one."""
    judged = {size: loss for size, loss in curve.items() if 0 < loss < math.inf}
    if not spectrum.spaces or not judged:
        return (), {}
    norms = Norms(problem, spectrum, values)
    found = {
        size: math.nan if without_room(spectrum, size) else norms.loss(size, noise)
        for size in judged
    }
    unreliable = tuple(size for size, loss in judged.items() if differs(found[size], loss))
    return unreliable, {n: found[n] for n in unreliable if found[n] < _MOST * nothing}


def _powers(problem: Problem, target: TargetValues, drawn: dict[str, Any]) -> dict[int, float]:
    """The power by Hermite degree. Raises ``ValueError`` where one is too large or too small."""
    exact = exact_powers(problem, target)
    powers = {n: to_float(power) for n, power in exact.items()}
    vanishes = any(power != 0 and powers[n] < sys.float_info.min for n, power in exact.items())
    if vanishes or not math.isfinite(sum(powers.values())):
        of_target = [name for name in problem.target.symbols if name not in drawn]
        given = ", ".join(f"{name} = {shown(target.values[name])}" for name in of_target)
        raise ValueError(f"{given or problem.target.text}: {_OUT_OF_RANGE}")
    return powers


def _directions(problem: Problem, D: int, values: dict[str, Any]) -> dict[str, Axis]:
    """Directions for those of the target that have no value: sqrt(D) along free axes."""
    names = [name for name in problem.target.directions if name not in values]
    others = [name for name in problem.target.symbols if _is_array(problem, name)]
    given = [name for name in others if name not in names]
    if names and given and D > 1:
        raise ValueError(
            f"target = {problem.target.text}: {names[0]} has no value, and the loss depends on its "
            f"angle to {given[0]}: give {names[0]} one as well, such as {_example(names[0], D)}"
        )
    if len(names) > D:
        raise ValueError(
            f"target = {problem.target.text}: {len(names)} directions can't be orthogonal at "
            f"D = {D}: give them values, such as {_example(names[0], D)}"
        )
    return {name: Axis(number) for number, name in enumerate(names)}


def _is_array(problem: Problem, name: str) -> bool:
    return bool(getattr(problem.target.symbols[name], "shape", ()))


def _said(drawn: dict[str, Any], D: int) -> str:
    """What was chosen for the directions; nothing of a single one, whose axis does not matter."""
    if not drawn:
        return ""
    first = ", ".join(f"|{name}|^2 = {D}" for name in drawn)
    return first + (", orthogonal" if len(drawn) > 1 else "") + " (by default)"


def _example(name: str, D: int) -> str:
    if D > 4:
        return f"{name}=FILE.npy"
    return f"{name}=[{','.join(['1', *['0'] * (D - 1)])}]"


def _without_value(problem: Problem, name: str, symbol: Any) -> str:
    if not getattr(symbol, "shape", ()):
        return missing(name, symbol, f"the target needs values for {name}")
    return (
        f"target = {problem.target.text}: the matrix {name} has no value: give "
        f"{to_give(name, symbol)}"
    )
