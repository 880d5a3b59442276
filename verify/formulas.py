"""Formulas inside text: found between dollar signs, and drawn as SVG that needs no font or network.

The ledger's texts are plain, with LaTeX between dollar signs; a text that is LaTeX as a whole may
come without them.
"""

import html
import re
from collections.abc import Callable
from functools import cache

_FORMULA = re.compile(r"(\$[^$]*\$)")
_GREEK = "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|pi|sigma|tau|phi|chi"
_SCRIPTS = r"(?:[_^](?:-?\w+|\([^()$]*\)))*"
_SYMBOL = re.compile(
    rf"(?<![\w.$\\-])(?<![\w.]')(?!(?<=\()[a-fA-F]\))(?P<base>{_GREEK}|wbar0?|He(?=_)|\d+(?=\^)|[B-HJ-Zb-z]|[aAI](?=[_^]))"
    rf"(?P<scripts>{_SCRIPTS})(?P<prime>(?:(?<=x)|(?<=x_[ij]))'|)(?![\w-]|\.[\da-z])"
)
_OPERATORS = {"<=": r"\leq", ">=": r"\geq", "!=": r"\neq", ">>": r"\gg", "<<": r"\ll", "~": r"\sim"}
_COMMANDS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # Matplotlib's path codes in SVG's letters
_EM = 100  # units of the drawing in an em


def pieces(text: str) -> list[tuple[bool, str]]:
    r"""The text in pieces: (whether it is a formula, then between dollar signs; the piece).

    >>> pieces(r"for $D = 1$ only"), pieces(r"\frac{1}{D}")
    ([(False, 'for '), (True, '$D = 1$'), (False, ' only')], [(True, '$\\frac{1}{D}$')])
    """
    if "$" not in text and re.search(r"\\[a-zA-Z]", text):
        return [(True, f"${text}$")]
    return [(part.startswith("$"), part) for part in _FORMULA.split(text) if part]


def typeset(text: str) -> str:
    r"""The text with mathematics that is written plainly put between dollar signs.

    Symbols by letter or Greek name with their scripts, norms between bars, comparisons. What is
    between dollar signs, or LaTeX as a whole, stays.

    >>> typeset("beta^T M beta <= |beta|^2 for a run at eta_0 = 10^-4")
    '$\\beta^{T}\\,M\\,\\beta$ $\\leq$ $|\\beta|^{2}$ for a run at $\\eta_{0} = 10^{-4}$'
    >>> typeset("|w - w0|/|w0| of (beta.x)^n")
    '$|w - w_{0}|/|w_{0}|$ of ($\\beta \\cdot x$)$^{n}$'
    """
    return "".join(
        part if is_formula else _typeset_plain(part) for is_formula, part in pieces(text)
    )


def _typeset_plain(text: str) -> str:
    def symbols(part: str) -> str:
        return _SYMBOL.sub(_symbol, part)

    def outside(pattern: str | re.Pattern, write: Callable[[re.Match], str], whole: str) -> str:
        parts = _FORMULA.split(whole)
        return "".join(p if p.startswith("$") else re.sub(pattern, write, p) for p in parts)

    text = outside(r"\bw0\b", lambda _: "w_0", text)
    norm = rf"\|([^|$]{{1,30}})\|({_SCRIPTS})"
    text = outside(norm, lambda m: f"$|{symbols(m[1])}|{_scripts(m[2])}$", text)
    text = outside(r"sqrt\(([^()$]*)\)", lambda m: rf"$\sqrt{{{symbols(m[1])}}}$", text)
    dot = rf"(?<![\w.-])((?:{_GREEK}|[uwx]|wbar){_SCRIPTS}'?)\.(x{_SCRIPTS}'?)(?!\w)"
    text = outside(dot, lambda m: rf"${symbols(m[1])} \cdot {symbols(m[2])}$", text)
    text = outside(r"\)\^(-?\w+)", lambda m: f")$^{{{m[1]}}}$", text)
    text = outside(_SYMBOL, lambda m: f"${_symbol(m)}$", text)
    text = re.sub(r"(?<=\|)\$/\$(?=\|)", "/", text)
    text = re.sub(r"\$ ([-+=]) \$", r" \1 ", text)
    text = re.sub(r"\$ \$", r"\\,", text)  # factors side by side are one product
    text = re.sub(r"\$ = (-?\d+(?:\.\d+)?)(?![\w./^])", r" = \1$", text)
    return outside(r" (<=|>=|!=|>>|<<|~) ", lambda m: f" ${_OPERATORS[m[1]]}$ ", text)


def _symbol(match: re.Match) -> str:
    base = match["base"]
    name = {"wbar": r"\bar{w}", "wbar0": r"\bar{w}_{0}", "He": r"\mathrm{He}"}.get(base, base)
    if base in _GREEK.split("|"):
        name = f"\\{base}"
    return f"{name}{_scripts(match['scripts'])}{match['prime']}"


def _scripts(text: str) -> str:
    """_lin and ^(k - 1) as LaTeX has them."""

    def one(match: re.Match) -> str:
        inside = match[2].strip("()")
        if re.fullmatch(r"[a-z]{3,}", inside):
            inside = rf"\mathrm{{{inside}}}"
        return f"{match[1]}{{{inside}}}"

    return re.sub(r"([_^])(-?\w+|\([^()]*\))", one, text)


def to_html(text: str) -> str:
    """The text in HTML, its formulas drawn; their LaTeX is what a pointer or a reader aloud shows.

    >>> to_html("a < b")
    'a &lt; b'
    >>> "<title>$x_i$</title>" in to_html("$x_i$")
    True
    """
    return "".join(
        _drawn(part) if is_formula else html.escape(part) for is_formula, part in pieces(text)
    )


def to_markdown(text: str) -> str:
    """The text, typeset, in Markdown: outside of formulas nothing marks anything up.

    >>> to_markdown("*any* of x_i")
    '\\\\*any\\\\* of $x_{i}$'
    """
    return "".join(
        part if is_formula else re.sub(r"([\\*_<>^~#|`&])", r"\\\1", part)
        for is_formula, part in pieces(typeset(text))
    )


@cache
def _drawn(formula: str) -> str:
    """A formula as an SVG picture; its LaTeX as it stands where Matplotlib can't set it."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath, text_to_path

    font = FontProperties(size=_EM, math_fontfamily="cm")
    source = html.escape(formula)
    try:
        width, height, descent = text_to_path.get_text_width_height_descent(formula, font, True)
        path = TextPath((0, 0), formula, prop=font)
    except ValueError:
        return f"<code>{source}</code>"
    ascent = height - descent
    segments = (
        _COMMANDS[int(code)] + ("" if code == 79 else _points(vertices, ascent))
        for vertices, code in path.iter_segments(simplify=False)
    )
    size = f"width:{width / _EM:.2f}em;height:{height / _EM:.2f}em"
    return (
        f'<svg role="img" style="{size};vertical-align:{-descent / _EM:.2f}em" '
        f'viewBox="0 0 {width:.0f} {height:.0f}"><title>{source}</title>'
        f'<path d="{"".join(segments)}"/></svg>'
    )


def _points(vertices, ascent: float) -> str:
    """x right, y down from the top, in whole units."""
    pairs = zip(vertices[::2], vertices[1::2], strict=True)
    return " ".join(f"{x:.0f} {ascent - y:.0f}" for x, y in pairs)
