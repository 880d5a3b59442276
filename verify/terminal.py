r"""Formulas for a terminal: LaTeX between dollar signs as plain characters.

Fractions become a/b, scripts go up and down where Unicode has them, Greek is Greek.
"""

import re
import unicodedata

from lazyrich.verify.formulas import pieces, typeset

_NAMES = {
    "top": "T",
    "cdot": "·",
    "rangle": "⟩",
    "langle": "⟨",
    "geq": "≥",
    "leq": "≤",
    "neq": "≠",
    "sim": "~",
    "gg": "≫",
    "ll": "≪",
    "propto": "∝",
    "nabla": "∇",
    "to": "→",
    "sum": "Σ",
    "ldots": "...",
    "in": "∈",
    "mp": "∓",
    "pm": "±",
    "times": "×",
    "infty": "∞",
    "ell": "ℓ",
    "approx": "≈",
    "int": "∫",
    "quad": " ",
    "left": "",
    "right": "",
    "rm": "",
    "mathrm": "",
    "text": "",
    "mathcal": "",
    "operatorname": "",
}
_SPACED = "≥≤≠~≫≪∝→∈≈="
_UP = dict(zip("0123456789+-=()nijkTL*", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱʲᵏᵀᴸ*", strict=True))
_DOWN = dict(zip("0123456789+-=()ijkmnptx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ᵢⱼₖₘₙₚₜₓ", strict=True))
_ACCENTS = {"bar": "\u0304", "dot": "\u0307", "hat": "\u0302", "tilde": "\u0303"}
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[{}_^]|\s+|.", re.DOTALL)


def to_text(text: str) -> str:
    r"""The text with its formulas in plain characters.

    >>> to_text(r"eigenvalue $\frac{2\epsilon^{2}}{D^2} x'_i$ of $\bar{w}$, $|\beta|^{2}$")
    "eigenvalue 2ε²/D² x'ᵢ of w̄, |β|²"
    >>> to_text(r"$\frac{1}{D}(1 + \frac{2}{D})\, \alpha^{-1/2}$, $x^\top M x \geq 0$")
    '1/D (1 + 2/D) α^(-1/2), xᵀ M x ≥ 0'
    """
    return "".join(
        _Formula(part[1:-1]).text() if is_formula else part for is_formula, part in pieces(text)
    )


def plain(text: str) -> str:
    """The text in plain characters, with mathematics that is written plainly as well.

    >>> plain("beta^T M beta of $x_i$ and wbar0")
    'βᵀ M β of xᵢ and w̄₀'
    """
    return to_text(typeset(text))


class _Formula:
    """LaTeX read from left to right."""

    def __init__(self, source: str) -> None:
        self.tokens = _TOKEN.findall(source)
        self.at = 0

    def text(self) -> str:
        parts = []
        while self.at < len(self.tokens):
            parts.append(self._next())
        line = "".join(parts)
        line = re.sub(rf"\s*([{_SPACED}])\s*", r" \1 ", line)
        line = re.sub(r"log +([^\s()]+/[^\s()]+)", r"log(\1)", line)
        line = re.sub(r"\b(log|exp|sinh|asinh|min|max|sign) \(", r"\1(", line)
        line = re.sub(r"\b(min|max) (?=[_ᵢₖ])", r"\1", line)
        line = re.sub(r"⟨\s+|\s+(?=⟩)", lambda m: m[0].strip(), line)
        return " ".join(line.split())

    def _next(self) -> str:
        token = self.tokens[self.at]
        self.at += 1
        if token == "{":
            return self._until_closed()
        if token in "_^":
            return _script(token, self._argument())
        if token.isspace():
            return " "
        if token.startswith("\\"):
            return self._command(token[1:])
        return "" if token == "}" else token

    def _until_closed(self) -> str:
        parts = []
        while self.at < len(self.tokens) and self.tokens[self.at] != "}":
            parts.append(self._next())
        self.at += 1
        return "".join(parts)

    def _argument(self) -> str:
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1
        return self._next().strip() if self.at < len(self.tokens) else ""

    def _command(self, name: str) -> str:
        if name == "frac":
            above, below = self._argument(), self._argument()
            followed = self.at < len(self.tokens) and self.tokens[self.at] not in " )]}.,"
            return f"{_grouped(above)}/{_divisor(below)}{' ' if followed else ''}"
        if name == "sqrt":
            return f"√{_grouped(self._argument())}"
        if name in _ACCENTS:
            return self._argument() + _ACCENTS[name]
        if name in _NAMES:
            return _NAMES[name]
        if not name.isalpha():  # spaces such as \, and escaped characters such as \{
            return " " if name in ",;: " else "" if name == "!" else name
        try:
            size = "CAPITAL" if name[0].isupper() else "SMALL"
            return unicodedata.lookup(f"GREEK {size} LETTER {name.replace('lambda', 'lamda')}")
        except KeyError:
            return f"{name} "


def _script(kind: str, inside: str) -> str:
    table = _UP if kind == "^" else _DOWN
    if inside and all(char in table for char in inside):
        return "".join(table[char] for char in inside)
    return kind + (inside if len(inside) == 1 or inside.isalnum() else f"({inside})")


def _grouped(part: str) -> str:
    """Brackets around what is more than one factor."""
    return f"({part})" if re.search(r"[\s+\-/·]", part) else part


def _divisor(part: str) -> str:
    """Brackets around all but a number or a symbol with its scripts."""
    scripts = "".join([*_UP.values(), *_DOWN.values()])
    if re.fullmatch(rf"\d+|\w[\u0300-\u036f{scripts}]*", part):
        return part
    return f"({part})"
