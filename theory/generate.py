"""Array functions from closed forms: one generated Python source that serves NumPy and torch.

SymPy's own ``lambdify`` prints matrices so that torch gradients are lost, and it knows no leading
batch dimensions; here a word of matrices becomes a chain of ``@`` on arrays of shape (..., D, D).
"""

import importlib
import math
from collections.abc import Callable
from functools import cache
from itertools import zip_longest
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.printing.pycode import PythonCodePrinter

from lazyrich.support.arguments import one_of

Symbol = sp.Symbol | MatrixSymbol


class _ArrayPrinter(PythonCodePrinter):
    """Prints an expression as Python on arrays; vectors are columns of shape (..., D, 1)."""

    def __init__(self, like: str):
        super().__init__({"fully_qualified_modules": False})
        self.like = like  # the array whose type and device an identity matrix takes

    def _print_Symbol(self, expr):
        return python_name(expr)

    _print_MatrixSymbol = _print_Symbol

    def _print_Transpose(self, expr):
        return f"{self._print(expr.arg)}.mT"

    def _print_Inverse(self, expr):
        return f"_xp.linalg.inv({self._print(expr.arg)})"

    def _chain(self, factors):
        return " @ ".join(self._print(factor) for factor in factors)

    def _print_MatMul(self, expr):
        scalar, factors = _factors(expr)
        chain = f"({self._chain(factors)})"
        return chain if scalar == 1 else f"(_wide({self._print(scalar)}) * {chain})"

    _print_MatPow = _print_MatMul

    def _print_MatAdd(self, expr):
        return "(" + " + ".join(self._print(term) for term in expr.args) + ")"

    def _print_Identity(self, expr):
        return f"_eye({self._print(expr.shape[0])}, {self.like})"

    def _print_ZeroMatrix(self, expr):
        rows, columns = map(self._print, expr.shape)
        return f"_zeros({rows}, {columns}, {self.like})"

    def _print_DiagMatrix(self, expr):
        (vector,) = expr.args
        return f"({self._print(vector)} * _eye({self._print(vector.shape[0])}, {self.like}))"

    def _print_Trace(self, expr):
        if expr.arg.shape[0] == 1:
            return f"({self._print(expr.arg)})[..., 0, 0]"
        scalar, factors = _factors(expr.arg)
        if len(factors) == 1:
            trace = f'_xp.einsum("...ii->...", {self._print(factors[0])})'
        else:  # Tr(A B) is an elementwise sum: one product less
            half = len(factors) // 2
            left, right = self._chain(factors[:half]), self._chain(factors[half:])
            trace = f"(({left}) * ({right}).mT).sum((-2, -1))"
        return trace if scalar == 1 else f"({self._print(scalar)}) * {trace}"

    def _print_Pow(self, expr, rational=False):  # noqa: ARG002
        exponent = expr.exp if expr.exp.is_Integer else expr.exp.evalf()
        base = f"({self._print(expr.base)})"
        if expr.exp == sp.Rational(1, 2) and expr.base.is_Add:
            base = f"_not_below_0(_array({base}))"
        return f"{base}**({self._print(exponent)})"

    def _print_Max(self, expr):
        zero, argument = sorted(expr.args, key=lambda part: part != 0)
        if len(expr.args) != 2 or zero != 0:
            raise ValueError(f"{expr}: only max(0, ...) has an array function")
        value = self._print(argument)
        return f"(({value}) * (({value}) > 0))"

    def _print_Heaviside(self, expr):
        return f"(1.0 * (({self._print(expr.args[0])}) > 0))"

    def _print_asin(self, expr):
        return f"_asin(_array({self._print(expr.args[0])}))"

    def _print_Pi(self, expr):  # noqa: ARG002
        return repr(math.pi)

    def _elementary(self, expr):
        return f"_xp.{expr.func.__name__}(_array({self._print(expr.args[0])}))"

    def _print_erf(self, expr):
        return f"_erf(_array({self._print(expr.args[0])}))"

    _print_exp = _print_log = _elementary
    _print_sinh = _print_cosh = _print_tanh = _print_asinh = _elementary

    def _print_Tuple(self, expr):
        return "(" + "".join(f"{self._print(item)}, " for item in expr.args) + ")"


def _factors(matrix) -> tuple[sp.Expr, list]:
    """The scalar and the matrix factors of a product, integer powers written out."""
    scalar, factors = matrix.as_coeff_matrices() if matrix.is_MatMul else (sp.S.One, [matrix])
    flat = []
    for factor in factors:
        if isinstance(factor, sp.MatPow) and factor.exp.is_Integer and factor.exp > 0:
            flat += [factor.base] * int(factor.exp)
        else:
            flat.append(factor)
    return scalar, flat


def python_name(symbol: Symbol) -> str:
    """The keyword of a symbol: x' becomes x_prime."""
    return symbol.name.replace("'", "_prime")


def arguments(expr: sp.Basic) -> dict[str, Symbol]:
    """The free symbols of an expression by their keyword, dimensions included, sorted."""
    matrices = expr.atoms(MatrixSymbol)
    sizes = {size for m in matrices for size in m.shape if isinstance(size, sp.Symbol)}
    scalars = {s for s in expr.free_symbols if isinstance(s, sp.Symbol)}
    return {python_name(s): s for s in sorted(matrices | scalars | sizes, key=lambda s: s.name)}


def source(expr: sp.Basic) -> str:
    """The Python source of the function that evaluates ``expr`` on columns and matrices.

    >>> from lazyrich.theory.symbols import M, alpha, beta
    >>> print(source(alpha * sp.Trace(beta.T * M * beta)))
    def value(D, M, alpha, beta):
        return alpha*((beta.mT @ M @ beta))[..., 0, 0]
    <BLANKLINE>
    """
    names = arguments(expr)
    arrays = [name for name, symbol in names.items() if isinstance(symbol, MatrixSymbol)]
    printer = _ArrayPrinter(like=arrays[0] if arrays else "None")
    return f"def value({', '.join(names)}):\n    return {printer.doprint(expr)}\n"


def function(expr: sp.Basic, backend: str) -> Callable[..., Any]:
    """A function of keyword arrays that evaluates ``expr``; ``backend`` is "numpy" or "torch".

    Scalars have shape (...) or are numbers, vectors (..., D), matrices (..., D, D); leading
    dimensions broadcast. The value has shape (...), (..., D) or (..., D, D) as ``expr`` is a
    scalar, a vector or a matrix, and is a tuple of such where ``expr`` is one. The torch function
    is differentiable. A dimension may be left out where an array tells it. Raises ``ValueError``
    for a missing or unknown argument or a wrong shape.

    >>> from lazyrich.theory.symbols import M, beta
    >>> value = function(sp.Trace(beta.T * M * beta), "numpy")
    >>> float(value(beta=[1.0, 2.0], M=[[1.0, 0.0], [0.0, 3.0]]))
    13.0
    """
    xp = importlib.import_module(one_of("backend", backend, ("numpy", "torch")))
    symbols = arguments(expr)
    columns = {name for name, s in symbols.items() if isinstance(s, MatrixSymbol) and _is_column(s)}
    scope: dict[str, Any] = {"_xp": xp, "_wide": _wide, **_helpers(xp)}
    code = source(expr)
    exec(code, scope)

    def evaluate(**values):
        for name in values:
            one_of("argument", name, symbols)
        like = next((v for v in values.values() if hasattr(v, "dtype")), None)
        arrays = {
            name: value if _is_number(value) else _as_array(xp, name, value, like)
            for name, value in values.items()
        }
        arrays = complete(arrays, symbols)
        _check_batches(arrays, symbols)
        arrays |= {name: arrays[name][..., None] for name in columns}
        result = scope["value"](**arrays)
        return _finished(expr, result, lambda value: _as_array(xp, "value", value, like))

    evaluate.__doc__ = f"On {backend} arrays, by keyword: {', '.join(symbols)}.\n\n{code}"
    return evaluate


def _finished(expr, result, as_array):
    """Arrays in place of Python numbers, vectors in place of columns, in tuples too."""
    if isinstance(result, tuple):
        return tuple(
            _finished(part, item, as_array) for part, item in zip(expr, result, strict=True)
        )
    is_column = getattr(expr, "is_Matrix", False) and _is_column(expr)
    return result[..., 0] if is_column else as_array(result)


def complete(values: dict[str, Any], symbols: dict[str, Symbol]) -> dict[str, Any]:
    """The arguments with dimensions filled in from the shapes of arrays.

    Raises ``ValueError`` if an argument is missing, unknown or of the wrong shape.
    """
    for name in values:
        one_of("argument", name, symbols)
    sizes: dict[str, Any] = {
        k: v for k, v in values.items() if not isinstance(symbols[k], MatrixSymbol)
    }
    for name, symbol in symbols.items():
        if name not in values or not isinstance(symbol, MatrixSymbol):
            continue
        shape = _shape(values[name])
        wanted = _inner_shape(symbol)
        inner = shape[max(len(shape) - len(wanted), 0) :]
        for size, found in zip(wanted, inner, strict=False):
            sizes.setdefault(size, found)
        allowed = tuple(sizes.get(size, size) for size in wanted)
        if allowed != inner:
            raise ValueError(
                f"{name} has shape {shape}: must be (..., {', '.join(map(str, allowed))})"
            )
    missing = [name for name in symbols if name not in values and name not in sizes]
    if missing:
        raise ValueError(f"missing argument {missing[0]}: needed are {', '.join(symbols)}")
    return {name: values.get(name, sizes.get(name)) for name in symbols}


def _check_batches(arrays: dict[str, Any], symbols: dict[str, Symbol]) -> None:
    """Leading dimensions must broadcast. Raises ``ValueError`` if they don't."""
    total: tuple[int, ...] = ()
    for name, array in arrays.items():
        symbol = symbols[name]
        inner = len(_inner_shape(symbol))
        batch = _shape(array)[: len(_shape(array)) - inner]
        pairs = zip_longest(reversed(total), reversed(batch), fillvalue=1)
        together = [max(a, b) if 1 in (a, b) else a if a == b else None for a, b in pairs]
        if None in together:
            raise ValueError(f"{name} has batch shape {batch}: must broadcast with {total}")
        total = tuple(reversed(together))


@cache
def _inner_shape(symbol: Symbol) -> tuple[int | str, ...]:
    """The shape of a symbol's arrays without batches: numbers and names of dimensions."""
    if not isinstance(symbol, MatrixSymbol):
        return ()
    shape = symbol.shape[:1] if _is_column(symbol) else symbol.shape
    return tuple(int(size) if size.is_Integer else str(size) for size in shape)


def _is_column(matrix) -> bool:
    return matrix.shape[1] == 1


def _is_number(value) -> bool:
    return isinstance(value, int | float)


def _shape(value) -> tuple[int, ...]:
    if hasattr(value, "shape"):
        return tuple(value.shape)
    shape = []
    while isinstance(value, list | tuple):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _as_array(xp, name, value, like):
    """Floating arrays stay; all else becomes one, of the type and on the device of ``like``.

    Integers must not: beside a list of fractions they would round it.
    """
    is_torch = xp.__name__ == "torch"
    if is_torch and hasattr(value, "is_floating_point") and value.is_floating_point():
        return value
    if not is_torch and getattr(getattr(value, "dtype", None), "kind", "") == "f":
        return value
    options = _options(xp, like)
    try:
        return xp.as_tensor(value, **options) if is_torch else xp.asarray(value, **options)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} = {value!r}: must be real numbers in equal rows") from None


def _options(xp, like) -> dict[str, Any]:
    """dtype and device of a new array: those of ``like`` if it is a floating one, else float64."""
    if xp.__name__ == "torch":
        is_floating = hasattr(like, "is_floating_point") and like.is_floating_point()
        device = getattr(like, "device", None)
        return {"dtype": like.dtype if is_floating else xp.float64, "device": device}
    is_floating = getattr(getattr(like, "dtype", None), "kind", "") == "f"
    return {"dtype": like.dtype if is_floating else xp.float64}


def _helpers(xp) -> dict[str, Callable[..., Any]]:
    """Unit and zero matrices of the type and on the device of an array, or of none; arrays; erf."""

    def erf(values):  # NumPy has none
        module = importlib.import_module("scipy.special") if xp.__name__ == "numpy" else xp
        return module.erf(values)

    def not_below_0(values):  # what rounding takes below 0, of 1 - cosine at equal vectors
        return xp.where((values < 0) & (values > -1e-15), 0 * values, values)

    return {
        "_asin": lambda values: xp.arcsin(xp.clip(values, -1.0, 1.0)),
        "_erf": erf,
        "_not_below_0": not_below_0,
        "_array": lambda value: xp.asarray(value, dtype=xp.float64) if _is_number(value) else value,
        "_eye": lambda size, like: xp.eye(int(size), **_options(xp, like)),
        "_zeros": lambda r, c, like: xp.zeros((int(r), int(c)), **_options(xp, like)),
    }


def _wide(scalar):
    """A scalar in front of a matrix: batch dimensions come before those of the matrix."""
    return scalar[..., None, None] if getattr(scalar, "ndim", 0) else scalar
