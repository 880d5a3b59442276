"""What the names of a formula stand for: known symbols, and those that it may bring along."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory import symbols

Symbol = sp.Symbol | MatrixSymbol

_GREEK = (
    "Α α alpha|Β β beta|Γ γ gamma|Δ δ delta|Ε ε epsilon|Ζ ζ zeta|Η η eta|Θ θ theta|Ι ι iota|"
    "Κ κ kappa|Λ λ lambda|Μ μ mu|Ν ν nu|Ξ ξ xi|Ο ο omicron|Π π pi|Ρ ρ rho|Σ σ sigma|Τ τ tau|"
    "Υ υ upsilon|Φ φ phi|Χ χ chi|Ψ ψ psi|Ω ω omega"
)
GREEK = {"ς": "sigma", "ϵ": "epsilon", "ϕ": "phi", "ϑ": "theta", "ϱ": "rho", "ƛ": "lambda"}
for _capital, _small, _name in map(str.split, _GREEK.split("|")):
    GREEK |= {_capital: _name.capitalize(), _small: _name}
_PLAIN = str.maketrans({**GREEK, **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))})
# Of Unicode's private use: they stand for means in a formula, and in no formula of a user.
PLACEHOLDERS = "".join(map(chr, range(0xE000, 0xE064)))
CONSTANTS = {"pi": sp.pi, "I": symbols.I}
_GREEK_NAMES = frozenset(GREEK.values()) - {"pi"} | {"lamda"}
OF_THEORY = {
    name: symbol
    for name, symbol in vars(symbols).items()
    if isinstance(symbol, sp.Symbol | MatrixSymbol) and name != "b"
}


def plain(word: str) -> str:
    """A word in ASCII letters: Greek letters by name, small digits as digits, w with a bar as wbar.

    >>> plain("β₁"), plain("w̄"), plain("x_{12}")
    ('beta_1', 'wbar', 'x_12')
    """
    word = word.replace("{", "").replace("}", "")
    word = re.sub("(?<=[^_₀-₉])(?=[₀-₉])", "_", word)
    return word.replace("w̄", "wbar").translate(_PLAIN)


def split(word: str, known: Iterable[str]) -> list[str] | None:
    """The word as a run of known names, as few as possible; None if it is no such run.

    Raises ``ValueError`` if there are two ways.

    >>> split("Mbeta", {"M", "beta"})
    ['M', 'beta']
    >>> split("abc", {"a", "ab", "bc", "c"})
    Traceback (most recent call last):
    ...
    ValueError: may be ab c or a bc: write spaces between the names
    """
    known = set(known)
    ways: list[list[list[str]]] = [[[]]] + [[] for _ in word]  # the shortest runs up to each place
    for end in range(1, len(word) + 1):
        runs = [
            [*run, word[start:end]]
            for start in range(end)
            if plain(word[start:end]) in known
            for run in ways[start]
        ]
        least = min(map(len, runs), default=0)
        ways[end] = [run for run in runs if len(run) == least][:2]
    if len(ways[-1]) > 1:
        one, other = (" ".join(run) for run in sorted(ways[-1], reverse=True))
        raise ValueError(f"may be {one} or {other}: write spaces between the names")
    return ways[-1][0] if ways[-1] else None


def nearest(name: str, known: Iterable[str], new: "New | None" = None) -> str:
    """What to say of an unknown name: the nearest known or possible one, or all known ones."""
    if name == "e":
        return "unknown name; write exp(...) for powers of Euler's number"
    known = sorted(known, key=lambda other: (other.lower(), other))
    everything = [*known, *sorted(new.in_runs if new else ())]
    longer = [other for other in everything if len(name) > 1 and other.startswith(name)]
    same = [other for other in everything if other.lower() == name.lower()]
    near = longer or same or difflib.get_close_matches(name, everything, n=1, cutoff=0.7)
    if index := re.fullmatch(r"([A-Za-z]+)(\d+)", name):
        near = ["_".join(index.groups())]
    hints = [
        f"did you mean {near[0]!r}?" if near else "",
        new.rule if new else "",
        f"Known: {', '.join(known)}" if known else "",
    ]
    return "; ".join(["unknown name", " ".join(filter(None, hints))]).removesuffix("; ")


class New:
    """The names that a formula may bring along, and what each may stand for.

    ``meanings(name)`` gives the symbols that an unknown name may be, likeliest first; ``in_runs``
    lists those that a run of letters may be split into though they never stand alone; ``rule`` says
    in a message what a new name may look like.
    """

    def __init__(
        self,
        meanings: Callable[[str], tuple[Symbol, ...]],
        in_runs: Iterable[str] = (),
        rule: str = "",
    ):
        self.meanings, self.in_runs, self.rule = meanings, frozenset(in_runs), rule

    def __call__(self, name: str) -> tuple[Symbol, ...]:
        """The symbols that the name may be; () if it is not allowed."""
        return self.meanings(name)


def _a_scalar(name: str) -> tuple[Symbol, ...]:
    return (scalar(name),) if _is_letter(name) else ()


def scalar(name: str) -> sp.Symbol:
    """The scalar of that name: the theory's own where it has one, else a real one."""
    known = OF_THEORY.get(name)
    return known if isinstance(known, sp.Symbol) else sp.Symbol(name, real=True)


def vector(name: str) -> MatrixSymbol:
    """The vector of that name, of shape (D, 1)."""
    return MatrixSymbol("x'" if name == "x_prime" else name, symbols.D, 1)


def matrix(name: str) -> MatrixSymbol:
    """The matrix of that name, of shape (D, D)."""
    return MatrixSymbol(name, symbols.D, symbols.D)


def _by_habit(name: str) -> tuple[Symbol, ...]:
    if name in OF_THEORY:
        return (OF_THEORY[name],)
    if not _is_letter(name):
        return ()
    base = name.split("_")[0]
    known = OF_THEORY.get(base)
    if known is not None:
        kind = scalar if isinstance(known, sp.Symbol) else vector if known.shape[1] == 1 else matrix
        return (kind(name),)
    if base in _GREEK_NAMES:
        return (matrix(name), scalar(name)) if base[0].isupper() else (scalar(name), vector(name))
    return (matrix(name),) if base.isupper() else (vector(name), scalar(name))


def _is_letter(name: str) -> bool:
    """A letter or a Greek letter, or a name of the theory, perhaps with an index.

    A letter with digits, u1, is one too, but x1 is not: that may be meant as x_1, an input, and
    D2 as 2D.
    """
    if name in CONSTANTS or name == "e":  # pi and I have a meaning, e too many
        return False
    if digits := re.fullmatch(r"([A-Za-z])\d+", name):
        return digits[1] not in "xwvhDNP"
    base, _, index = name.partition("_")
    whole = base in _GREEK_NAMES or base in OF_THEORY or re.fullmatch("[A-Za-z]", base)
    return bool(whole) and (re.fullmatch("[A-Za-z0-9]+", index) is not None or "_" not in name)


NONE = New(lambda name: ())  # noqa: ARG005
# A letter or a Greek letter, perhaps with an index, is a new real scalar.
_RULE = "A new name is a letter or a Greek letter, perhaps with an index."
scalars = New(_a_scalar, _GREEK_NAMES, _RULE)
# By the habits of papers: the theory's own names keep their kind (alpha a scalar, beta a vector,
# M a matrix), other capital letters are matrices, small and Greek letters vectors or scalars as
# their use requires. An index changes no kind.
conventional = New(
    _by_habit, {*_GREEK_NAMES, *OF_THEORY, *"ABCDEFGHJKLMNOPQRSUVWXYZabcuvwx"}, _RULE
)


def table(names: Mapping[str, Symbol] | Iterable[Symbol]) -> dict[str, Symbol]:
    """{name: symbol} of symbols, in the names of ``--at``."""
    if isinstance(names, Mapping):
        return dict(names)
    return {symbol.name.replace("'", "_prime"): symbol for symbol in names}
