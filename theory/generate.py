"""Array functions from closed forms: one generated Python source that serves NumPy and torch.

SymPy's own ``lambdify`` prints matrices so that torch gradients are lost, and it knows no leading
batch dimensions; here a word of matrices becomes a chain of ``@`` on arrays of shape (..., D, D).
"""

import importlib
import keyword
import math
from collections.abc import Callable
from typing import Any

import sympy as sp
from sympy import MatrixSymbol
from sympy.printing.pycode import PythonCodePrinter

from lazyrich.support.arguments import one_of
from lazyrich.theory import arrays
from lazyrich.theory.array_helpers import helpers

Symbol = sp.Symbol | MatrixSymbol
_MOST_SHAPES = 1000  # that a function remembers to fit


class _ArrayPrinter(PythonCodePrinter):
    """Prints an expression as Python on arrays; vectors are columns of shape (..., D, 1)."""

    def __init__(self, like: str):
        super().__init__({"fully_qualified_modules": False})
        self.like = like  # the array whose type and device an identity matrix takes

    def _print_Symbol(self, expr):
        return identifier(python_name(expr))

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
            base = f"_radicand(_array({base}))"
        elif expr.exp.is_Rational and not expr.exp.is_Integer and not expr.base.is_nonnegative:
            base = f"_radicand({base})"
        return f"{base}**({self._print(exponent)})"

    def _print_Integer(self, expr):
        # NumPy and torch take no larger whole numbers.
        return repr(float(expr)) if abs(int(expr)) >= 2**63 else str(int(expr))

    def _print_Piecewise(self, expr):
        branches = (
            f"(lambda: {self._print(condition)}, lambda: {self._print(part)})"
            for part, condition in expr.args
        )
        return f"_piecewise({', '.join(branches)})"

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

    def _print_atan(self, expr):
        return f"_xp.arctan(_array({self._print(expr.args[0])}))"

    def _print_Pi(self, expr):  # noqa: ARG002
        return repr(math.pi)

    def _print_Infinity(self, expr):  # noqa: ARG002
        return 'float("inf")'

    def _print_NaN(self, expr):  # noqa: ARG002
        return 'float("nan")'

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


def identifier(name: str) -> str:
    """The name of a symbol in code: lambda, a word of Python, becomes lambda_.

    >>> identifier("lambda"), identifier("alpha")
    ('lambda_', 'alpha')
    """
    return f"{name}_" if keyword.iskeyword(name) else name


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
    printer = _ArrayPrinter(like=identifier(arrays[0]) if arrays else "None")
    return f"def value({', '.join(map(identifier, names))}):\n    return {printer.doprint(expr)}\n"


def function(expr: sp.Basic, backend: str) -> Callable[..., Any]:
    """A function of keyword arrays that evaluates ``expr``; ``backend`` is "numpy" or "torch".

    Scalars have shape (...) or are numbers, vectors (..., D), matrices (..., D, D); leading
    dimensions broadcast. The value has shape (...), (..., D) or (..., D, D) as ``expr`` is a
    scalar, a vector or a matrix, and is a tuple of such where ``expr`` is one. It is complex where
    a root is. The torch function is differentiable. A dimension may be left out where an array
    tells it.

    Raises ``ValueError`` for a missing or unknown argument, a wrong shape, complex numbers, a
    dimension that is no positive whole number, and a matrix that is not symmetric where the symbol
    is declared so: up to rounding, and in torch only for tensors on the CPU that require no
    gradient, outside of ``vmap`` and compilation.

    >>> from lazyrich.theory.symbols import M, beta
    >>> value = function(sp.Trace(beta.T * M * beta), "numpy")
    >>> float(value(beta=[1.0, 2.0], M=[[1.0, 0.0], [0.0, 3.0]]))
    13.0
    """
    xp = importlib.import_module(one_of("backend", backend, ("numpy", "torch")))
    symbols = arguments(expr)
    columns = {name for name, symbol in symbols.items() if arrays.is_vector(symbol)}
    scope: dict[str, Any] = {"_xp": xp, **helpers(xp)}
    code = source(expr)
    exec(code, scope)
    dimensions = [n for n, s in symbols.items() if isinstance(s, sp.Symbol) and s.is_integer]
    fitting: dict[tuple, dict[str, Any]] = {}  # what is filled in, by shapes that fit

    def evaluate(**values):
        for name in values.keys() - symbols.keys():
            one_of("argument", name, symbols)
        like = next((v for v in values.values() if hasattr(v, "dtype")), None)
        given = {
            name: arrays.read(xp, name, value, symbols[name], like)
            for name, value in values.items()
        }
        shapes = arrays.shapes(given, dimensions)
        if shapes is None or (filled := fitting.get(shapes)) is None:
            complete = arrays.complete(given, symbols)
            arrays.check_batches(complete, symbols)
            filled = {name: complete[name] for name in complete.keys() - given.keys()}
            if shapes is not None and len(fitting) < _MOST_SHAPES:
                fitting[shapes] = filled
        known = given | filled
        known |= {name: known[name][..., None] for name in columns}
        known = {identifier(name): value for name, value in known.items()}
        try:
            result = scope["value"](**known)
        except (ZeroDivisionError, OverflowError):  # of Python's numbers: arrays give inf or nan
            known = {name: arrays.as_array(xp, name, value, like) for name, value in known.items()}
            with importlib.import_module("numpy").errstate(all="ignore"):
                result = scope["value"](**known)
        return _finished(expr, result, lambda value: arrays.as_result(xp, value, like))

    evaluate.__doc__ = f"On {backend} arrays, by keyword: {', '.join(symbols)}.\n\n{code}"
    return evaluate


def _finished(expr, result, as_result):
    """Arrays in place of Python numbers, vectors in place of columns, in tuples too."""
    if isinstance(result, tuple):
        return tuple(
            _finished(part, item, as_result) for part, item in zip(expr, result, strict=True)
        )
    return result[..., 0] if arrays.is_vector(expr) else as_result(result)
