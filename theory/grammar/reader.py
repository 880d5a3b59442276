"""Read a formula: parse it, find out what its names are, build it."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from sympy.matrices.expressions.matexpr import MatrixExpr

from lazyrich.theory.grammar import build, latex, syntax, trees
from lazyrich.theory.grammar import names as naming
from lazyrich.theory.grammar.errors import FormulaError
from lazyrich.theory.grammar.names import New, Symbol

MAX_UNDECIDED = 8  # names of unknown kind whose kinds are tried


def read(
    text: str,
    names: Mapping[str, Any] | Iterable[Symbol] = (),
    *,
    new: New = naming.NONE,
    kind: str = "scalar",
    what: str = "formula",
) -> Any:
    """Read a formula into SymPy. The text is never evaluated.

    The text may be LaTeX, with \\frac, \\beta, \\bar{w} and the like.

    ``names``: the symbols that it may contain, or {name: SymPy expression}; vectors have shape
    (D, 1). ``new`` says what an unknown name may be (``scalars``: a letter is a real scalar;
    ``conventional``: by the habits of papers; default: nothing). ``kind``: "scalar", or "any" for
    vectors and matrices as well. ``what`` names the text in errors.

    Raises ``FormulaError`` (a ``ValueError`` of one line that marks the place) for a text that
    can't be read, an unknown name (with the nearest known one) and shapes that don't fit.

    >>> import sympy as sp
    >>> from lazyrich.theory.grammar import scalars
    >>> h = sp.Symbol("h", real=True)
    >>> read("h + c*h**3", [h], new=scalars)
    c*h**3 + h
    >>> from lazyrich.theory.symbols import beta, x
    >>> read("(beta.x)**2/2", [beta, x])
    Trace(beta.T*x)**2/2
    >>> try:
    ...     read("(beta.x)^2/bta", [beta, x])
    ... except ValueError as error:
    ...     print(error)
    formula = (beta.x)^2/>>>bta<<<, character 12: unknown name; did you mean 'beta'? Known: beta, x
    """
    known = naming.table(names)
    if isinstance(text, str) and len(text) <= syntax.MAX_CHARACTERS and latex.is_latex(text):
        translation = latex.Translation(text, what, lambda name: name in known or bool(new(name)))
        try:
            return _read(translation.text, known, new, kind, what)
        except FormulaError as error:
            raise translation.error(error) from None
    return _read(text, known, new, kind, what)


def _read(text: str, known: Mapping[str, Any], new: New, kind: str, what: str) -> Any:
    tree = syntax.parse(text, what)
    found = _new_names(tree, known, new)
    for name in _in_scalar_products(tree):
        if columns := tuple(s for s in found.get(name, ()) if getattr(s, "shape", None)):
            found[name] = columns
    fixed = known | {name: options[0] for name, options in found.items() if len(options) == 1}
    undecided = {name: options for name, options in found.items() if len(options) > 1}
    if len(undecided) > MAX_UNDECIDED:
        raise ValueError(
            f"{what} = {text}: can't tell vectors from scalars among {', '.join(undecided)}; "
            "declare them"
        )
    return _first_that_fits(tree, text, fixed, undecided, kind, what, new)


def _new_names(tree: Any, known: Mapping[str, Any], new: New) -> dict[str, tuple[Symbol, ...]]:
    """The new names of a text, alone or in a run of letters, with the symbols each may be."""
    words = {str(token) for token in tree.scan_values(lambda token: token.type == "WORD")}
    around = (*tree.find_data("dotted"), *tree.find_data("norm"), *tree.find_data("inner"))
    if any(trees.primed(side) == "x_prime" for node in around for side in node.children):
        words.add("x_prime")
    unknown = sorted(w for w in words if naming.plain(w) not in known)
    found = {naming.plain(w): options for w in unknown if (options := new(naming.plain(w)))}
    for word in unknown:
        if naming.plain(word) in found:
            continue
        try:
            run = naming.split(word, {*known, *found, *new.in_runs, *naming.CONSTANTS}) or ()
        except ValueError:  # the builder will meet it, and mark the place
            continue
        pieces = map(naming.plain, run)
        ours = {*known, *naming.CONSTANTS}
        found |= {piece: new(piece) for piece in pieces if piece not in ours}
    return found


def _in_scalar_products(tree: Any) -> set[str]:
    """The names that stand alone on one side of a scalar product: they are vectors."""
    names = set()
    dotted = [n.children[::2] for n in tree.find_data("dotted") if len(n.children) > 1]
    for sides in (*dotted, *(node.children[1:4:2] for node in tree.find_data("inner"))):
        for side in sides:
            while len(getattr(side, "children", ())) == 1:
                side = side.children[0]
            if getattr(side, "type", "") == "WORD":
                names.add(naming.plain(str(side)))
    return names


def _first_that_fits(tree, text, fixed, undecided, kind, what, new) -> Any:
    """The reading with the fewest names of an unlikely kind; two such readings are an error."""
    failure: FormulaError | None = None
    for count in range(len(undecided) + 1):
        readings = []
        for changed in combinations(undecided, count):
            chosen = {n: options[n in changed] for n, options in undecided.items()}
            try:
                readings.append((changed, _build(tree, text, fixed | chosen, kind, what, new)))
            except FormulaError as error:
                if failure is None or error.position > failure.position:
                    failure = error
        if len(readings) > 1:
            either = " or ".join(", ".join(changed) for changed, _ in readings[:2])
            raise ValueError(f"{what} = {text}: can't tell what {either} is; declare it")
        if readings:
            return readings[0][1]
    assert failure is not None
    raise failure


def _build(tree: Any, text: str, names: Mapping[str, Any], kind: str, what: str, new: New) -> Any:
    value = build.Builder(text, what, names, new).build(tree)
    if kind == "scalar" and isinstance(value, MatrixExpr):
        place = len(text) - len(text.lstrip())
        found = "vector" if 1 in value.shape else "matrix"
        reason = f"is a {found} of shape {value.shape}: expected a scalar"
        raise FormulaError(text, place, len(text.strip()), reason, what)
    return value
