"""Formulas as text: as SymPy prints them, without loading what takes long."""

import subprocess
import sys

import pytest
import sympy as sp
from sympy.printing.pretty.pretty import PrettyPrinter

from lazyrich.theory import closed_form, grammar, printing, symbols
from lazyrich.theory.wick import canonical

x, y = sp.symbols("x y")
PRODUCTS = [
    x / y,
    -sp.Rational(2, 3) / x**2,
    -1 / x,
    3 / (sp.sqrt(x) * y),
    sp.Mul(2, 3, evaluate=False),
    sp.Mul(1, x, evaluate=False),
    sp.exp(-x) * y,
    2 * x**-y,
    sp.I / x,
    2.5 * x / y,
    *closed_form("test-loss").terms.values(),
]


@pytest.mark.parametrize("unicode", [True, False])
def test_a_product_is_printed_as_sympy_does(unicode, monkeypatch):
    ours = [printing.pretty(expr, unicode=unicode) for expr in PRODUCTS]
    monkeypatch.setattr(printing._Pretty, "_print_Mul", PrettyPrinter._print_Mul)
    assert ours == [printing.pretty(expr, unicode=unicode) for expr in PRODUCTS]


def test_a_query_loads_no_units_of_physics():
    code = (
        "import sys; from lazyrich.cli import main\n"
        "try: main(['derive', 'test-loss'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name.startswith('sympy.physics') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


a, b, c = (sp.MatrixSymbol(name, symbols.D, 1) for name in "abc")
BILINEAR = {
    (a - b).T * c: (r"\left(\left(a - b\right) \cdot c\right)", "((a - b).c)"),
    c.T * (a - b): (r"\left(c \cdot \left(a - b\right)\right)", "(c.(a - b))"),
    (a - b).T * (a - b): (r"\left|a - b\right|^{2}", "       2\n|a - b| "),
    2 * a.T * b: (r"\left(2 a \cdot b\right)", "(2*a.b)"),
    -2 * a.T * (b - c): (
        r"\left(\left(- 2 a\right) \cdot \left(b - c\right)\right)",
        "(-2*a.(b - c))",
    ),
}


@pytest.mark.parametrize("product", BILINEAR, ids=str)
def test_a_sum_in_a_scalar_product_keeps_its_brackets(product):
    trace = sp.Trace(product)
    assert (printing.latex(trace), printing.pretty(trace, unicode=False)) == BILINEAR[product]
    back = grammar.read(printing.latex(trace), [a, b, c])
    assert canonical(back - trace) == 0
