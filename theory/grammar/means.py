r"""The sign of a mean, around a formula or in one: E[...], \mathbb{E}_x[...], <...>_x, ⟨...⟩.

And of a variance, Var[...], and of a covariance, Cov[..., ...].

>>> without_sign("E_x[(x.x)^2]"), without_sign("<x.x>_x"), without_sign("x.x")
(('(x.x)^2', ('x',)), ('x.x', ('x',)), ('x.x', None))
>>> conditioned("(w.x)^2 | w"), conditioned("|x| |w|")
(('(w.x)^2 ', ('w',)), ('|x| |w|', ()))
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from lazyrich.support.arguments import shown
from lazyrich.theory.grammar import names as naming
from lazyrich.theory.grammar.errors import FormulaError
from lazyrich.theory.grammar.names import PLACEHOLDERS, New, Symbol, plain
from lazyrich.theory.grammar.reader import read
from lazyrich.theory.grammar.syntax import MAX_BRACKETS, MAX_CHARACTERS

_SIZE = r"(?:\\(?:left|right|[bB]igg?[lr]?)\s*)?"
_FONT = r"\\(?:mathbb|mathbf|mathrm|mathsf|operatorname|text|bm|boldsymbol)"
_SIGN = rf"(?:E|𝔼|\\E|{_FONT}\s*(?:E|\{{\s*(?:{_FONT}\s*\{{?\s*)?E\s*\}}?\s*\}}))(?![A-Za-z])"
_NAMES = r"(?:_\s*(?:(?P<name>\w)|\{(?P<names>[^{}]*(?:\{\w+\}[^{}]*)*)\}|(?P<word>\w+)))?"
_BRACKETS = re.compile(
    rf"\s*{_SIGN}\s*{_NAMES}\s*(?:\\!)?{_SIZE}\[(?P<inside>.*?){_SIZE}\]\s*", re.DOTALL
)
_LEFT, _RIGHT = r"(?:⟨|<|\\langle(?![A-Za-z]))", r"(?:⟩|>|\\rangle(?![A-Za-z]))"
_ANGLES = re.compile(rf"\s*{_SIZE}{_LEFT}(?P<inside>.*?){_SIZE}{_RIGHT}\s*{_NAMES}\s*", re.DOTALL)
_VARIANCE = (
    rf"(?P<variance>(?:Var|\\Var|{_FONT}\s*(?:\{{\s*Var\s*\}}|\{{\s*V\s*\}}|V))(?![A-Za-z]))"
)
_COVARIANCE = rf"(?P<covariance>(?:Cov|\\Cov|{_FONT}\s*\{{\s*Cov\s*\}})(?![A-Za-z]))"
_STARTS = re.compile(
    rf"(?<![\w\\])(?:{_VARIANCE}|{_COVARIANCE}|{_SIGN})\s*{_NAMES}\s*(?:\\!)?{_SIZE}(?P<opening>\[|\(|\\\{{)"
    rf"|{_SIZE}{_LEFT}"
)
# What opens and what closes a mean, by its opening bracket.
_BOUNDS = {
    "[": (re.compile(r"\["), re.compile(r"\]"), re.compile(rf"{_SIZE}\]")),
    "(": (re.compile(r"\("), re.compile(r"\)"), re.compile(rf"{_SIZE}\)")),
    r"\{": (re.compile(r"\\\{"), re.compile(r"\\\}"), re.compile(rf"{_SIZE}\\\}}")),
    None: (re.compile(_LEFT), re.compile(_RIGHT), re.compile(rf"{_SIZE}{_RIGHT}\s*{_NAMES}")),
}
_GIVEN = re.compile(r"(?P<inside>.*)(?:\||\\mid(?![A-Za-z]))(?P<names>[^|()\[\]]*)", re.DOTALL)
_NAME_LIST = re.compile(r"\s*\\?\w+'?(?:_\{?\w+\}?)?(?:\s*,\s*\\?\w+'?(?:_\{?\w+\}?)?)*\s*")
# The mean of an integrand over the vectors that its sign names, those after a bar held fixed.
Average = Callable[[sp.Expr, tuple[str, ...] | None, tuple[str, ...]], sp.Expr]
_OPENING, _CLOSING = re.compile(rf"\[|{_LEFT}"), re.compile(rf"\]|{_RIGHT}")


def without_sign(text: str) -> tuple[str, tuple[str, ...] | None]:
    """Return what a sign of a mean around the whole text has inside, and the vectors it names.

    The text as it is where there is no such sign, and None where no vector is named. Raises
    ``ValueError`` for an index that is no list of names.
    """
    stripped = text.strip().strip("$").strip()
    for pattern in (_BRACKETS, _ANGLES):
        found = pattern.fullmatch(stripped)
        if found is None or not _is_whole(found["inside"]):
            continue
        if pattern is _ANGLES and _comma(found["inside"]) is not None:
            continue  # a scalar product
        index = found["name"] or found["names"] or found["word"]
        return found["inside"], None if index is None else _named(text, index)
    return text, None


def conditioned(inside: str) -> tuple[str, tuple[str, ...]]:
    """Return what a mean is taken of, and the vectors that it is conditional on: E[... | w]."""
    found = _GIVEN.fullmatch(inside)
    if found is None or len(re.findall(r"\|", found["inside"])) % 2:
        return inside, ()
    if not _NAME_LIST.fullmatch(found["names"]):
        return inside, ()
    return found["inside"], _named(inside, found["names"])


def _is_whole(inside: str) -> bool:
    """Whether the brackets inside close each other, so that the outer ones belong together."""
    depths = [0, *_depths(inside)]
    return min(depths) == depths[-1] == 0


def _comma(inside: str) -> int | None:
    """The place of the first comma outside of brackets: <a, b> is a scalar product."""
    round_ones = 0
    for place, depth in enumerate(_depths(inside)):
        round_ones += (inside[place] in "({") - (inside[place] in ")}")
        is_comma = inside[place] == "," and inside[place - 1 : place] != "\\"
        if is_comma and depth == round_ones == 0:
            return place
    return None


def _depths(inside: str) -> list[int]:
    """How many brackets are open after each character."""
    steps = (
        bool(_OPENING.match(inside, i)) - bool(_CLOSING.match(inside, i))
        for i in range(len(inside))
    )
    return list(itertools.accumulate(steps))


def _named(text: str, index: str) -> tuple[str, ...]:
    names = [re.sub(r"[\s{}\\]", "", part) for part in index.split(",")]
    names = ["x_prime" if name in ("x'", "x^prime") else plain(name) for name in names]
    if not all(re.fullmatch(r"[A-Za-z]\w*", name) for name in names):
        raise ValueError(
            f"expr = {text}: the index of a mean names its vectors, as in E_x[...] or E_{{x, w}}"
            "[...]; their laws are options of their own (covariance, --cov)"
        )
    return tuple(names)


@dataclass(frozen=True)
class Mean:
    """A mean in a text: its place, that of what is inside, its vectors if named.

    ``kind``: "mean", "variance", or "covariance", which has a comma inside.
    """

    start: int
    end: int
    inside: tuple[int, int]
    over: tuple[str, ...] | None
    kind: str = "mean"


def means(text: str) -> Iterator[Mean]:
    """The means in a text from left to right, without those inside of another.

    >>> text = "E[(b.x)^4] - <(b.x)^2>_x^2 + \\\\langle b, a \\\\rangle"
    >>> [(text[mean.start : mean.end], mean.over) for mean in means(text)]
    [('E[(b.x)^4]', None), ('<(b.x)^2>_x', ('x',))]
    """
    place = 0
    while found := _STARTS.search(text, place):
        place = found.end()
        opening = found["opening"]
        if opening == "(" and found[0].startswith("E"):
            continue  # E may be a matrix
        last = _last(text, place, opening)
        if last is None:
            return  # never closed: the reader will say so
        if opening is None and _comma(text[place : last.start()]) is not None:
            continue
        named = (last if opening is None else found).groupdict()
        index = named["name"] or named["names"] or named["word"]
        over = None if index is None else _named(text, index)
        kind = next((k for k in ("variance", "covariance") if found[k] is not None), "mean")
        yield Mean(found.start(), last.end(), (place, last.start()), over, kind)
        place = last.end()


def is_mean(text: Any) -> bool:
    """Return whether a text has the sign of a mean in it, which no name has.

    >>> is_mean("E[(b.x)^2]"), is_mean("Var[b.x]/2"), is_mean("test-loss")
    (True, True, False)
    """
    return isinstance(text, str) and _STARTS.search(text[:MAX_CHARACTERS]) is not None


def count(text: Any) -> int:
    """How many means are in a text, those inside of others too; 0 for what is no text."""
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        return 0
    return sum(1 + count(text[slice(*mean.inside)]) for mean in means(text))


def _last(text: str, place: int, opening: str | None) -> re.Match[str] | None:
    """Where the bracket that was opened before a place is closed, or None."""
    depth, (begins, ends, whole_end) = 0, _BOUNDS[opening]
    for i in range(place, len(text)):
        if depth == 0 and (end := whole_end.match(text, i)):
            return end
        depth += bool(begins.match(text, i)) - bool(ends.match(text, i))
    return None


def read_with_means(
    text: str,
    names: Mapping[str, Any] | Iterable[Symbol],
    average: Average,
    *,
    new: New,
    kind: str = "scalar",
    what: str = "formula",
    depth: int = 0,
) -> tuple[Any, Any]:
    """Read a formula as ``read`` does, with means in it; ``average(integrand, over, given)`` takes
    them.

    Returns the formula, and what it is where each mean is a symbol that stands for it.
    """
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        value = read(text, names, new=new, kind=kind, what=what)  # says what is wrong
        return value, value
    if depth > MAX_BRACKETS:
        raise ValueError(f"{what} = {shown(text)}: more than {MAX_BRACKETS} means in each other")
    found = [] if set(PLACEHOLDERS) & set(text) else list(means(text))
    if len(found) > len(PLACEHOLDERS):
        raise ValueError(f"{what} = {shown(text)}: more than {len(PLACEHOLDERS)} means")
    known, values = naming.table(names), {}
    for mean, place in zip(found, PLACEHOLDERS, strict=False):
        parts, fixed = _inside(text, mean, known, average, new, what, depth)
        known = naming.table(sp.Tuple(*parts).atoms(sp.Symbol, sp.MatrixSymbol)) | known
        values[sp.Symbol(place, real=True)] = _taken(mean.kind, parts, average, mean.over, fixed)
    names = known | naming.table(list(values))
    try:
        outside = read(_hidden(text, found), names, new=new, kind=kind, what=what)
    except FormulaError as error:
        raise _shown_again(error, [text[mean.start : mean.end] for mean in found]) from None
    return (outside.xreplace(values) if values else outside), outside


def _taken(
    kind: str,
    parts: list[sp.Expr],
    average: Average,
    over: tuple[str, ...] | None,
    fixed: tuple[str, ...],
) -> sp.Expr:
    """The mean, variance or covariance of what is inside its brackets."""
    if kind == "mean":
        return average(parts[0], over, fixed)
    product, means = average(parts[0] * parts[-1], over, fixed), []
    for part in (parts[0], parts[-1]):
        names = naming.table(part.atoms(sp.MatrixSymbol))
        held = tuple(name for name in fixed if name in names)
        means.append(average(part, over, held) if part.atoms(sp.MatrixSymbol) else part)
    return product - means[0] * means[1]


def _inside(
    text: str, mean: Mean, known: Mapping, average: Average, new: New, what: str, depth: int
) -> tuple[list[sp.Expr], tuple[str, ...]]:
    """What a mean is taken of, and what is given; an error marks its place in the whole text."""
    start, end = mean.inside
    inside, fixed = conditioned(text[start:end])
    options = {"new": new, "what": what, "depth": depth + 1}
    cuts = [-1, len(inside)]
    if mean.kind == "covariance":
        if (comma := _comma(inside)) is None:
            length = mean.end - mean.start
            raise FormulaError(text, mean.start, length, "expected Cov[a, b]", what)
        cuts.insert(1, comma)
    parts = []
    for before, after in itertools.pairwise(cuts):
        try:
            found, _ = read_with_means(inside[before + 1 : after], known, average, **options)
        except FormulaError as error:
            place = start + before + 1 + error.position
            raise FormulaError(text, place, error.length, error.reason, what) from None
        known = naming.table(found.atoms(sp.Symbol, sp.MatrixSymbol)) | dict(known)
        parts.append(found)
    return parts, fixed


def _hidden(text: str, found: list[Mean]) -> str:
    """The text with a symbol in place of each mean."""
    places = [0, *(place for mean in found for place in (mean.start, mean.end)), len(text)]
    outside = (text[a:b] for a, b in zip(places[::2], places[1::2], strict=True))
    signs = (f"({symbol})" for symbol in PLACEHOLDERS[: len(found)])
    return "".join(part for pair in zip(outside, [*signs, ""], strict=True) for part in pair)


def _shown_again(error: FormulaError, signs: list[str]) -> FormulaError:
    """The error in the text that has its means back."""

    def shown_again(text: str) -> str:
        for symbol, sign in zip(PLACEHOLDERS, signs, strict=False):
            text = text.replace(f"({symbol})", sign).replace(symbol, sign)
        return text

    start = len(shown_again(error.text[: error.position]))
    end = len(shown_again(error.text[: error.position + error.length]))
    return FormulaError(
        shown_again(error.text), start, end - start, shown_again(error.reason), error.what
    )
