r"""LaTeX as papers have it, translated to the text that the grammar reads.

Only tokens are translated, from left to right, and nothing is evaluated. Each character of the
translation knows which characters of the LaTeX it stands for, so that an error marks these.

    fractions, roots    \frac{a}{b}, \frac12, \sqrt{a}, \sqrt[3]{a}, e^{a}, \binom{D}{2}
    names               \alpha, \varepsilon, \bar{w}, \beta_{1}, \boldsymbol{\beta}
    functions           \mathrm{tr}(M), \operatorname{Tr} M, \exp
    products, norms     a \cdot b, \langle a, b \rangle, |x|, \|x\|_2, \lVert x \rVert, \|A\|_F
    transposes          x^\top, x^T, x' (but x' is x_prime, w' is w_prime where no factor follows)
    brackets, spaces    \left( \right), \bigl[ \bigr], \{ \}, M^{2}, \, \quad
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lazyrich.theory.grammar.errors import MEAN_INSIDE, FormulaError
from lazyrich.theory.grammar.functions import ALIASES, FUNCTIONS
from lazyrich.theory.grammar.names import GREEK

_BINOMIALS = ("binom", "dbinom", "tbinom")
_FRACTIONS = ("frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac")
_FONTS = (
    *("mathrm", "mathbf", "mathit", "mathsf", "mathcal", "boldsymbol", "bm", "vec"),
    *("text", "textrm", "textbf", "operatorname", "pmb", "symbf", "symbfit", "mathfrak"),
)
_ACCENTS = {"bar": "bar", "overline": "bar", "hat": "hat", "tilde": "tilde"}
_SPACES = (*" ,;:!()[]", "quad", "qquad", "displaystyle", "textstyle", "bf", "it", "rm", "sf")
_SIGNS = {
    **{"cdot": "·", "times": "×", "ast": "*", "div": "/", "|": "|", "{": "(", "}": ")"},
    **dict.fromkeys(["lvert", "rvert", "lVert", "rVert", "vert", "Vert", "mid"], "|"),
    **{"lbrace": "(", "rbrace": ")", "lbrack": "[", "rbrack": "]"},
}
_NAMES = {
    **{name: name for name in {*GREEK.values(), "ell"}},
    **{f"var{name}": name for name in ("epsilon", "phi", "theta", "rho", "sigma", "pi", "kappa")},
    **{name: name for name in (*FUNCTIONS, *ALIASES)},
}
_T_FONT = r"\\(?:mathrm|mathsf|mathbf|text|textrm|mathit|rm|sf|bf)(?![A-Za-z])"
_TRANSPOSE = rf"\\top|\\intercal|{_T_FONT}\s*(?:\{{\s*T\s*\}}|T)|T"
_RAISED = r"(?:\\!|\\,|\\mkern\s*-?[\d.]+mu|\s)*"  # what moves a transpose sign
_TOKEN = re.compile(
    r"(?P<size>\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\s*\.?)"
    rf"|(?P<transpose>\^\s*(?:\{{{_RAISED}(?:{_TRANSPOSE})\s*\}}|(?:{_TRANSPOSE})(?![A-Za-z])))"
    r"|(?P<prime>'|\^\s*\\prime(?![A-Za-z])|\^\s*\{\s*\\prime\s*\})"
    r"|(?P<root>\\sqrt\s*\[\s*\d+\s*\])"
    r"|\\(?P<command>[A-Za-z]+|.)"
    r"|(?P<norm>_\s*(?:[2F](?![A-Za-z0-9])|\{\s*[2F]\s*\}))"
    r"|(?P<index>_\s*(?:(?:prime|noise)(?![A-Za-z])|\d+|[A-Za-z]))"
    r"|(?P<euler>(?<![A-Za-z])e(?:\s*\^|(?![A-Za-z_])))|(?P<number>\d+(?:\.\d+)?)|(?P<space>[\s~]+)|(?P<other>.)",
    re.DOTALL,
)
_A_FACTOR = re.compile(r"(?:[\s~]|\\[,;:! ])*(?:[A-Za-z(\[{]|\\(?:left\s*[(\[]|[A-Za-z]+))")
_NO_FACTOR = re.compile(
    r"(?:[\s~]|\\[,;:! ])*\\(?:right|cdot|times|rangle|rvert|rVert|[bB]igg?r|div)(?![A-Za-z])"
)
_A_VECTOR_TIMES_X = re.compile(r"(?<![A-Za-z_])(?:x|w|x_prime|w_prime)\s*·\s*[xw]$")
_EDGE = " $\n\t"


@dataclass
class _Open:
    """What is open: the text that closes it, and what comes next if it is an argument."""

    close: str
    opening: str = ""
    then: "_Open | None" = None  # a second argument
    is_product: bool = False  # of \\langle a, b \\rangle
    commas: int = 0
    is_name: bool = False  # an index or a font: what is inside is part of a name


def is_latex(text: str) -> bool:
    r"""Return whether a text is LaTeX: it has a command, or dollar signs around it.

    >>> is_latex(r"\beta'M\beta"), is_latex("$x^2$"), is_latex("beta'M beta")
    (True, True, False)
    """
    stripped = text.strip()
    in_dollars = len(stripped) > 2 and stripped.startswith("$") and stripped.endswith("$")
    return "\\" in text or in_dollars


class Translation:
    r"""A LaTeX formula as a text of the grammar, with the place of each of its characters.

    ``is_name(name)`` says whether a formula may contain a name: x' is the second argument x_prime
    where that may stand there, and a factor after it shows that no transpose is meant.

    >>> Translation(r"\frac{3 |\beta|^4}{4 D^{2}}").text
    '((3 |beta|^4)/(4 D^(2)))'
    >>> Translation(r"\langle \bar{w}, x\rangle + \sqrt{2}\,\operatorname{tr}\left(M\right)").text
    '(( wbar)·( x)) + sqrt(2) tr(M)'
    """

    def __init__(
        self,
        latex: str,
        what: str = "formula",
        is_name: Callable[[str], bool] = lambda name: False,  # noqa: ARG005
    ):
        self.latex, self.what, self._is_name = latex, what, is_name
        self._out: list[str] = []
        self._places: list[tuple[int, int]] = []
        self._open: list[_Open] = []
        self._wanted: _Open | None = None  # the argument that comes next
        self._apart = False  # whether a letter that follows begins a name
        kinds = {match.lastgroup for match in _TOKEN.finditer(latex)}
        self._has_transposes = "transpose" in kinds
        start, end = (len(latex) - len(latex.lstrip(_EDGE)), len(latex.rstrip(_EDGE)))
        self._read(start, end)
        if self._wanted or self._open:
            closing = r"\rangle" if self._open and self._open[-1].is_product else "}"
            raise self._fail(end, end, f"expected '{closing}' before the end")

    @property
    def text(self) -> str:
        """The text that the grammar reads."""
        return "".join(self._out)

    def error(self, error: FormulaError) -> FormulaError:
        """The error of the translation as one of the LaTeX."""
        first, last = error.position, error.position + error.length
        if first >= len(self._places):
            start = end = len(self.latex.rstrip(_EDGE))
        else:
            places = self._places[first : max(last, first + 1)]
            start, end = min(a for a, _ in places), max(b for _, b in places)
        return FormulaError(self.latex, start, end - start, error.reason, self.what)

    # Tokens

    def _read(self, position: int, end: int) -> None:
        while position < end:
            match = _TOKEN.match(self.latex, position, end)
            assert match is not None
            kind, place = str(match.lastgroup), match.span()
            position = match.end()
            if self._wanted and kind != "space":
                self._argument(kind, match[0], place)
            else:
                self._token(kind, match[0], place)

    def _argument(self, kind: str, token: str, place: tuple[int, int]) -> None:
        """Begin the argument that a command needs: in braces, or one character or command."""
        wanted, self._wanted = self._wanted, None
        assert wanted is not None
        is_group = token == "{"
        self._emit(wanted.opening, place if is_group else (place[0], place[0]))
        if is_group:
            self._open.append(wanted)
            return
        takes_more = token.lstrip("\\") in (*_FRACTIONS, "sqrt", *_ACCENTS, *_FONTS, "langle")
        if kind not in ("number", "other", "command") or token in "}_&" or takes_more:
            raise self._fail(*place, "expected '{'")
        if kind == "number" and len(token) > 1:  # \frac12: TeX takes one digit
            middle = place[0] + 1
            self._token(kind, token[0], (place[0], middle))
            self._close(wanted, (middle, middle))
            (self._argument if self._wanted else self._token)(kind, token[1:], (middle, place[1]))
            return
        self._token(kind, token, place)
        self._close(wanted, (place[1], place[1]))

    def _token(self, kind: str, token: str, place: tuple[int, int]) -> None:
        if kind in ("size", "space"):
            inside_name = bool(self._open) and self._open[-1].is_name
            self._emit("" if inside_name or kind == "size" else " ", place)
        elif kind == "transpose":
            self._emit("^T" if token[1:].strip(" {}") == "T" else "'", place)
        elif kind == "norm" and (of_norm := re.search(r"[|](\^\(?\d+\)?)?$", self.text)):
            if "F" in token and of_norm[1]:
                raise self._fail(*place, "expected the index before the power")
            self._emit("_F" if "F" in token else "", place)
        elif kind == "prime":
            self._prime(place)
        elif token == "e" and kind == "euler":
            self._emit("exp(1)", place)
        elif kind in ("euler", "root"):
            self._emit("exp" if kind == "euler" else "", place)
            power = "" if kind == "euler" else f"^(1/{re.sub(r'[^0-9]', '', token)})"
            self._wanted = _Open(f"){power}", opening="(")
        elif kind == "command":
            self._command(token[1:], place)
        elif kind in ("index", "norm"):
            self._emit("_" + token[1:].strip(" {}"), place)
            self._apart = True
        elif token == "_":
            self._emit("_", place)
            self._wanted = _Open("", is_name=True)
        elif token == "{":
            self._emit("(", place)
            self._open.append(_Open(")"))
        elif token == "}":
            if not self._open or self._open[-1].is_product:
                raise self._fail(*place, "nothing is open that this could close")
            self._close(self._open.pop(), place)
        elif token == "," and self._open and self._open[-1].is_product:
            self._open[-1].commas += 1
            self._emit(")·(", place)
        else:
            self._emit(token, place)

    def _command(self, name: str, place: tuple[int, int]) -> None:
        if name in _FRACTIONS:
            self._emit("(", place)
            self._wanted = _Open(")", opening="(", then=_Open("))", opening="/("))
        elif name in _BINOMIALS:
            self._emit("binom(", place)
            self._wanted = _Open(")", opening="(", then=_Open("))", opening=",("))
        elif name == "sqrt":
            self._emit("sqrt", place)
            self._wanted = _Open(")", opening="(")
        elif name in _ACCENTS or name in _FONTS:
            self._apart = True
            self._wanted = _Open(_ACCENTS.get(name, ""), is_name=True)
        elif name == "choose":
            raise self._fail(*place, r"write \binom{n}{k}")
        elif name in ("mathbb", "E"):
            raise self._fail(*place, MEAN_INSIDE)
        elif name == "norm":
            self._wanted = _Open("|", opening="|")
        elif name == "langle":
            self._emit("((", place)
            self._open.append(_Open("))", is_product=True))
        elif name == "rangle":
            self._end_product(place)
        elif name in _SPACES or name in _SIGNS:
            self._emit(_SIGNS.get(name, " "), place)
        elif name in _NAMES:
            self._apart = True
            self._emit(_NAMES[name], place)
            self._apart = True
        else:
            raise self._fail(*place, "a LaTeX command that is not read in a formula")

    def _close(self, one: _Open, place: tuple[int, int]) -> None:
        self._apart = False
        self._emit(one.close, place)
        self._apart = True
        if one.then is not None:
            self._wanted = one.then

    def _end_product(self, place: tuple[int, int]) -> None:
        if not self._open or not self._open[-1].is_product:
            raise self._fail(*place, "nothing is open that this could close")
        one = self._open.pop()
        if one.commas != 1:
            reason = MEAN_INSIDE if not one.commas else "expected a, b"
            raise self._fail(*place, reason)
        self._emit(one.close, place)

    def _prime(self, place: tuple[int, int]) -> None:
        """x' is x_prime, and w' is w_prime, where that is a name and no factor follows.

        Else it is a transpose. In x \\cdot x' (...) it is x_prime too: a vector times a row has
        no meaning.
        """
        rest, tail = self.latex[place[1] : place[1] + 40], "".join(self._out[-12:])
        is_followed = _A_FACTOR.match(rest) and not _NO_FACTOR.match(rest)
        is_followed = is_followed and not _A_VECTOR_TIMES_X.search(tail)
        found = re.search(r"(?<![a-z_])[xw]$", tail)
        is_second = found is not None and self._is_name(f"{found[0]}_prime")
        if is_second and (self._has_transposes or not is_followed):
            if tail[-2:-1].isalnum():  # Ax' is A x_prime
                self._out.insert(-1, " ")
                self._places.append(self._places[-1])
            self._emit("_prime", place)
            self._apart = True
        else:
            self._emit("'", place)

    # Characters

    def _emit(self, text: str, place: tuple[int, int]) -> None:
        """Add characters, after a space where a name begins that would go on with the last one."""
        if text and self._apart and text[0].isalnum() and self._after_letter():
            text = " " + text
        if text:
            self._apart = False
        self._out += text  # character by character
        self._places += [place] * len(text)

    def _after_letter(self) -> bool:
        return bool(self._out) and self._out[-1].isalnum()

    def _fail(self, start: int, end: int, reason: str) -> FormulaError:
        return FormulaError(self.latex, start, end - start, reason, self.what)
