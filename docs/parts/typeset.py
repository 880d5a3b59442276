"""Plain sentences of the code as Markdown: their mathematics typeset, nothing else marked up.

Docstrings and derivations are read in terminals, so they write ``|beta|^2`` or ``x^T M x'``, and
captions β². A page typesets them. The reader below finds the longest runs of symbols, numbers and
operators in a sentence and turns each into LaTeX; words, numbers alone, panels of a figure,
``$...$`` and ```code``` stay.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu",
    "nu", "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega",
    "Gamma", "Delta", "Theta", "Lambda", "Pi", "Sigma", "Phi", "Psi", "Omega",
}  # fmt: skip
OPERATORS = {"Tr", "tr", "diag", "det", "rank", "sgn", "He", "Var", "Cov", "NTK", "asinh", "erf"}
FUNCTIONS = {"log", "exp", "sqrt", "sinh", "cosh", "tanh", "max", "min"}
SYMBOLS = {
    "ones": r"\mathbf{1}", "infinity": r"\infty", "grad": r"\nabla", "Df": r"D\!f", "ell": r"\ell",
    "Gsym": r"G_{s}", "sum": r"\sum",
}  # fmt: skip
ACCENTS = {"bar": "bar", "hat": "hat", "tilde": "tilde"}
BINARY = {
    "+": "+", "-": "-", "=": "=", "<=": r"\le", ">=": r"\ge", "!=": r"\ne", ">>": r"\gg",
    "<<": r"\ll", "<": "<", ">": ">", "->": r"\to", "~": r"\sim", "/": "/", "*": "",
    "∝": r"\propto",
}  # fmt: skip
TOKEN = re.compile(
    r"(?P<math>\$[^$]*\$)|(?P<code>`[^`]*`)|(?P<skip>\b(?:i\.e\.|e\.g\.|i\.i\.d\.))"
    r"|(?P<panel>(?<![A-Za-z_'^)\]}|])\([a-g]′?\))"
    r"|(?P<letter>[α-ωΣ∞]|√(?=\())|(?P<high>⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+|ᵀ)|(?P<low>[₀-₉]+)|(?P<mark>[·−′→≤≥±∝])"
    r"|(?P<link>\b[a-z]+(?:-[a-z\d]+)+(?:\.\d+)?\b)|(?P<word>\b[A-Za-z]{2,}'(?:s|t|re|ll)\b)"
    r"|(?P<identifier>\b[a-z]{3,}(?:[._][a-z]{3,})+\b)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?(?:e[-+]?\d+)?)|(?P<name>[A-Za-z]+)"
    r"|(?P<op><=|>=|!=|>>|<<|->|\+-|\.\.+|[-+=<>~/*^_|.,()\[\]{}'])|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)


LETTERS = {
    chr(code): unicodedata.name(chr(code)).split()[-1].lower().replace("lamda", "lambda")
    for code in range(ord("α"), ord("ω") + 1)
} | {"Σ": "sum", "∞": "infinity", "√": "sqrt"}  # fmt: skip
MARKS = {"·": ".", "−": "-", "′": "'", "→": "->", "≤": "<=", "≥": ">=", "±": "+-", "∝": "∝"}


class Token(NamedTuple):
    """A piece of a sentence: its kind, how the reader sees it, and how it was written."""

    kind: str
    text: str
    raw: str


class NoMathematics(Exception):
    """What starts here is no formula."""


def markdown(text: str, link: Callable[[str], str] = lambda _name: "") -> str:
    r"""The sentence with its mathematics between dollar signs, as Markdown.

    ``link(name)`` may give the address of a hyphenated name; "" leaves it as it is.

    >>> markdown("Its mean is epsilon^2 |beta|^2/D for w_i ~ N(0, sigma^2 I).")
    'Its mean is $\\epsilon^{2}|\\beta|^{2}/D$ for $w_{i} \\sim N(0,\\, \\sigma^{2} I)$.'
    >>> markdown("3 of them, a kernel <K^2>, wbar.x and *no* more")
    '3 of them, a kernel $\\langle K^{2}\\rangle$, $\\bar{w}\\cdot x$ and \\*no\\* more'
    >>> markdown("Fig. 3(a), (d) D = 20, f(a) within 948 [797, 1e+03]")
    'Fig. 3(a), (d) $D = 20$, $f(a)$ within 948 [797, 1e+03]'
    >>> markdown("at T+_(1/2) and 10^2.5, w_i0, wbar0 and w0: a max-L_1-margin")
    'at $T^{+}_{1/2}$ and $10^{2.5}$, $w_{i0}$, $\\bar{w}_{0}$ and $w_{0}$: a max-$L_{1}$-margin'
    >>> markdown("linear ones: I - ones ones^T/n")
    'linear ones: $I - \\mathbf{1} \\mathbf{1}^{T}/n$'
    >>> markdown("η₀·step, |β|² = D, √(αε), T = 30,000, they do")
    '$\\eta_{0}$·step, $|\\beta|^{2} = D$, $\\sqrt{\\alpha \\epsilon}$, $T = 30{,}000$, they do'
    """
    tokens = list(_tokens(text))
    out, i = [], 0
    while i < len(tokens):
        token = tokens[i]
        formula = _Formula(tokens, i)
        before = tokens[i - 1] if i else Token("space", " ", " ")
        glued = before.kind in {"number", "name"} or before.text in {"-", "_", "^", "'"}
        if before.text == "-" and i > 1 and tokens[i - 2].text in {"max", "min"}:
            glued = False  # the max-L_1 margin
        if not glued and token.kind in {"name", "number", "op"} and (run := formula.run()):
            out.append(f"${run}$")
            i = formula.at
        elif token.kind == "link" and (address := link(token.text)):
            out.append(f"[{token.text}]({address})")
            i += 1
        elif token.kind == "link" and token.text[1] == "-":
            out.append(f"${token.text[0]}${token.text[1:]}")  # the j-th
            i += 1
        elif token.kind == "identifier":
            out.append(f"`{token.text}`")
            i += 1
        else:
            keep = token.kind in {"math", "code"}
            out.append(token.raw if keep else re.sub(r"([\\*_<>^~#|`])", r"\\\1", token.raw))
            i += 1
    return "".join(out)


def _tokens(text: str) -> Iterator[Token]:
    """The pieces of a sentence; ``beta.wbar`` is a product, ``rich.flow`` a name of the code."""
    for match in TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "identifier" and re.split(r"[._]", match[0])[0] in {*GREEK, *SYMBOLS, "wbar"}:
            first = re.match(r"[a-z]+", match[0])
            assert first is not None
            yield Token("name", first[0], first[0])
            yield from _tokens(match[0][first.end() :])
        elif kind in {"letter", "mark"}:
            name = "name" if kind == "letter" else "op"
            yield Token(name, {**LETTERS, **MARKS}[match[0]], match[0])
        elif kind in {"high", "low"}:
            yield from _script(match[0], "^" if kind == "high" else "_")
        else:
            yield Token(kind, match[0], match[0])


def _script(raw: str, mark: str) -> Iterator[Token]:
    """A superscript or subscript as the mark and what it marks; written by the first of them."""
    yield Token("op", mark, raw)
    text = unicodedata.normalize("NFKC", raw)
    if text[0] == "−":
        yield Token("op", "-", "")
    text = text.lstrip("−")
    yield Token("number" if text.isdigit() else "name", text, "")


class _Formula:
    """A recursive-descent reader of one formula in the tokens of a sentence."""

    def __init__(self, tokens: list[Token], at: int):
        self.tokens, self.start, self.at, self.symbols = tokens, at, at, 0

    def run(self) -> str:
        """The LaTeX of the longest formula from the start on; "" where there is none."""
        try:
            text = self.sum()
        except NoMathematics:
            return ""
        alone = "".join(token.text for token in self.tokens[self.start : self.at])
        is_plain = not self.symbols and not re.search(r"[\^=<>]", alone)
        return "" if is_plain or alone in {"a", "A", "I"} else re.sub(r" +(?=[|^_)}]|$)", "", text)

    def peek(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else Token("end", "", "")

    def attempt(self, reader: Callable[[], str]) -> str | None:
        """What the reader finds; None, and nothing read, where it finds no formula."""
        at, symbols = self.at, self.symbols
        try:
            return reader()
        except NoMathematics:
            self.at, self.symbols = at, symbols
            return None

    def sum(self, closing: str = "") -> str:
        """Products between operators; ``closing`` is an operator that ends it."""
        text = self.product()
        while True:
            more = self.attempt(lambda: self.operation(closing))
            if more is None:
                return text
            text += more

    def operation(self, closing: str) -> str:
        if self.peek().text.startswith(".."):
            self.at += 1
            return rf"\dots {self.product()}"
        spaced = self.space()
        token = self.peek()
        if token.text not in BINARY or token.text == closing:
            raise NoMathematics
        if bool(spaced) != (self.peek(1).kind == "space") and token.text != "/":
            raise NoMathematics  # "K -1", or a hyphen
        self.at += 1
        self.space()
        gap = " " if spaced else ""
        sign = BINARY[token.text]
        if sign.startswith("\\"):
            gap = " "
        right = self.attempt(self.product)
        if right is None and token.text == "-" and not spaced:
            raise NoMathematics  # the L_1-margin
        if right is None and token.text in {"+", "-", "*", "/"} and self.peek().kind == "name":
            right = rf"\text{{{self.peek().text}}}"
            self.at += 1
        if right is None:
            raise NoMathematics
        return f"{gap}{sign}{gap}{right}"

    def product(self) -> str:
        text = self.factor()
        while True:
            more = self.attempt(self.another_factor)
            if more is None:
                return text
            text += more

    def another_factor(self) -> str:
        if self.peek().text == ".":
            self.at += 1
            if self.peek().kind != "name":
                raise NoMathematics
            return r"\cdot " + self.factor()
        spaced = self.space()
        token, after = self.peek(), self.peek(1)
        if token.text in {"-", "+"} or token.kind == "number":
            raise NoMathematics
        if spaced and token.text in {"a", "A"} and after.kind == "space":
            following = self.peek(2).text
            if following.isalpha() and len(following) > 1 and following not in GREEK:
                raise NoMathematics  # the article
        if spaced and token.text in {"(", "<"} and self.tokens[self.at - 2].kind == "name":
            inside = "".join(t.text for t in self.tokens[self.at : self.at + 12])
            if not re.match(r"\([^()]*[-+/^]|<\S", inside):
                raise NoMathematics  # a remark in brackets, or a comparison
        return " " * bool(spaced) + self.factor()

    def space(self) -> str:
        """Skip white space and return it."""
        if self.peek().kind != "space":
            return ""
        self.at += 1
        return self.peek(-1).text

    def factor(self) -> str:
        """An atom with its scripts and primes."""
        text = self.atom()
        while True:
            if self.peek().text in {"_", "^"}:
                more = self.attempt(self.script)
                if more is None:
                    return text
                text += more
            elif self.peek().kind == "number" and self.tokens[self.at - 1].kind == "name":
                number = self.peek().text  # of w0, and of w_i0
                is_script = re.search(r"_\{\w+\}$", text)
                text = f"{text[:-1]}{number}}}" if is_script else f"{text}_{{{number}}}"
                self.at += 1
            elif self.peek().text in {"*", "-", "+"} and self.ends_word():
                text += f"^{{{self.peek().text}}}"  # t*, T-
                self.at += 1
            elif self.peek().text == "'" and self.peek(1).kind not in {"name", "number"}:
                self.at += 1
                text += "'"
            elif self.peek().text == "(" and self.peek(-1).kind != "space":
                more = self.attempt(self.brackets)
                if more is None:
                    return text
                text += more
            else:
                return text

    def ends_word(self) -> bool:
        """Whether the mark here ends a word: a blank, a comma or a bracket follows it."""
        after = self.peek(1)
        return self.tokens[self.at - 1].kind == "name" and (
            after.kind in {"space", "end"}
            or after.text in {",", ")", ">", ";", ":", "."}
            or (after.text == "_" and self.peek(2).text == "(")  # T+_(1/2)
        )

    def atom(self) -> str:
        token = self.peek()
        if token.kind == "number":
            self.at += 1
            return token.text.replace(",", "{,}")
        if token.kind == "name":
            return self.name(token.text)
        readers = {
            "(": self.brackets, "[": self.brackets, "{": self.brackets, "|": self.norm,
            "<": self.mean, "-": self.minus, "+-": self.minus, "_": self.dummy,
        }  # fmt: skip
        if token.text not in readers:
            raise NoMathematics
        return readers[token.text]()

    def dummy(self) -> str:
        """_s, a variable that is integrated out."""
        self.at += 1
        if self.peek().kind != "name":
            raise NoMathematics
        return self.name(self.peek().text)

    def name(self, text: str) -> str:
        self.at += 1
        follows = self.peek()
        if text in FUNCTIONS and (follows.text in {"(", "^", "_"} or text in {"max", "min"}):
            return self.function(text)
        if text in OPERATORS:
            is_trace = text in {"Tr", "tr"} and follows.kind == "space"
            if not (is_trace or follows.text in {"(", "_", "/"}):
                raise NoMathematics
            self.symbols += 1
            return rf"\operatorname{{{text}}}" + ("\\," if is_trace else "")
        found = _symbol(text)
        if text in {"sum", "ell", "ones"} and follows.text != "_":
            after = self.peek(1)
            dot = follows.text == "." and after.kind == "name"
            vector = dot or follows.text in {"^", "'"} or after.text == "ones"
            found = SYMBOLS["ones"] if text == "ones" and vector else ""  # else the word
        if not found and follows.text == "_" and len(text) < 4:
            found = rf"\mathrm{{{text}}}"
        if not found and follows.text == "^":
            found = rf"\text{{{text}}}"
        if not found:
            raise NoMathematics
        self.symbols += 1
        return found

    def function(self, name: str) -> str:
        self.symbols += 1
        if name in {"max", "min"} and (
            self.peek().text == "-" or (self.peek().kind == "space" and self.peek(1).kind != "name")
        ):
            raise NoMathematics
        if name != "sqrt":
            return f"\\{name}"
        self.at += 1
        inside = self.list_until(")")
        return rf"\sqrt{{{inside}}}"

    def minus(self) -> str:
        if self.peek(1).kind == "space":
            raise NoMathematics
        sign = {"-": "-", "+-": r"\pm "}[self.peek().text]
        self.at += 1
        return sign + self.product()

    def brackets(self) -> str:
        opening = self.peek().text
        closing = {"(": ")", "[": "]", "{": "}"}[opening]
        self.at += 1
        inside = self.list_until(closing)
        if opening == "{":
            return rf"\{{{inside}\}}"
        return f"{opening}{inside}{closing}"

    def list_until(self, closing: str) -> str:
        """Sums with commas between them, up to a closing bracket, which is read too."""
        parts = [self.entry()]
        while self.peek().text == ",":
            self.at += 1
            self.space()
            parts.append(self.entry())
        if self.peek().text != closing:
            raise NoMathematics
        self.at += 1
        return r",\, ".join(parts)

    def entry(self) -> str:
        if self.peek().text.startswith(".."):
            self.at += 1
            return r"\dots"
        return self.sum()

    def norm(self) -> str:
        self.at += 1
        if self.peek().kind == "space":
            raise NoMathematics
        inside = self.sum("|")
        if self.peek().text != "|":
            raise NoMathematics
        self.at += 1
        return f"|{inside.strip()}|"

    def mean(self) -> str:
        """<...>, an average: nothing between it and its brackets, unlike a comparison."""
        self.at += 1
        if self.peek().kind == "space":
            raise NoMathematics
        parts = [self.sum(">")]
        while self.peek().text == ",":
            self.at += 1
            self.space()
            parts.append(self.sum(">"))
        if self.peek().text != ">":
            raise NoMathematics
        self.at += 1
        inside = r",\, ".join(parts).strip()
        return rf"\langle {inside}\rangle "

    def script(self) -> str:
        mark = self.peek().text
        self.at += 1
        token = self.peek()
        sign = ""
        if token.text == "-":
            sign, token = "-", self.peek(1)
            self.at += 1
        if token.text == "(":
            inside = self.brackets()[1:-1]
        elif token.kind in {"number", "name"}:
            self.at += 1
            inside = self.inside_script(token.text)
        elif token.text in {"+", "*"}:
            self.at += 1
            inside = token.text
        else:
            raise NoMathematics
        return f"{mark}{{{sign}{inside}}}"

    @staticmethod
    def inside_script(text: str) -> str:
        return _symbol(text).strip() or (
            rf"\mathrm{{{text}}}" if text.isalpha() and len(text) > 2 else text
        )


def _symbol(text: str) -> str:
    """A symbol by its name, with bar, hat and the d of a derivative; "" where it is no symbol."""
    if text in GREEK:
        return f"\\{text} "
    if text in SYMBOLS:
        return SYMBOLS[text] + (" " if SYMBOLS[text][-1].isalpha() else "")
    for ending, accent in ACCENTS.items():
        base = text.removesuffix(ending)
        if base != text and (base in GREEK or (len(base) == 1 and ending == "bar")):
            return rf"\{accent}{{{_symbol(base).strip()}}}"
    if len(text) == 1:
        return text
    if (
        text[0] == "d"
        and text != "do"
        and (len(text) == 2 or text[1:] in GREEK or text[1:] == "wbar")
    ):
        return f"d{_symbol(text[1:])}"
    return ""
