"""Scalar contractions of vectors and matrices: canonical words, and SymPy on either side of them.

A polynomial in traces ``Tr(A B ...)`` and bilinear forms ``a^T A B b`` is kept as a dictionary
from monomials to coefficients. A *letter* is a matrix with a transposition flag, a *word* a tuple
of letters, and a contraction is a trace of a word or a word between two vectors. Each contraction
has one canonical spelling (the least among its rotations and reversals), so that two equal
polynomials in independent contractions have equal dictionaries.

In SymPy's language both kinds are ``Trace``: a^T A b is the trace of a 1 x 1 matrix.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import cache, reduce
from itertools import pairwise
from typing import NamedTuple

import sympy as sp
from sympy import MatrixSymbol, Trace
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import shown
from lazyrich.theory.symbols import SymmetricMatrixSymbol
from lazyrich.theory.values import number


class Letter(NamedTuple):
    """A matrix, or its transpose, as one factor of a word (vectors never stand inside words)."""

    matrix: MatrixExpr
    transposed: bool

    def turned(self, symmetric: "Symmetric") -> "Letter":
        """The transposed letter; symmetric matrices stay as they are."""
        if is_symmetric(self.matrix, symmetric):
            return self
        return self._replace(transposed=not self.transposed)


Word = tuple[Letter, ...]
Symmetric = frozenset[MatrixSymbol]  # general symbols that a caller declares to be symmetric


def is_symmetric(matrix: MatrixExpr, symmetric: Symmetric = frozenset()) -> bool:
    """Whether a letter's matrix equals its transpose: by its class, or declared by the caller."""
    if isinstance(matrix, sp.Inverse):
        return is_symmetric(matrix.arg, symmetric)
    return isinstance(matrix, SymmetricMatrixSymbol | sp.DiagMatrix) or matrix in symmetric


def declared(symmetric: Collection[MatrixSymbol]) -> Symmetric:
    """The matrices that a caller declares to be symmetric, checked.

    >>> declared("M")
    Traceback (most recent call last):
    ...
    ValueError: symmetric = 'M': must be a collection of square MatrixSymbols, such as (M,)
    """
    is_collection = isinstance(symmetric, list | tuple | set | frozenset)
    if not is_collection or not all(_is_square_symbol(matrix) for matrix in symmetric):
        raise ValueError(
            f"symmetric = {shown(symmetric)}: must be a collection of square "
            "MatrixSymbols, such as (M,)"
        )
    return frozenset(symmetric)


def _is_square_symbol(matrix: object) -> bool:
    return isinstance(matrix, MatrixSymbol) and matrix.shape[0] == matrix.shape[1]


class Contraction(NamedTuple):
    """``left^T word right``; a trace of ``word`` where both ends are None."""

    left: MatrixSymbol | None
    word: Word
    right: MatrixSymbol | None

    def key(self) -> tuple:
        """Sort key by spelling."""
        is_trace = self.left is None or self.right is None
        ends = () if is_trace else (spelling(self.left), spelling(self.right))
        return (ends, len(self.word), word_spelling(self.word))


Monomial = tuple[tuple[Contraction, int], ...]
Polynomial = dict[Monomial, sp.Expr]
ONE: Monomial = ()


@cache
def spelling(matrix: MatrixExpr) -> tuple[str, str]:
    """Sort key of a vector or matrix: its name, then what tells symbols of one name apart."""
    return str(matrix), sp.srepr(matrix)


def word_spelling(word: Word) -> tuple:
    """Sort key of a word."""
    return tuple((*spelling(letter.matrix), letter.transposed) for letter in word)


def reverse(word: Word, symmetric: Symmetric) -> Word:
    """The word of the transposed matrix."""
    return tuple(letter.turned(symmetric) for letter in reversed(word))


def least(word: Word, symmetric: Symmetric) -> Word:
    """The canonical spelling of x^T word x: a word or its reversal, whichever is less."""
    return min(word, reverse(word, symmetric), key=word_spelling)


def contraction(
    left: MatrixSymbol | None, word: Word, right: MatrixSymbol | None, symmetric: Symmetric
) -> Contraction:
    """The canonical spelling of a trace (no ends) or of a bilinear form."""
    backward = reverse(word, symmetric)
    if left is None or right is None:
        spellings = [w[i:] + w[:i] for w in (word, backward) for i in range(max(len(w), 1))]
        return Contraction(None, min(spellings, key=word_spelling), None)
    both = (Contraction(left, word, right), Contraction(right, backward, left))
    return min(both, key=Contraction.key)


def multiply(a: Monomial, b: Monomial) -> Monomial:
    """The product of two monomials."""
    if not a or not b:
        return a or b
    powers = Counter(dict(a))
    for factor, power in b:
        powers[factor] += power
    return tuple(sorted(powers.items(), key=lambda item: item[0].key()))


def add_to(total: Polynomial, term: Polynomial, factor: sp.Expr = sp.S.One) -> None:
    """Add ``factor * term`` to ``total`` in place."""
    for monomial, coefficient in term.items():
        total[monomial] = total.get(monomial, sp.S.Zero) + factor * coefficient


def product(a: Polynomial, b: Polynomial) -> Polynomial:
    """The product of two polynomials."""
    result: Polynomial = {}
    for monomial, coefficient in a.items():
        shifted = {multiply(monomial, other): value for other, value in b.items()}
        add_to(result, shifted, coefficient)
    return result


def power(a: Polynomial, exponent: int) -> Polynomial:
    """``a`` to a non-negative integer power."""
    return reduce(product, [a] * exponent, {ONE: sp.S.One})


def tidy(polynomial: Polynomial) -> Polynomial:
    """Coefficients expanded, zeros dropped: the canonical dictionary."""
    expanded = {m: sp.expand(c) if c.has(sp.Add) else c for m, c in polynomial.items()}
    return {m: c for m, c in expanded.items() if c != 0}


def scalar(expr: object) -> sp.Expr:
    """A number or an expression of SymPy. Raises ``ValueError`` for anything else, such as text.

    >>> scalar("Trace(M)")
    Traceback (most recent call last):
    ...
    ValueError: expr = 'Trace(M)': must be an expression of SymPy; theory.expectation reads text
    """
    found = None if isinstance(expr, str) else number(expr)
    if isinstance(expr, MatrixExpr):
        found = expr  # refused with its reason where it is read
    if found is None:
        raise ValueError(
            f"expr = {shown(expr)}: must be an expression of SymPy; theory.expectation reads text"
        )
    return found


class Reader:
    """Turns SymPy expressions into polynomials in canonical contractions.

    ``symmetric`` lists general symbols that are to be read as symmetric; those of the class
    ``SymmetricMatrixSymbol`` always are.
    """

    def __init__(self, symmetric: Collection[MatrixSymbol] = ()):
        self.symmetric = declared(symmetric)

    def polynomial(self, expr: sp.Expr) -> Polynomial:
        """Read a scalar: any polynomial in ``Trace`` objects with coefficients free of matrices.

        Raises ``ValueError`` where a matrix stands anywhere else, and for text.
        """
        return self._polynomial(scalar(expr))

    def _polynomial(self, expr: sp.Expr) -> Polynomial:
        if isinstance(expr, MatrixExpr):
            raise ValueError(f"expr = {expr}: matrices must stand inside Trace(...)")
        if isinstance(expr, Trace):
            return self._trace(expr.arg)
        if not expr.has(Trace):
            if expr.has(MatrixSymbol):
                raise ValueError(f"expr = {expr}: matrices must stand inside Trace(...)")
            return {ONE: expr}
        if isinstance(expr, sp.Add):
            total: Polynomial = {}
            for term in expr.args:
                add_to(total, self._polynomial(term))
            return total
        if isinstance(expr, sp.Mul):
            return reduce(product, map(self._polynomial, expr.args))
        if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0:
            return power(self._polynomial(expr.base), int(expr.exp))
        raise ValueError(f"expr = {expr}: must be a polynomial in traces and bilinear forms")

    def matrix_terms(self, matrix: MatrixExpr) -> Iterator[tuple[Polynomial, Word]]:
        """The matrix as a sum of (scalar, word of letters; vectors are letters here)."""
        if isinstance(matrix, sp.MatAdd):
            for term in matrix.args:
                yield from self.matrix_terms(term)
        elif isinstance(matrix, sp.MatMul):
            scalar, factors = matrix.as_coeff_matrices()
            _check_shapes(matrix, factors)
            terms: Iterable[tuple[Polynomial, Word]] = [(self._polynomial(scalar), ())]
            for factor in factors:
                terms = [
                    (product(c, d), word + more)
                    for c, word in terms
                    for d, more in self.matrix_terms(factor)
                ]
            yield from terms
        elif isinstance(matrix, sp.Transpose):
            for scalar, word in self.matrix_terms(matrix.arg):
                yield scalar, reverse(word, self.symmetric)
        elif isinstance(matrix, sp.Inverse) and isinstance(matrix.arg, sp.Transpose):
            yield from self.matrix_terms(sp.Transpose(sp.Inverse(matrix.arg.arg)))
        elif _is_power(matrix):
            base = matrix.base if matrix.exp > 0 else sp.Inverse(matrix.base)
            factors = [base] * abs(int(matrix.exp))
            yield from self.matrix_terms(sp.MatMul(*factors, evaluate=False))
        elif isinstance(matrix, sp.ZeroMatrix):
            return
        elif isinstance(matrix, sp.Identity):
            yield {ONE: sp.S.One}, ()
        elif isinstance(matrix, MatrixSymbol | sp.Inverse | sp.DiagMatrix):
            if matrix.shape[0] == 1:
                raise ValueError(
                    f"{matrix} has shape {matrix.shape}: vectors are columns, with a symbolic "
                    "number of entries or more than one"
                )
            yield {ONE: sp.S.One}, (Letter(matrix, False),)
        else:
            raise ValueError(
                f"matrix = {matrix}: must be built from symbols by +, *, transpose, power"
            )

    def canonical_matrix(self, matrix: MatrixExpr) -> MatrixExpr:
        """The matrix as a sum of words, equal words collected, with canonical coefficients."""
        total: dict[Word, Polynomial] = {}
        for scalar, word in self.matrix_terms(matrix):
            add_to(total.setdefault(word, {}), scalar)
        terms = [
            to_sympy(scalar) * word_matrix(word, matrix.shape[0]) for word, scalar in total.items()
        ]
        return sp.MatAdd(sp.ZeroMatrix(*matrix.shape), *terms).doit(deep=False)

    def _trace(self, matrix: MatrixExpr) -> Polynomial:
        total: Polynomial = {}
        for scalar, word in self.matrix_terms(matrix):
            add_to(total, product(scalar, self._close(word, matrix.shape[0])))
        return total

    def _close(self, word: Word, dimension: sp.Expr) -> Polynomial:
        """The trace of a word; vectors in it cut it into bilinear forms."""
        starts = [i for i, letter in enumerate(word) if _is_row(letter)]
        if not starts:
            return (
                {_single(None, word, None, self.symmetric): sp.S.One} if word else {ONE: dimension}
            )
        rotated = word[starts[0] :] + word[: starts[0]]
        monomial, left, inside = ONE, None, []
        for letter in rotated:
            if _is_row(letter):
                left, inside = letter.matrix, []
            elif letter.matrix.shape[1] == 1:
                pair = _single(left, tuple(inside), letter.matrix, self.symmetric)
                monomial = multiply(monomial, pair)
            else:
                inside.append(letter)
        return {monomial: sp.S.One}


def _is_power(matrix: MatrixExpr) -> bool:
    """Whether a matrix is a power with a whole exponent; an inverse is a letter instead."""
    is_power = isinstance(matrix, sp.MatPow) and not isinstance(matrix, sp.Inverse)
    return is_power and matrix.exp.is_Integer and matrix.exp != 0


def _check_shapes(matrix: MatrixExpr, factors: list[MatrixExpr]) -> None:
    """SymPy multiplies matrices of different symbolic sizes without complaint."""
    for left, right in pairwise(factors):
        if left.shape[1] != right.shape[0]:
            raise ValueError(f"matrix = {matrix}: {left} {left.shape} times {right} {right.shape}")


def _is_row(letter: Letter) -> bool:
    return letter.transposed and letter.matrix.shape[1] == 1


def _single(left, word: Word, right, symmetric: Symmetric) -> Monomial:
    return ((contraction(left, word, right, symmetric), 1),)


def word_matrix(word: Word, dimension: sp.Expr) -> MatrixExpr:
    """The word as a SymPy matrix; the identity if it is empty."""
    factors = [letter.matrix.T if letter.transposed else letter.matrix for letter in word]
    return sp.MatMul(*factors).doit(deep=False) if factors else sp.Identity(dimension)


def contraction_expr(item: Contraction) -> sp.Expr:
    """The contraction as a SymPy ``Trace``; a number where inverses cancel in it."""
    if item.left is None or item.right is None:
        matrix = word_matrix(item.word, item.word[0].matrix.shape[0])
        return matrix.rows if matrix.is_Identity else Trace(matrix)
    if not item.word:
        return Trace(item.left.T * item.right)
    inside = word_matrix(item.word, item.left.shape[0])
    return Trace(sp.MatMul(item.left.T, inside, item.right).doit(deep=False))


def to_sympy(polynomial: Polynomial) -> sp.Expr:
    """The polynomial as a SymPy sum with factored coefficients."""
    terms = []
    for monomial, coefficient in tidy(polynomial).items():
        factors = [contraction_expr(item) ** exponent for item, exponent in monomial]
        is_sum = coefficient.has(sp.Add)
        terms.append(sp.Mul(sp.factor(coefficient) if is_sum else coefficient, *factors))
    return sp.Add(*terms)
