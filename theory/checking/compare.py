"""Whether two expressions are equal for every dimension, and how that is shown.

Each canonical trace or bilinear form becomes one plain symbol. As functions of matrices and vectors
of every size these are independent, so that two expressions are equal for every D exactly where
their plain forms are equal as functions of scalars.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy import MatrixSymbol, Trace
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory import words
from lazyrich.theory.words import ONE, Contraction, Polynomial, Reader

_DIGITS = 40
_TINY = sp.Rational(1, 10**25)
_MAX_SIMPLIFY = 300  # operations, above which SymPy's simplify may take minutes
CANONICAL = "both sides have the same canonical form"
SIMPLIFIED = "SymPy simplifies the difference to 0"


@dataclass(frozen=True)
class Decision:
    """Whether a difference vanishes: True, False, or None where that can't be told."""

    equal: bool | None
    how: str
    difference: Any  # given - right, with traces


class Plain(Reader):
    """Writes expressions in plain symbols, one for each canonical contraction."""

    def __init__(self, symmetric: Collection[MatrixSymbol] = ()):
        super().__init__(symmetric)
        self.meanings: dict[sp.Symbol, Contraction] = {}
        self._symbols: dict[Contraction, sp.Symbol] = {}

    def polynomial(self, expr: sp.Expr) -> Polynomial:
        """As ``Reader`` does; what is no polynomial is one coefficient in plain symbols."""
        try:
            return super().polynomial(expr)
        except ValueError:
            return {ONE: self.scalar(expr)}

    def scalar(self, expr: Any) -> sp.Expr:
        """The scalar in plain symbols. Raises ``ValueError`` for a matrix outside traces."""
        expr = sp.sympify(expr)
        if isinstance(expr, Trace):
            return self._plain(self._trace(expr.arg))
        if isinstance(expr, MatrixExpr):
            raise ValueError(f"{expr}: is a matrix, where a scalar is compared")
        if not expr.has(MatrixSymbol):
            return expr
        return expr.func(*map(self.scalar, expr.args))

    def table(self, matrix: MatrixExpr) -> dict[MatrixExpr, sp.Expr]:
        """The matrix as {product of symbols: plain coefficient}."""
        total: dict[MatrixExpr, sp.Expr] = {}
        for polynomial, word in self.matrix_terms(matrix):
            inner, outer = self._cut(word)
            key = words.word_matrix(outer, matrix.shape[0])
            total[key] = total.get(key, sp.S.Zero) + self._plain(polynomial) * inner
        return total

    def _cut(self, word: words.Word) -> tuple[sp.Expr, words.Word]:
        """The scalars in a word, as beta'w in beta beta'w, and the word without them."""
        inner, outer, opened = sp.S.One, [], None
        for letter in word:
            is_vector = letter.matrix.shape[1] == 1
            if is_vector and not letter.transposed and opened is not None:
                between = tuple(outer[opened + 1 :])
                item = words.contraction(
                    outer[opened].matrix, between, letter.matrix, self.symmetric
                )
                inner *= self._plain({((item, 1),): sp.S.One})
                outer, opened = outer[:opened], None
                continue
            if is_vector and letter.transposed:
                opened = len(outer)
            outer.append(letter)
        return inner, tuple(outer)

    def _plain(self, polynomial: Polynomial) -> sp.Expr:
        """Where inverses cancel in a contraction, what that leaves is read once more."""
        letters = {letter.matrix for m in polynomial for item, _ in m for letter in item.word}
        if any(isinstance(matrix, sp.Inverse) for matrix in letters):
            cancelled = words.to_sympy(polynomial)
            if isinstance(cancelled, sp.Expr):
                polynomial = super().polynomial(cancelled)
        return sp.Add(
            *(
                coefficient * sp.Mul(*(self._symbol(item) ** power for item, power in monomial))
                for monomial, coefficient in polynomial.items()
            )
        )

    def _symbol(self, item: Contraction) -> sp.Symbol:
        if item not in self._symbols:
            is_norm = item.left is not None and item.left == item.right and not item.word
            name = f"<{len(self._symbols)}>"
            symbol = sp.Symbol(name, positive=True) if is_norm else sp.Symbol(name, real=True)
            self._symbols[item] = symbol
            self.meanings[symbol] = item
        return self._symbols[item]

    def traces(self, plain: Any) -> Any:
        """An expression in plain symbols with its traces back."""
        back = {s: words.contraction_expr(item) for s, item in self.meanings.items()}
        return sp.sympify(plain).xreplace(back)


def decide(right: Any, given: Any, plain: Plain) -> Decision:
    """Whether ``given`` equals ``right`` for every dimension."""
    if isinstance(right, MatrixExpr):
        return _compare_matrices(right, given, plain)
    vanishes, how, difference = vanishing(plain.scalar(given) - plain.scalar(right))
    return Decision(vanishes, how, plain.traces(difference))


def _compare_matrices(right: MatrixExpr, given: MatrixExpr, plain: Plain) -> Decision:
    total = plain.table(given)
    for key, coefficient in plain.table(right).items():
        total[key] = total.get(key, sp.S.Zero) - coefficient
    results = {key: vanishing(coefficient) for key, coefficient in total.items()}
    left = [plain.traces(d) * key for key, (equal, _, d) in results.items() if not equal]
    verdicts = {equal for equal, _, _ in results.values()}
    equal = False if False in verdicts else None if None in verdicts else True
    hows = {how for _, how, _ in results.values()}
    difference = sp.MatAdd(sp.ZeroMatrix(*right.shape), *left).doit(deep=False)
    return Decision(equal, SIMPLIFIED if SIMPLIFIED in hows else CANONICAL, difference)


def vanishing(difference: sp.Expr) -> tuple[bool | None, str, sp.Expr]:
    """Whether a plain expression is 0, how that is shown, and the expression in short.

    A rational function is 0 exactly if its numerator is. For others True is proved by SymPy's
    rules; None is left to numbers.

    >>> t = sp.Symbol("t", real=True)
    >>> vanishing((t**2 - 1) / (t - 1) - t - 1)[:2]
    (True, 'both sides have the same canonical form')
    >>> vanishing(sp.sin(t) ** 2 + sp.cos(t) ** 2 - 1)[:2]
    (True, 'SymPy simplifies the difference to 0')
    """
    if difference.has(sp.binomial, sp.factorial):
        difference = sp.gammasimp(difference.rewrite(sp.gamma))
    difference = difference.replace(sp.acos, lambda cosine: sp.pi / 2 - sp.asin(cosine))
    numerator, denominator = sp.fraction(sp.together(difference))
    numerator = sp.expand(numerator)
    if numerator == 0:
        return True, CANONICAL, sp.S.Zero
    if is_rational(difference):
        small = numerator.count_ops() <= _MAX_SIMPLIFY
        return (
            False,
            CANONICAL,
            sp.factor(numerator) / sp.factor(denominator) if small else (numerator / denominator),
        )
    short = numerator / denominator
    if not _may_vanish(difference):
        return None, "", short
    if difference.count_ops() <= _MAX_SIMPLIFY:
        simple = sp.simplify(sp.expand_log(sp.powsimp(short)))
        if simple == 0:
            return True, SIMPLIFIED, sp.S.Zero
        return None, "", simple
    return None, "", short


def _may_vanish(difference: sp.Expr) -> bool:
    """False where the value at some point is not 0: no need to simplify then."""
    for place in range(2):
        symbols = sorted(difference.free_symbols, key=str)
        point = {s: sp.Rational(7 * i + 11 + 5 * place, 13 + i) for i, s in enumerate(symbols)}
        point |= {s: sp.Integer(2 * i + 5 + place) for i, s in enumerate(symbols) if s.is_integer}
        value = difference.subs(point).evalf(_DIGITS, maxn=200)
        if value.is_comparable and abs(value) > _TINY:
            return False
    return True


def is_rational(expr: sp.Expr) -> bool:
    """Whether an expression is a rational function of its symbols with rational numbers."""
    return all(atom.is_Symbol or atom.is_Rational for atom in expr.atoms()) and all(
        part.is_Add or part.is_Mul or (part.is_Pow and part.exp.is_Integer)
        for part in sp.preorder_traversal(expr)
        if part.args
    )
