"""Formulas inside text: found between dollar signs, and drawn as SVG that needs no font or network.

The ledger's texts are plain, with LaTeX between dollar signs; a text that is LaTeX as a whole may
come without them.
"""

import html
import re
from functools import cache

_FORMULA = re.compile(r"(\$[^$]*\$)")
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
