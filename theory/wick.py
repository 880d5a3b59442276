"""Expectations over Gaussian vectors, for symbolic dimension, by Wick's (Isserlis') theorem.

The integrand is a polynomial in linear forms a^T x, quadratic forms x^T A x and bilinear forms
x^T A x'. Wick pairings are summed by Gaussian integration by parts (Stein's lemma),
E[x_i g(x)] = sum_j C_ij E[d_j g(x)]: each application contracts one pair, and equal partial
contractions are summed once, which turns (2n-1)!! pairings into the few symmetry classes of them.

>>> from lazyrich.theory.symbols import D, M, beta, isotropic, x
>>> expectation(form(x, M, x), isotropic(x))
Trace(M)/D
>>> expectation(dot(beta, x) ** 4, isotropic(x))
3*Trace(beta.T*beta)**2/D**2
"""

from collections.abc import Callable, Collection
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import sympy as sp
from sympy import MatrixSymbol, Trace
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.support.arguments import shown
from lazyrich.support.patience import checked_progress
from lazyrich.theory import words
from lazyrich.theory.symbols import Gaussian
from lazyrich.theory.words import ONE, Contraction, Polynomial, Reader, Word

Report = Callable[[float, float], None]
P = ParamSpec("P")
R = TypeVar("R")
Vector = tuple[Word, MatrixSymbol]  # the vector (word) a, for a deterministic end a


def _in_one_line(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with one clear line for an expression that is nested too deeply."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except RecursionError:
            raise ValueError("the expression is nested too deeply to be read") from None

    return guarded


def dot(a: MatrixExpr, b: MatrixExpr) -> sp.Expr:
    """The scalar product a^T b of two column vectors, as SymPy's ``Trace`` of a 1 x 1 matrix."""
    return Trace(a.T * b)


def form(a: MatrixExpr, matrix: MatrixExpr, b: MatrixExpr) -> sp.Expr:
    """The bilinear form a^T A b, as SymPy's ``Trace`` of a 1 x 1 matrix."""
    return Trace(a.T * matrix * b)


@_in_one_line
def canonical(expr: sp.Expr, symmetric: Collection[MatrixSymbol] = ()) -> sp.Expr:
    """The same polynomial in traces and bilinear forms, expanded and canonically spelt.

    Two expressions that are equal for every dimension have the same canonical form.

    >>> from lazyrich.theory.symbols import M, beta
    >>> canonical(Trace(beta * beta.T * M) - form(beta, M, beta))
    0
    """
    reader = Reader(symmetric)
    return _written(reader.polynomial(expr), reader)


@_in_one_line
def canonical_matrix(matrix: MatrixExpr, symmetric: Collection[MatrixSymbol] = ()) -> MatrixExpr:
    """The same matrix (or vector) as a sum of words with canonical scalar coefficients.

    >>> from lazyrich.theory.symbols import I, M
    >>> canonical_matrix((I + M) * (I - M).T)
    I - M**2
    """
    return Reader(symmetric).canonical_matrix(matrix)


@_in_one_line
def equal(a: sp.Expr, b: sp.Expr, symmetric: Collection[MatrixSymbol] = ()) -> bool:
    """Whether two polynomials in traces and bilinear forms are equal for every dimension."""
    return canonical(words.scalar(a) - words.scalar(b), symmetric) == 0


@_in_one_line
def expectation(
    expr: sp.Expr,
    *laws: Gaussian,
    symmetric: Collection[MatrixSymbol] = (),
    progress: Report | None = None,
) -> sp.Expr:
    """The mean of ``expr`` over independent Gaussian vectors.

    ``expr`` is a polynomial in traces and bilinear forms of symbols of any shape that fits. Vectors
    without a law stay as they are, so one argument of a kernel can be integrated out alone.
    Matrices are general unless declared: those of ``theory.symbols`` that are symmetric are
    ``SymmetricMatrixSymbol``; ``symmetric`` declares general symbols to be so too.
    ``progress(done, total)`` is called along the way, for each law anew.
    Raises ``ValueError`` if ``expr`` is no such polynomial, or a covariance is not symmetric.

    >>> from lazyrich.theory.symbols import D, A, isotropic, x, x_prime
    >>> expectation(dot(x, x_prime) ** 2 * form(x, A, x), isotropic(x))
    Trace(x'.T*x')*Trace(A)/D**2 + 2*Trace(x'.T*A*x')/D**2
    """
    checked_progress(progress)
    reader = Reader(symmetric)
    polynomial = reader.polynomial(expr)
    _check_laws(laws, reader)
    for law in laws:
        polynomial = words.tidy(_Pairings(law, reader, progress).integrate(polynomial))
    return _written(polynomial, reader)


def _written(polynomial: Polynomial, reader: Reader) -> sp.Expr:
    """In SymPy's language, where inverses cancel: what that leaves is collected once more."""
    expr = words.to_sympy(polynomial)
    letters = (letter for monomial in polynomial for item, _ in monomial for letter in item.word)
    if any(isinstance(letter.matrix, sp.Inverse) for letter in letters):
        expr = words.to_sympy(reader.polynomial(expr))
    return expr


@_in_one_line
def gradient(
    expr: sp.Expr, symbol: MatrixSymbol, symmetric: Collection[MatrixSymbol] = ()
) -> MatrixExpr:
    """The gradient G of a scalar in a vector or a matrix: d expr = Tr(G^T d symbol).

    In a symmetric matrix G is the symmetric one. Shape: that of ``symbol``. Raises ``ValueError``
    if ``expr`` is no polynomial in ``symbol``.

    >>> from lazyrich.theory.symbols import M, beta
    >>> gradient(form(beta, M, beta), M)
    beta*beta.T
    """
    reader = Reader(symmetric)
    if not isinstance(symbol, MatrixSymbol):
        raise ValueError(f"symbol = {shown(symbol)}: must be a vector or matrix, a MatrixSymbol")
    polynomial = words.tidy(reader.polynomial(expr))
    _check_not_hidden(symbol, polynomial)
    terms = [
        words.to_sympy({_without(monomial, item): coefficient * exponent}) * partial
        for monomial, coefficient in polynomial.items()
        for item, exponent in monomial
        for partial in _partials(item, symbol, reader.symmetric)
    ]
    return reader.canonical_matrix(sp.MatAdd(sp.ZeroMatrix(*symbol.shape), *terms))


def _without(monomial: words.Monomial, item: Contraction) -> words.Monomial:
    return tuple((c, n - (c == item)) for c, n in monomial if n - (c == item))


def _partials(
    item: Contraction, symbol: MatrixSymbol, symmetric: words.Symmetric
) -> list[MatrixExpr]:
    """The terms of the gradient of one contraction, one for each place where ``symbol`` stands."""
    size = symbol.shape[0]
    if symbol.shape[1] == 1:
        found = []
        if item.left == symbol:
            found.append(words.word_matrix(item.word, size) * item.right)
        if item.right == symbol:
            backward = words.reverse(item.word, symmetric)
            found.append(words.word_matrix(backward, size) * item.left)
        return found
    found = []
    for i, letter in enumerate(item.word):
        if letter.matrix != symbol:
            continue
        before = words.word_matrix(item.word[:i], size)
        after = words.word_matrix(item.word[i + 1 :], size)
        ends = sp.Identity(size) if item.left is None else item.right * item.left.T
        partial = after * ends * before  # the contraction is Tr(letter * partial)
        if words.is_symmetric(symbol, symmetric):
            partial = (partial + partial.T) / 2
        elif not letter.transposed:
            partial = partial.T
        found.append(partial)
    return found


class _Pairings:
    """Integrates one Gaussian vector out of polynomials."""

    def __init__(self, law: Gaussian, reader: Reader, progress: Report | None = None):
        self.progress = progress or (lambda done, total: None)  # noqa: ARG005
        self.x = law.vector
        self.symmetric = reader.symmetric
        self.covariance = list(reader.matrix_terms(law.covariance))
        self.dimension = law.vector.shape[0]
        self.moment = cache(self._moment)  # the symmetry classes: one entry for each multiset

    def integrate(self, polynomial: Polynomial) -> Polynomial:
        """The expectation of a polynomial over x."""
        _check_not_hidden(self.x, polynomial)
        total: Polynomial = {}
        for done, (monomial, coefficient) in enumerate(polynomial.items()):
            linear: list[Vector] = []
            quadratic: list[Word] = []
            rest = []
            for item, exponent in monomial:
                if self.x not in (item.left, item.right):
                    rest.append((item, exponent))
                elif item.left == item.right:
                    quadratic += [item.word] * exponent
                else:
                    linear += [self._vector(item)] * exponent
            factors = _sorted_vectors(linear), _sorted_words(quadratic)
            self.step = (done, len(polynomial), len(linear) + len(quadratic))
            moment = self.moment(*factors)
            words.add_to(total, words.product({tuple(rest): coefficient}, moment))
        return total

    def _report(self, done: int, linear: tuple, quadratic: tuple) -> None:
        """Progress after each first contraction of a monomial: they take about as long each."""
        monomial, monomials, factors = self.step
        if len(linear) + len(quadratic) == factors:
            most = len(self.covariance) * (len(set(linear)) + 2 * len(set(quadratic)))
            self.progress(monomial + min(done / most, 1), monomials)

    def _vector(self, item: Contraction) -> Vector:
        """The v of the linear form x^T v."""
        if item.left == self.x:
            return item.word, item.right  # type: ignore[return-value]
        return words.reverse(item.word, self.symmetric), item.left  # type: ignore[return-value]

    def _moment(self, linear: tuple[Vector, ...], quadratic: tuple[Word, ...]) -> Polynomial:
        """E[prod (v.x) prod (x^T Q x)] by integration by parts on the first factor."""
        if len(linear) % 2:
            return {}
        if not linear and not quadratic:
            return {ONE: sp.S.One}
        total: Polynomial = {}
        contract = self._contract_linear if linear else self._contract_quadratic
        parts = (
            (scale, *part)
            for scale, middle in self.covariance
            for part in contract(linear, quadratic, middle)
        )
        for done, (scale, factor, count, moment) in enumerate(parts):
            term = words.product(words.product(scale, factor), moment)
            words.add_to(total, term, sp.Integer(count))
            self._report(done, linear, quadratic)
        return words.tidy(total)

    def _contract_linear(self, linear, quadratic, middle: Word):
        """Pairs the first linear form with each other factor: (factor, count, remaining moment)."""
        (word, end), others = linear[0], linear[1:]
        for vector, count, rest in _distinct(others):
            other_word, other_end = vector
            pair = words.reverse(word, self.symmetric) + middle + other_word
            item = words.contraction(end, pair, other_end, self.symmetric)
            yield {((item, 1),): sp.S.One}, count, self.moment(rest, quadratic)
        for matrix, count, rest in _distinct(quadratic):
            for side, weight in self._both_sides(matrix):
                vectors = _sorted_vectors([(side + middle + word, end), *others])
                yield {ONE: sp.S.One}, count * weight, self.moment(vectors, rest)

    def _contract_quadratic(self, linear, quadratic, middle: Word):  # noqa: ARG002
        """Closes the first quadratic form, or joins it to each other one."""
        first, others = quadratic[0], quadratic[1:]
        closed = middle + first
        if closed:
            item = words.contraction(None, closed, None, self.symmetric)
            trace: Polynomial = {((item, 1),): sp.S.One}
        else:
            trace = {ONE: self.dimension}
        yield trace, 1, self.moment((), others)
        for matrix, count, rest in _distinct(others):
            for side, weight in self._both_sides(matrix):
                joined = words.reverse(first, self.symmetric) + middle + side
                joined = words.least(joined, self.symmetric)
                yield (
                    {ONE: sp.S.One},
                    count * weight,
                    self.moment((), _sorted_words([joined, *rest])),
                )

    def _both_sides(self, matrix: Word) -> list[tuple[Word, int]]:
        """d(x^T Q x) = (Q + Q^T) x: one term of weight two where Q is symmetric."""
        backward = words.reverse(matrix, self.symmetric)
        return [(matrix, 2)] if matrix == backward else [(matrix, 1), (backward, 1)]


def _check_laws(laws: tuple[Gaussian, ...], reader: Reader) -> None:
    """Each law must be of another vector, a column, with a symmetric covariance of its size."""
    for number, law in enumerate(laws):
        if not isinstance(law, Gaussian):
            raise ValueError(
                f"law = {law}: must be isotropic(vector) or Gaussian(vector, covariance)"
            )
        vector, covariance = law.vector, law.covariance
        if not isinstance(vector, MatrixSymbol) or vector.shape[1] != 1:
            raise ValueError(f"law of {vector}: must be of a column vector, a MatrixSymbol (D, 1)")
        if vector in [other.vector for other in laws[:number]]:
            raise ValueError(f"law of {vector}: is given twice")
        if covariance.shape != (vector.shape[0], vector.shape[0]):
            raise ValueError(f"covariance = {covariance}: must be square of size {vector.shape[0]}")
        if reader.canonical_matrix(covariance - covariance.T) != sp.ZeroMatrix(*covariance.shape):
            raise ValueError(f"covariance = {covariance}: must be symmetric")


def _check_not_hidden(symbol: MatrixSymbol, polynomial: Polynomial) -> None:
    """Inside an inverse or a diagonal matrix a symbol is no factor of the contraction."""
    for item in {item for monomial in polynomial for item, _ in monomial}:
        for letter in item.word:
            if letter.matrix != symbol and letter.matrix.has(symbol):
                raise ValueError(f"expr contains {letter.matrix}: no polynomial in {symbol}")


def _sorted_words(items: list[Word]) -> tuple[Word, ...]:
    return tuple(sorted(items, key=words.word_spelling))


def _sorted_vectors(items: list[Vector]) -> tuple[Vector, ...]:
    return tuple(sorted(items, key=_vector_key))


def _vector_key(vector: Vector) -> tuple:
    word, end = vector
    return words.spelling(end), words.word_spelling(word)


def _distinct(items: tuple):
    """Each distinct item with its count, and the others without one copy of it."""
    for item in dict.fromkeys(items):
        i = items.index(item)
        yield item, items.count(item), items[:i] + items[i + 1 :]
