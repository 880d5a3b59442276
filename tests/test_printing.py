"""Formulas as text: as SymPy prints them, without loading what takes long."""

import subprocess
import sys

import pytest
import sympy as sp
from sympy.printing.pretty.pretty import PrettyPrinter

from lazyrich.theory import closed_form, printing

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
