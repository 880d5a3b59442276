"""From a tree to SymPy: shapes checked, values built by SymPy's constructors, nothing evaluated."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp
from sympy import Trace
from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.grammar import trees
from lazyrich.theory.grammar.errors import FormulaError
from lazyrich.theory.grammar.functions import ALIASES, FUNCTIONS, MAX_HERMITE, hermite
from lazyrich.theory.grammar.names import CONSTANTS, New, nearest, plain, split
from lazyrich.theory.natural import traced

Value = Any  # a scalar (sp.Expr), or a MatrixExpr of shape (n, 1), (1, n) or (n, m)

MAX_EXPONENT = 200
MAX_BITS = 4096  # of a number
_ON_MATRICES = ("tr", "Tr", "trace", "diag")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


class Builder:
    """Turns the tree of one text into SymPy.

    ``known`` gives the values of names (in ASCII); ``new`` those that a text may bring along.
    """

    def __init__(
        self,
        text: str,
        what: str,
        known: Mapping[str, Any],
        new: New | None = None,
    ):
        self.text, self.what, self.known, self.new = text, what, known, new
        self._built: dict[int, Value] = {}  # by the tree's identity: a tree is built once

    def build(self, tree: Any) -> Value:
        """The value of a tree or token."""
        if id(tree) not in self._built:
            kind = tree.data if hasattr(tree, "data") else tree.type
            self._built[id(tree)] = getattr(self, f"_{str(kind).lower()}")(tree)
        return self._built[id(tree)]

    def fail(self, node: Any, reason: str) -> FormulaError:
        """The error that marks a tree or token."""
        place = getattr(node, "meta", node)
        start, end = place.start_pos, place.end_pos
        return FormulaError(self.text, start, end - start, reason, self.what)

    def _written(self, node: Any) -> str:
        """A tree or token as the text has it."""
        place = getattr(node, "meta", node)
        return self.text[place.start_pos : place.end_pos]

    # Numbers and names

    def _number(self, token: Any) -> sp.Expr:
        mantissa, _, exponent = token.lower().partition("e")
        if len(mantissa) > 400 or abs(int(exponent or 0)) > 400:
            raise self.fail(token, "a number of more than 400 digits")
        return sp.Rational(str(mantissa)) * sp.Integer(10) ** int(exponent or 0)

    def _word(self, token: Any) -> Value:
        return self._product(token, [(token, value) for value in self._names(token)])

    def _names(self, token: Any) -> list[Value]:
        """The names that a run of letters is: itself if it is one."""
        whole = self._name(token)
        if whole is not None:
            return [whole]
        try:
            run = split(str(token), {*self.known, *CONSTANTS})
        except ValueError as error:
            raise self.fail(token, str(error)) from None
        if run is None:
            raise self.fail(token, self._unknown(token))
        return [self._name(piece) for piece in run]

    def _name(self, word: str) -> Value | None:
        name = plain(word)
        # wbar_0 is wbar0, and Python's lambda is SymPy's lamda.
        for spelling in (name, name.replace("_", ""), name.replace("lambda", "lamda")):
            if (value := self.known.get(spelling)) is not None:
                return value
        return CONSTANTS.get(name)

    def _unknown(self, token: Any) -> str:
        if plain(token) == "Gamma":  # where it may be a matrix too
            return "a function of numbers and D alone, such as Gamma(D/2 + 1)"
        if plain(token) in {*FUNCTIONS, *ALIASES}:
            return f"a function: expected brackets, {token}(...)"
        if self.text[token.end_pos :].startswith("("):
            return nearest(str(token), [*FUNCTIONS, *self.known])
        return nearest(plain(token), self.known, self.new)

    # Sums, products, powers

    def _start(self, tree: Any) -> Value:
        return self.build(tree.children[0])

    def _group(self, tree: Any) -> Value:
        return self.build(tree.children[1])

    def _sum(self, tree: Any) -> Value:
        total = self.build(tree.children[0])
        terms = [total]
        for sign, node in zip(tree.children[1::2], tree.children[2::2], strict=True):
            value = self.build(node)
            if _shape(value) != _shape(total):
                kinds = _kind(total), _kind(value)
                hint = {
                    frozenset({"a scalar", "a matrix"}): " (the unit matrix is I)",
                    frozenset(
                        {"a vector", "a row"}
                    ): " (' transposes; the second input is x_prime)",
                }.get(frozenset(kinds), "")
                raise self.fail(node, f"can't add {kinds[0]} and {kinds[1]}{hint}")
            terms.append(-value if sign.type == "MINUS" else value)
        if len(terms) == 1:
            return total
        return sp.MatAdd(*terms).doit(deep=False) if _shape(total) else sp.Add(*terms)

    def _product(self, tree: Any, factors: list[tuple[Any, Value]] | None = None) -> Value:
        if factors is None:
            factors = self._quotients(tree)
        return _Chain(self, tree).product(factors)

    def _quotients(self, tree: Any) -> list[tuple[Any, Value]]:
        """The factors of a product, those after a division sign inverted."""
        first, *rest = tree.children
        factors = [(first, self.build(first))]
        pairs = list(zip(rest[::2], rest[1::2], strict=True))
        self._check_traces([first, *rest[1::2]])
        for i, (sign, node) in enumerate(pairs):
            value = self.build(node)
            if sign.type == "DIVIDE":
                if _shape(value):
                    raise self.fail(node, f"can't divide by {_kind(value)}")
                if value == 0:
                    raise self.fail(node, "division by zero")
                before = factors[-1][1]
                loose = i + 1 < len(pairs) and pairs[i + 1][0].type == "LOOSE"
                self._check_division(sign, node, (before, value), loose)
                value = 1 / value
            factors.append((node, value))
        return factors

    def _check_traces(self, nodes: list) -> None:
        """tr A B has two readings where B is a matrix or a vector."""
        for node, after in itertools.pairwise(nodes):
            bare = trees.bare_trace(node)
            if bare is not None and _shape(self.build(after)):
                name, rest = bare.children[1], self._written(after)
                raise self.fail(node, f"unclear: write tr({name} {rest}) or tr({name}) {rest}")

    def _check_division(self, sign: Any, node: Any, fraction: tuple, loose: bool) -> None:
        """1/2D and 1 / 2 D have two readings; 1/2 D has one, and so has 1/2/D."""
        is_fraction = all(getattr(part, "is_Number", False) for part in fraction)
        tight = trees.is_tight(node) or self._is_mixed(node)
        apart = loose and sign.end_pos != node.meta.start_pos and not is_fraction
        if tight or apart:
            raise self.fail(node, "unclear what is divided: write (a/b) c or a/(b c)")

    def _is_mixed(self, node: Any) -> bool:
        """Whether a factor such as N·x.x has a scalar before its first dot."""
        node = trees.inner(node)
        is_dotted = getattr(node, "data", None) == "dotted"
        return is_dotted and not _shape(self.build(node.children[0]))

    def _signed(self, tree: Any) -> Value:
        *signs, node = tree.children
        value = self.build(node)
        return -value if trees.is_negative(signs) else value

    def _tight(self, tree: Any) -> Value:
        nodes = tree.children[::2]
        if len(nodes) == 1:
            return self.build(nodes[0])
        self._check_traces(nodes)
        return self._product(tree, [(node, self.build(node)) for node in nodes])

    def _dotted(self, tree: Any) -> Value:
        first, *rest = tree.children
        both = len(rest) == 2 and trees.primed(first) and trees.primed(rest[1])  # x'.x'
        value = self._operand(first) if both else self.build(first)
        for dot, node in zip(rest[::2], rest[1::2], strict=True):
            if trees.is_transpose_sign(node) and _kind(self._name("T")) != "a vector":
                value = self._transposed(dot, value)  # x.T, as Python has it
            else:
                value = self._dot(dot, value, self._operand(node))
        return value

    def _operand(self, node: Any) -> Value:
        """Of a scalar product or a norm: x' and w' are the second ones there, if there are such."""
        name = trees.primed(node)
        second = None if name is None else self._name(name)
        return self.build(node) if second is None else second

    def _dot(self, dot: Any, left: Value, right: Value) -> Value:
        kinds = _kind(left), _kind(right)
        if kinds == ("a vector", "a vector"):
            return self._product(dot, [(dot, left.T), (dot, right)])
        if str(dot) != "." and ("a scalar" in kinds or kinds == ("a matrix", "a matrix")):
            return self._product(dot, [(dot, left), (dot, right)])
        hint = ""
        if "a row" in kinds:
            hint = " (' transposes; the kernel's second argument is x_prime)"
        elif "a matrix" in kinds:
            hint = " (write x'M x or x.(M x))"
        raise self.fail(dot, f"a scalar product of {kinds[0]} and {kinds[1]}: needs vectors{hint}")

    def _inner(self, tree: Any) -> Value:
        """<a, b>, a scalar product."""
        sides = [self._operand(node) for node in tree.children[1:4:2]]
        kinds = [_kind(side) for side in sides]
        if kinds != ["a vector", "a vector"]:
            reason = f"a scalar product of {kinds[0]} and {kinds[1]}: needs vectors"
            raise self.fail(tree, reason)
        return self._dot(tree.children[2], *sides)

    def _power(self, tree: Any) -> Value:
        if len(tree.children) == 1:
            return self.build(tree.children[0])
        node, caret, exponent = tree.children
        if (bare := trees.bare_trace(node)) is not None:
            name, power = bare.children[1], self._written(exponent)
            raise self.fail(tree, f"unclear: write tr({name}^{power}) or (tr {name})^{power}")

        def raised(base: Value) -> Value:
            if trees.is_transpose_sign(exponent) and _shape(base):
                return self._transposed(caret, base)  # x^T
            return self._raised(tree, base, self.build(exponent))

        return self._on_last(node, raised)

    def _exponent(self, tree: Any) -> Value:
        """The part after ^: a sign, and powers from right to left."""
        kinds = [getattr(child, "type", None) for child in tree.children]
        if "CARET" not in kinds:
            return self._signed(tree)
        *signs, base, _, exponent = tree.children
        power = self.build(exponent)
        value = self._on_last(base, lambda value: self._raised(tree, value, power))
        return -value if trees.is_negative(signs) else value

    def _postfix(self, tree: Any) -> Value:
        atom, *marks = tree.children
        if not marks:
            return self.build(atom)
        if (bare := trees.bare_trace(atom)) is not None:
            name = bare.children[1]
            raise self.fail(tree, f"unclear: write tr({name}{marks[0]}) or tr({name}){marks[0]}")

        def marked(value: Value) -> Value:
            for mark in marks:
                if mark.type == "SUPER":
                    power = sp.Integer(mark.translate(_SUPERSCRIPTS))
                    value = self._raised(mark, value, power)
                elif mark.type == "FACTORIAL":
                    self._check_scalars([mark], "factorial", [value])
                    value = self._applied(mark, "factorial", [value])
                else:
                    value = self._transposed(mark, value)
            return value

        return self._on_last(atom, marked)

    def _on_last(self, node: Any, change: Callable[[Value], Value]) -> Value:
        """A power and a prime belong to the last name of a run: Ax' is A x', not (A x)'."""
        token = trees.word_of(node)
        if token is None:
            return change(self.build(node))
        *others, last = self._names(token)
        return self._product(token, [(token, value) for value in [*others, change(last)]])

    def _transposed(self, mark: Any, value: Value) -> Value:
        if not _shape(value):
            hint = " (the kernel's second argument is x_prime)" if "x" in self.known else ""
            raise self.fail(mark, f"{_kind(value)} can't be transposed{hint}")
        return value.T

    def _raised(self, node: Any, base: Value, exponent: Value) -> Value:
        at = node.children[-1] if hasattr(node, "children") else node
        if _shape(exponent):
            raise self.fail(at, f"{_kind(exponent)} as an exponent: expected a number")
        inner = base.exp if getattr(base, "is_Pow", False) and base.exp.is_Number else 1
        if exponent.is_Number and abs(inner * exponent) > MAX_EXPONENT:
            raise self.fail(at, f"an exponent above {MAX_EXPONENT}")
        if _kind(base) in ("a vector", "a row"):
            hint = "write |x|^2 or (beta.x)^2" if exponent == 2 else "write |x|^3 or (beta.x)^3"
            raise self.fail(node, f"a power of a vector: {hint}")
        if _shape(base):
            return self._matrix_power(node, base, exponent)
        if base.is_Number and exponent.is_Number:
            bits = max(map(int.bit_length, map(int, sp.fraction(base)))) if base.is_Rational else 64
            if bits * abs(exponent) > MAX_BITS:
                raise self.fail(node, f"a number of more than {MAX_BITS} bits")
        value = base**exponent
        if value.has(sp.zoo, sp.nan, sp.oo):
            raise self.fail(node, "division by zero")
        return value

    def _matrix_power(self, node: Any, base: MatrixExpr, exponent: sp.Expr) -> MatrixExpr:
        if base.shape[0] != base.shape[1]:
            raise self.fail(node, f"a power of a matrix of shape {base.shape}: must be square")
        if not exponent.is_Integer:
            raise self.fail(node, "a power of a matrix: expected a whole number as the exponent")
        return sp.MatPow(base, exponent).doit(deep=False)

    # Functions and norms

    def _call(self, tree: Any) -> Value:
        token, _, *nodes = tree.children
        nodes, name = nodes[::2], ALIASES.get(str(token), str(token))
        values = [self.build(node) for node in nodes]
        count = 1 if name.startswith("He_") else FUNCTIONS[name][0]
        if count is not None and len(values) != count:
            wanted = {1: "one argument", 2: "two arguments"}[count]
            raise self.fail(tree, f"{name} has {wanted}, not {len(values)}")
        if name in _ON_MATRICES:
            return self._of_matrix(nodes[0], name, values[0])
        self._check_scalars(nodes, name, values)
        if name.startswith("He_"):
            if (degree := int(name[3:].strip("{}"))) > MAX_HERMITE:
                raise self.fail(token, f"a degree above {MAX_HERMITE}")
            return hermite(degree, values[0])
        return self._applied(tree, name, values)

    def _check_scalars(self, nodes: list, name: str, values: list[Value]) -> None:
        for node, value in zip(nodes, values, strict=True):
            if _shape(value):
                raise self.fail(node, f"{name} of {_kind(value)}: expected a scalar")

    def _applied(self, node: Any, name: str, values: list[Value]) -> sp.Expr:
        """A function of scalars."""
        try:
            value = FUNCTIONS[name][1](*values)
        except ValueError as error:
            raise self.fail(node, str(error)) from None
        if value.has(sp.zoo, sp.nan, sp.oo):
            raise self.fail(node, "not a finite number")
        return value

    def _of_matrix(self, node: Any, name: str, value: Value) -> Value:
        if name == "diag":
            if _kind(value) != "a vector":
                raise self.fail(node, f"diag of {_kind(value)}: expected a vector")
            return sp.DiagMatrix(value)
        shape = _shape(value)
        if not shape or shape[0] != shape[1]:
            raise self.fail(node, f"a trace of {_kind(value)}: expected a square matrix")
        return traced(value)

    def _trace(self, tree: Any) -> sp.Expr:
        """A trace without brackets: of one name, or of a run such as AB."""
        return self._of_matrix(tree.children[1], "tr", self.build(tree.children[1]))

    def _norm(self, tree: Any) -> sp.Expr:
        value, index = self._operand(tree.children[1]), "".join(tree.children[3:]).strip("_{}")
        kind = _kind(value)
        if index == "F":
            if kind != "a matrix":
                raise self.fail(tree, f"the Frobenius norm of {kind}: expected a matrix")
            return sp.sqrt(traced((value.T * value).doit(deep=False)))
        if kind == "a matrix":
            raise self.fail(tree, "the norm of a matrix: write |A|_F^2 or tr(A'A) for its square")
        if kind == "a scalar":
            is_norm = isinstance(value, sp.Pow) and isinstance(value.base, Trace)
            return value if is_norm and value.exp == sp.Rational(1, 2) else sp.Abs(value)
        column = value if kind == "a vector" else value.T
        return sp.sqrt(self._product(tree, [(tree, column.T), (tree, column)]))


class _Chain:
    """A product from left to right, in which a row and the column that ends it make a scalar."""

    def __init__(self, builder: Builder, tree: Any):
        self.builder, self.tree = builder, tree

    def product(self, factors: list[tuple[Any, Value]]) -> Value:
        """The product. Raises ``FormulaError`` at the first factor that doesn't fit."""
        scalar: Value = sp.S.One
        waiting: list[list[Value]] = []  # matrix products, each to be multiplied by what follows
        for node, value in factors:
            if not _shape(value):
                scalar = scalar * value
                continue
            if not waiting or _shape(waiting[-1][-1])[1] == value.shape[0]:
                if waiting:
                    waiting[-1].append(value)
                else:
                    waiting.append([value])
            elif value.shape[0] == 1:
                waiting.append([value])  # A x'x: a scalar begins
            else:
                raise self._misfit(node, waiting[-1], value)
            scalar, waiting = self._closed(scalar, waiting)
        if len(waiting) > 1:
            raise self._misfit(factors[-1][0], waiting[-2], waiting[-1][0])
        if not waiting:
            return scalar
        return (scalar * sp.MatMul(*waiting[0])).doit(deep=False)

    def _closed(self, scalar: Value, waiting: list[list[Value]]) -> tuple[Value, list]:
        """A row times ... times a column is a scalar."""
        group = waiting[-1]
        if group[0].shape[0] == 1 and group[-1].shape[1] == 1:
            return scalar * traced(sp.MatMul(*group)), waiting[:-1]
        return scalar, waiting

    def _misfit(self, node: Any, group: list[Value], value: Value) -> FormulaError:
        product = group[0] if len(group) == 1 else sp.MatMul(*group)
        left, right = _kind(product), _kind(value)
        hint = ""
        if (left, right) == ("a vector", "a vector"):
            hint = ": write x.y, x'y or x y'"
        elif left == "a vector":
            hint = ": is a transpose missing before it?"
        elif right == "a row":
            hint = ": x' is the transpose of x (the kernel's second argument is x_prime)"
        return self.builder.fail(node, f"{left} {product.shape} times {right} {value.shape}{hint}")


def _shape(value: Value) -> tuple:
    """() for a scalar."""
    return value.shape if isinstance(value, MatrixExpr) else ()


def _kind(value: Value) -> str:
    shape = _shape(value)
    if not shape:
        return "a scalar"
    return "a row" if shape[0] == 1 else "a vector" if shape[1] == 1 else "a matrix"
