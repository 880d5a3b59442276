"""What is off in a formula, in words, and the special points at which it is right by accident."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import sympy as sp
from sympy import MatrixSymbol

from lazyrich.theory.checking.compare import Plain, is_rational, vanishing
from lazyrich.theory.generate import python_name
from lazyrich.theory.grammar import write
from lazyrich.theory.words import Contraction, is_symmetric

_SHORT = 12  # operations of a ratio that is worth showing
_MOST_TERMS = 4
_VALUES = (0, 1, -1, 2)


class Remarks:
    """Compares two scalars in plain symbols, ``given`` not equal to ``right``."""

    def __init__(self, right: sp.Expr, given: sp.Expr, plain: Plain):
        self.right, self.given = (
            plain.scalar(side).rewrite(sp.acos, sp.asin) for side in (right, given)
        )
        self.plain = plain
        self.formulas = right, given

    def text(self, value: Any) -> str:
        """A plain expression as a formula."""
        return write(self.plain.traces(value))

    # Special points

    def special_points(self) -> list[str]:
        """Where the two agree, though not everywhere: D = 1, |beta| = 1, epsilon = 1, ..."""
        sides = self._sides
        found = [
            name
            for name, point in self._candidates()
            if not any(sp.sympify(point.get(s, 0) * sign).is_positive for s, sign in sides.items())
            and self._agrees(point)
        ]
        return [*dict.fromkeys(found), *self._where_symmetric()]

    @cached_property
    def _sides(self) -> dict[sp.Symbol, int]:
        """{symbol: 1 or -1}: on that side of 0 the two agree, as |epsilon| and epsilon do."""
        if is_rational(self.right) and is_rational(self.given):
            return {}
        size = sp.Dummy(positive=True)
        symbols = self.right.free_symbols | self.given.free_symbols
        return {
            symbol: sign
            for symbol in sorted(symbols, key=str)
            if symbol.is_real and symbol.is_positive is None
            for sign in (1, -1)
            if self._agrees({symbol: sign * size})
        }

    def sides(self) -> list[str]:
        """The half-lines on which the two agree, in words."""
        lines = []
        for symbol, sign in self._sides.items():
            name, relation = self.text(symbol), ">" if sign > 0 else "<"
            values = [part.subs(symbol, 0) for part in (self.right, self.given)]
            at_0 = not any(value.has(sp.zoo, sp.nan, sp.oo) for value in values)
            equal = "=" * (at_0 and vanishing(values[1] - values[0])[0] is True)
            lines.append(f"right for {name} {relation}{equal} 0, but {name} may be any real number")
        return lines

    def _where_symmetric(self) -> list[str]:
        """Whether the two agree for symmetric matrices."""
        matrices = sp.Tuple(*self.formulas).atoms(MatrixSymbol) - self.plain.symmetric
        general = {m for m in matrices if m.shape[0] == m.shape[1] and not is_symmetric(m)}
        if not general:
            return []
        plain = Plain((*self.plain.symmetric, *general))
        right, given = map(plain.scalar, self.formulas)
        names = ", ".join(sorted(python_name(matrix) for matrix in general))
        return [f"{names} symmetric"] if vanishing(given - right)[0] is True else []

    def _candidates(self) -> Iterator[tuple[str, dict]]:
        used = self.right.free_symbols | self.given.free_symbols
        contractions = {s: m for s, m in self.plain.meanings.items() if s in used}
        yield from self._in_one_dimension(contractions)
        for symbol in sorted(used - set(contractions), key=str):
            for number in map(sp.Integer, _VALUES):
                if _may_be(symbol, number):
                    yield f"{python_name(symbol)} = {number}", {symbol: number}
        for symbol, item in contractions.items():
            if item.left is not None and item.left == item.right and not item.word:
                yield f"|{python_name(item.left)}| = 1", {symbol: sp.S.One}
            elif item.left is not None and item.right is not None and not item.word:
                yield f"{python_name(item.left)}.{python_name(item.right)} = 0", {symbol: sp.S.Zero}
        inverted = {n for item in contractions.values() for n in _inverted(item)}
        names = {n for item in contractions.values() for n in _names(item)}
        for name in sorted(names - inverted):
            yield f"{name} = 0", {s: 0 for s, item in contractions.items() if name in _names(item)}

    def _in_one_dimension(self, contractions: dict) -> Iterator[tuple[str, dict]]:
        """At D = 1 every vector and matrix is a number."""
        dimensions = {
            size
            for item in contractions.values()
            for matrix in _matrices(item)
            for size in matrix.shape
            if size.is_Symbol
        }
        if len(dimensions) == 1:
            (size,) = dimensions
            point: dict = {symbol: _commuting(item) for symbol, item in contractions.items()}
            yield f"{size} = 1", point | {size: sp.S.One}

    def _agrees(self, point: dict) -> bool:
        right, given = self.right.subs(point), self.given.subs(point)
        if right.has(sp.zoo, sp.nan, sp.oo) or given.has(sp.zoo, sp.nan, sp.oo):
            return False
        if right == 0 and given == 0 and any(value == 0 for value in point.values()):
            return False  # both vanish: no accident
        return vanishing(given - right)[0] is True

    # Words

    def words(self) -> list[str]:
        """What is off: a factor, a sign, a term, a coefficient."""
        if self.given == 0:
            return ["the formula is 0"]
        if vanishing(self.right)[0] is True:
            return ["the right form is 0"]
        if sides := self.sides():
            return sides
        ratio = sp.factor(sp.cancel(sp.together(self.given / self.right)))
        difference = sp.cancel(sp.together(self.given - self.right))
        if difference.is_number:
            size = "large" if difference > 0 else "small"
            found = [f"too {size} by {abs(difference)}"]
        else:
            found = self._of_ratio(ratio) or self._of_terms()
        unknown = self._foreign()
        return [*found, *unknown, *self._leading(ratio)]

    def _of_ratio(self, ratio: sp.Expr) -> list[str]:
        """The formula is this multiple of the right one."""
        if ratio.count_ops() > _SHORT:
            return []
        number, rest = ratio.as_coeff_Mul()
        powers = [factor.as_base_exp() for factor in sp.Mul.make_args(rest) if factor != 1]
        sums = [power.is_negative for base, power in powers if isinstance(base, sp.Add)]
        if len(sums) > 1 or any(
            base.is_Add and base.free_symbols - _sizes(base) for base, _ in powers
        ):
            return []
        found = []
        if number < 0:
            found.append("the sign is wrong")
        if abs(number) != 1 and not powers:
            found.append(_off_by(abs(number)))
        if powers:
            missing = sp.Mul(*(base**-power for base, power in powers if power.is_negative))
            extra = sp.Mul(*(base**power for base, power in powers if not power.is_negative))
            found += self._factors(abs(number), missing, extra)
        return found

    def _factors(self, number: sp.Expr, missing: sp.Expr, extra: sp.Expr) -> list[str]:
        found = []
        if missing != 1:
            found.append(f"a factor {self.text(missing)} is missing")
        if extra != 1:
            found.append(f"a factor {self.text(extra)} is too much")
        if number != 1:
            found.append(_off_by(number))
        return found

    def _of_terms(self) -> list[str]:
        """Which terms are missing, too many, or have another coefficient."""
        right, given = _terms(self.right), _terms(self.given)
        missing = {k: c for k, c in right.items() if k not in given}
        extra = {k: c for k, c in given.items() if k not in right}
        changed = {
            k: (given[k], c)
            for k, c in right.items()
            if k in given and vanishing(given[k] - c)[0] is not True
        }
        if list(right) == list(given) == [1] and (line := self._in_numbers()):
            return [line]
        if len(missing) == len(right) or len(extra) == len(given):
            return []  # nothing in common: the right form says it better
        if len(missing) == len(extra) == 1:
            (wanted, c), (found, d) = *missing.items(), *extra.items()
            ratio = self._of_ratio(sp.factor(found * d / (wanted * c)))
            where = f"in the term {self.text(d * found)}"
            lines = [f"{where} {line}" for line in ratio] or [
                f"{where}: the right one is {self.text(c * wanted)}"
            ]
        else:
            lines = [f"the term {self.text(c * k)} is missing" for k, c in missing.items()]
            lines += [f"the term {self.text(c * k)} is too much" for k, c in extra.items()]
        for key, (wrong, good) in changed.items():
            if vanishing(wrong + good)[0] is True:
                lines.append(f"the sign of the term {self.text(wrong * key)} is wrong")
            else:
                lines.append(
                    f"the term {self.text(sp.factor(wrong * key))} should be "
                    f"{self.text(sp.factor(good * key))}"
                )
        return lines if len(lines) <= _MOST_TERMS else []

    def _in_numbers(self) -> str | None:
        """Of two formulas in numbers and dimensions, the one term by which they differ."""
        difference = sp.expand(sp.simplify(self.given - self.right))
        if difference.is_Add or difference.count_ops() > _SHORT:
            return None
        if difference.is_positive:
            return f"too large by {self.text(difference)}"
        return f"the term {self.text(-difference)} is missing" if difference.is_negative else None

    def _foreign(self) -> list[str]:
        """Names that the right form does not contain."""

        def names(expr: sp.Expr) -> set[str]:
            return {python_name(s) for s in self.plain.traces(expr).atoms(sp.Symbol, MatrixSymbol)}

        foreign = sorted(names(self.given) - names(self.right) - {"D"})
        return [f"the right form does not depend on {', '.join(foreign)}"] if foreign else []

    def _leading(self, ratio: sp.Expr) -> list[str]:
        """Whether the two agree as D -> infinity, all else fixed."""
        sizes = [s for s in ratio.free_symbols if s.name == "D"]
        if ratio.free_symbols != set(sizes) or not sizes or ratio.count_ops() > 60:
            return []
        # With Gamma functions of D that cancel, a limit takes SymPy seconds.
        limit = sp.limit(sp.gammasimp(ratio), sizes[0], sp.oo)
        return ["right to leading order as D goes to infinity"] if limit == 1 else []


def _off_by(number: sp.Expr) -> str:
    """In words, for a positive number other than 1."""
    large = number > 1
    return f"too {'large' if large else 'small'} by the factor {number if large else 1 / number}"


def _sizes(expr: sp.Expr) -> set:
    return {symbol for symbol in expr.free_symbols if symbol.is_integer}


def _terms(expr: sp.Expr) -> dict[sp.Expr, sp.Expr]:
    """{product of symbols: coefficient in numbers and dimensions} of an expanded sum."""
    total: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(expr)):
        symbols = term.free_symbols - _sizes(term)
        coefficient, key = term.as_independent(*symbols, as_Add=False)
        total[key] = total.get(key, sp.S.Zero) + coefficient
    return {key: c for key, c in total.items() if vanishing(c)[0] is not True}


def _matrices(item: Contraction) -> list[MatrixSymbol]:
    ends = [end for end in (item.left, item.right) if end is not None]
    return [*ends, *(m for letter in item.word for m in letter.matrix.atoms(MatrixSymbol))]


def _names(item: Contraction) -> set[str]:
    return {python_name(matrix) for matrix in _matrices(item)}


def _inverted(item: Contraction) -> set[str]:
    """The matrices of which the contraction has an inverse: they can't be 0."""
    inverses = [x.matrix for x in item.word if isinstance(x.matrix, sp.Inverse)]
    return {python_name(m) for inverse in inverses for m in inverse.atoms(MatrixSymbol)}


def _commuting(item: Contraction) -> sp.Expr:
    """The value of a contraction of 1 x 1 matrices."""

    def number(matrix: Any) -> sp.Expr:
        if isinstance(matrix, MatrixSymbol):
            return sp.Symbol(python_name(matrix), real=True)
        if isinstance(matrix, sp.Inverse):
            return 1 / number(matrix.arg)
        if isinstance(matrix, sp.DiagMatrix):
            return number(matrix.args[0])
        if isinstance(matrix, sp.MatAdd):
            return sp.Add(*map(number, matrix.args))
        if isinstance(matrix, sp.MatMul):
            coefficient, factors = matrix.as_coeff_matrices()
            return coefficient * sp.Mul(*map(number, factors))
        return sp.S.One if isinstance(matrix, sp.Identity) else sp.Symbol(str(matrix), real=True)

    ends = [end for end in (item.left, item.right) if end is not None]
    return sp.Mul(*map(number, [*ends, *(letter.matrix for letter in item.word)]))


def _may_be(symbol: sp.Symbol, number: sp.Integer) -> bool:
    laws = ("integer", "positive", "nonnegative", "nonzero")
    return not any(
        getattr(symbol, f"is_{law}") and getattr(number, f"is_{law}") is False for law in laws
    )
