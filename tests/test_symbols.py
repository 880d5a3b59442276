"""One name, one meaning, one symbol: in every closed form, and in every chapter of the theory.

The chapters are ``theory`` (Kumar et al.), ``theory.laws`` and ``theory.lyu``. Symbols must be
declared once in a chapter and imported where they are used. Unknowns of a derivation, which
stand in no closed form, are ``Dummy`` or have a name that begins with an underscore.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import sympy as sp
from sympy import MatrixSymbol

from lazyrich import theory
from lazyrich.theory.symbols import B, D, M

ROOM = Path(theory.__file__).parent
CHAPTERS = {"theory": ROOM, "laws": ROOM / "laws", "lyu": ROOM / "lyu"}
# phi(h) of an activation, a bound variable that no closed form holds, and h of momentum-modes.
BOUND = {"h"}


def symbols(part) -> set:
    """Every symbol in a part of a closed form, also those in the shapes of matrices."""
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list | tuple):
        return set().union(*map(symbols, part))
    found = sp.sympify(part).atoms(sp.Symbol, MatrixSymbol)
    sizes = (size for matrix in found if isinstance(matrix, MatrixSymbol) for size in matrix.shape)
    return found.union(*map(symbols, sizes))


def everything(name: str) -> set:
    """Every symbol of a closed form, its terms, components and steps."""
    form = theory.closed_form(name)
    steps = [expression for _, expression in form.steps]
    return symbols([form.expr, dict(form.terms), dict(form.components), steps])


def clashes(found: set) -> dict[str, list[str]]:
    """The names that stand for more than one symbol."""
    by_name = defaultdict(set)
    for symbol in found:
        by_name[symbol.name].add(symbol)
    return {name: sorted(map(sp.srepr, them)) for name, them in by_name.items() if len(them) > 1}


def chapter_of(name: str) -> str:
    (module,) = (entries[name][0] for entries in theory._CATALOGUE.values() if name in entries)
    return module.split(".")[0] if "." in module else "theory"


@pytest.mark.parametrize("name", theory.names())
def test_a_name_stands_for_one_symbol_in_a_closed_form(name):
    assert clashes(everything(name)) == {}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_name_stands_for_one_symbol_in_a_chapter(chapter):
    names = [name for name in theory.names() if chapter_of(name) == chapter]
    assert clashes(set().union(*map(everything, names))) == {}


def declared(file: Path) -> Iterator[tuple[str, int]]:
    """(name, line) of each symbol that a file declares, other than in docstrings."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        function = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
        function = function.id if isinstance(function, ast.Name) else function
        is_symbol = function in ("Symbol", "symbols", "MatrixSymbol", "SymmetricMatrixSymbol")
        if is_symbol and node.args and isinstance(node.args[0], ast.Constant):
            yield from ((name, node.lineno) for name in node.args[0].value.split())


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_symbol_is_declared_once_in_a_chapter(chapter):
    places = defaultdict(list)
    for file in sorted(CHAPTERS[chapter].glob("*.py")):
        for name, line in declared(file):
            places[name].append(f"{file.name}:{line}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    unknowns = {name for name in twice if name.startswith("_")}
    assert {name: twice[name] for name in twice.keys() - unknowns - BOUND} == {}


def test_two_symbols_of_one_name_are_seen():
    assert clashes(symbols([sp.Symbol("b", positive=True), MatrixSymbol("b", 3, 1)])) != {}
    assert clashes({B, MatrixSymbol("B", D, D)}) != {}
    assert list(clashes(symbols({"a": (sp.Symbol("D"), M)}))) == ["D"]
