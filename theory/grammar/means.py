r"""The sign of a mean around a formula: E[...], \mathbb{E}_x[...], <...>_x, \langle ... \rangle.

>>> without_sign("E_x[(x.x)^2]"), without_sign("<x.x>_x"), without_sign("x.x")
(('(x.x)^2', ('x',)), ('x.x', ('x',)), ('x.x', None))
"""

import re
from itertools import accumulate

from lazyrich.theory.grammar.names import plain

_SIZE = r"(?:\\(?:left|right|[bB]igg?[lr]?)\s*)?"
_FONT = r"\\(?:mathbb|mathbf|mathrm|mathsf|operatorname|text|bm|boldsymbol)"
_SIGN = rf"(?:E|𝔼|\\E|{_FONT}\s*(?:E|\{{\s*(?:{_FONT}\s*\{{?\s*)?E\s*\}}?\s*\}}))(?![A-Za-z])"
_NAMES = r"(?:_\s*(?:(?P<name>\w)|\{(?P<names>[^{}]*(?:\{\w+\}[^{}]*)*)\}|(?P<word>\w+)))?"
_BRACKETS = re.compile(
    rf"\s*{_SIGN}\s*{_NAMES}\s*(?:\\!)?{_SIZE}\[(?P<inside>.*?){_SIZE}\]\s*", re.DOTALL
)
_LEFT, _RIGHT = r"(?:⟨|<|\\langle(?![A-Za-z]))", r"(?:⟩|>|\\rangle(?![A-Za-z]))"
_ANGLES = re.compile(rf"\s*{_SIZE}{_LEFT}(?P<inside>.*?){_SIZE}{_RIGHT}\s*{_NAMES}\s*", re.DOTALL)
_OPENING, _CLOSING = re.compile(rf"\[|{_LEFT}"), re.compile(rf"\]|{_RIGHT}")


def without_sign(text: str) -> tuple[str, tuple[str, ...] | None]:
    """Return what a sign of a mean around the whole text has inside, and the vectors it names.

    The text as it is where there is no such sign, and None where no vector is named. Raises
    ``ValueError`` for an index that is no list of names.
    """
    stripped = text.strip().strip("$").strip()
    for pattern in (_BRACKETS, _ANGLES):
        found = pattern.fullmatch(stripped)
        if found is None or not _is_whole(found["inside"]) or _is_product(pattern, found["inside"]):
            continue
        index = found["name"] or found["names"] or found["word"]
        return found["inside"], None if index is None else _named(text, index)
    return text, None


def _is_whole(inside: str) -> bool:
    """Whether the brackets inside close each other, so that the outer ones belong together."""
    depths = [0, *_depths(inside)]
    return min(depths) == depths[-1] == 0


def _is_product(pattern: re.Pattern[str], inside: str) -> bool:
    """Whether the brackets are those of a scalar product <a, b>."""
    round_ones = 0
    for place, depth in enumerate(_depths(inside)):
        round_ones += (inside[place] in "({") - (inside[place] in ")}")
        is_comma = inside[place] == "," and inside[place - 1 : place] != "\\"
        if is_comma and depth == round_ones == 0:
            return pattern is _ANGLES
    return False


def _depths(inside: str) -> list[int]:
    """How many brackets are open after each character."""
    steps = (
        bool(_OPENING.match(inside, i)) - bool(_CLOSING.match(inside, i))
        for i in range(len(inside))
    )
    return list(accumulate(steps))


def _named(text: str, index: str) -> tuple[str, ...]:
    names = [re.sub(r"[\s{}\\]", "", part) for part in index.split(",")]
    names = ["x_prime" if name in ("x'", "x^prime") else plain(name) for name in names]
    if not all(re.fullmatch(r"[A-Za-z]\w*", name) for name in names):
        raise ValueError(
            f"expr = {text}: the index of a mean names its vectors, as in E_x[...] or E_{{x, w}}"
            "[...]; their laws are options of their own (covariance, --cov)"
        )
    return tuple(names)
