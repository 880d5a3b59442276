"""From text to a tree: the tokens, the rules, and which side of a norm a bar is.

A product may be written without a sign. Factors without a space between them (``2x``, ``A'x``,
``D(D + 2)``) bind more tightly than a scalar product, so that ``x.Ax`` is x.(A x); factors with a
space bind as loosely as ``*``, so that ``a.x b.x`` is (a.x)(b.x). A division followed by a product
without brackets, as in ``1/2D``, is refused where it can be read in two ways (``build.py``).
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from lazyrich.support.arguments import shown
from lazyrich.theory.grammar.errors import MEAN_INSIDE, FormulaError
from lazyrich.theory.grammar.functions import ALIASES, FUNCTIONS
from lazyrich.theory.grammar.names import PLACEHOLDERS

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

MAX_CHARACTERS = 20_000
MAX_BRACKETS = 40  # one inside the other
MAX_DEPTH = 500  # levels of the tree: about nine for each bracket

_LETTER = f"A-Za-zΑ-Ωα-ωϵϕϑϱ{PLACEHOLDERS[0]}-{PLACEHOLDERS[-1]}"
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"

# Sums and products are flat lists, so that the tree is no deeper than the brackets.
_RULES = r"""
start: sum
sum: product ((PLUS | MINUS) product)*
product: signed ((TIMES | DIVIDE | LOOSE) signed)*
signed: (PLUS | MINUS)* dotted
dotted: tight (DOT tight)*
tight: power (TIGHT power)*
power: postfix (CARET exponent)?
exponent: (PLUS | MINUS)* postfix (CARET exponent)?
postfix: atom (PRIME | SUPER | FACTORIAL)*
?atom: NUMBER | WORD | call | group | norm | trace | inner
call: FUNCTION LEFT sum (COMMA sum)* RIGHT
group: LEFT sum RIGHT
norm: LEFT_BAR sum RIGHT_BAR NORM_INDEX?
trace: TRACE WORD
inner: LEFT_ANGLE sum COMMA sum RIGHT_ANGLE
"""


def _tokens() -> str:
    functions = "|".join(sorted({*FUNCTIONS, *ALIASES} - {"Gamma"}, key=len, reverse=True))
    # Gamma is a matrix too: it is the function before brackets with only numbers and D.
    gamma = r"Gamma(?=\s*\([\dD\s.()\/+*-]*\))"
    return rf"""
NUMBER: /[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/ | /(?<![\w)\]}}|'])\.[0-9]+([eE][+-]?[0-9]+)?/
FUNCTION.2: /(?:{functions}|He_(?:[0-9]+|\{{[0-9]+\}}))(?=\s*[(\[{{])|{gamma}/
TRACE.3: /(?<![{_LETTER}\d_])(?:tr|Tr|trace)(?=\s+[{_LETTER}])/
WORD: /[{_LETTER}]̄?(?:[{_LETTER}0-9{SUBSCRIPTS}]|_(?=[{_LETTER}0-9_])|_\{{\w+\}})*/
TIMES.1: /\*(?!\*)|×/
CARET.2: /\*\*|\^/
DIVIDE: "/" | "÷"
PLUS: "+"
MINUS: /[-−–]/
DOT: /[.·⋅∙]/
PRIME.3: /['′’]|\^?\s*[ᵀ⊤]/
FACTORIAL: /!(?![!=])/
SUPER: /⁻?[{SUPERSCRIPTS}]+/
LEFT: /[(\[{{]/
RIGHT: /[)\]}}]/
LEFT_ANGLE: /[<⟨]/
RIGHT_ANGLE: /[>⟩]/
BAR: /[|∥‖]/
NORM_INDEX.3: /(?<=[|∥‖])_(?:[2F](?!\w)|\{{[2F]\}})/
COMMA: ","
SPACE: /\s+/
%ignore SPACE
%declare TIGHT LOOSE LEFT_BAR RIGHT_BAR
"""


_STARTS = {"NUMBER", "WORD", "FUNCTION", "TRACE", "LEFT", "LEFT_BAR", "LEFT_ANGLE"}
_CLOSINGS = {"RIGHT", "RIGHT_BAR", "RIGHT_ANGLE"}
_ENDS = {"NUMBER", "WORD", "PRIME", "SUPER", "FACTORIAL", "NORM_INDEX", *_CLOSINGS}
_CLOSED_BY = {"(": ")", "[": "]", "{": "}", "|": "|"}


class _Unreadable(Exception):
    """A place and a reason, before the text is known."""

    def __init__(self, token: "Token", reason: str):
        self.token, self.reason = token, reason


class _Joined:
    """Lark's hook between tokens and rules: brackets matched, bars sided, products made plain."""

    always_accept = ("BAR",)

    def process(self, stream: Iterator["Token"]) -> Iterator["Token"]:
        from lark import Token

        opened: list[Token] = []
        last: Any = None
        for token in stream:
            if token.type == "BAR":
                inside = bool(opened) and opened[-1].type == "LEFT_BAR"
                closes = inside and last is not None and last.type in _ENDS
                token = Token.new_borrow_pos("RIGHT_BAR" if closes else "LEFT_BAR", "|", token)
            if last is not None and last.type in _ENDS and token.type in _STARTS:
                kind = "TIGHT" if last.end_pos == token.start_pos else "LOOSE"
                yield Token.new_borrow_pos(kind, "", token)
            if token.type in ("LEFT", "LEFT_BAR"):
                opened.append(token)
                if len(opened) > MAX_BRACKETS:
                    raise _Unreadable(token, f"more than {MAX_BRACKETS} brackets in each other")
            if token.type in ("RIGHT", "RIGHT_BAR"):
                _close(opened, token)
            yield token
            last = token
        if opened:
            wanted = _CLOSED_BY[str(opened[-1])]
            raise _Unreadable(opened[-1], f"never closed: expected {wanted!r}")


def _close(opened: list["Token"], token: "Token") -> None:
    if not opened:
        raise _Unreadable(token, "nothing is open that this could close")
    left = opened.pop()
    if _CLOSED_BY[str(left)] != str(token):
        wanted = _CLOSED_BY[str(left)]
        raise _Unreadable(token, f"expected {wanted!r}, as {left!s} is open")


@cache
def _parser() -> "Lark":
    from lark import Lark

    return Lark(
        _RULES + _tokens(),
        parser="lalr",
        lexer="basic",
        postlex=_Joined(),  # type: ignore[arg-type]
        propagate_positions=True,
        maybe_placeholders=False,
    )


def parse(text: str, what: str = "formula") -> "Tree":
    """The tree of a text. Raises ``FormulaError`` where it is none of the grammar's."""
    from lark import UnexpectedCharacters, UnexpectedToken

    if not isinstance(text, str):
        raise ValueError(f"{what} = {shown(text)}: must be a text")
    if not text.strip():
        raise ValueError(
            f"{what} = {shown(text)}: must be a formula such as (beta.x)^2/2, not empty"
        )
    if mean := re.search(r"(?<![^\W_])[E𝔼]\s*\[", text):
        raise FormulaError(text, mean.start(), len(mean[0]), MEAN_INSIDE, what)
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"{what} = {text[:20]}...: has {len(text)} characters; at most {MAX_CHARACTERS}"
        )
    try:
        tree = _parser().parse(text)
    except _Unreadable as error:
        place = error.token.start_pos or 0
        raise FormulaError(text, place, 1, error.reason, what) from None
    except UnexpectedCharacters as error:
        raise FormulaError(text, error.pos_in_stream, 1, _strange(text, error), what) from None
    except UnexpectedToken as error:
        place, length, reason = _misplaced(text, error)
        raise FormulaError(text, place, length, reason, what) from None
    if _depth(tree) > MAX_DEPTH:
        raise ValueError(f"{what} = {text[:20]}...: too deeply nested")
    return tree


_REASONS = {
    "=": "expected one formula, without '='",
    "_": "a name starts with a letter, and goes on after an underscore",
    **dict.fromkeys("⟨⟩", f"write a.x or <a, x> for a scalar product; {MEAN_INSIDE}"),
    "@": "a product needs no sign: write A x",
    '"': "expected no quotation marks",
    "<": "expected one formula, without a comparison or a mean",
    ">": "expected one formula, without a comparison or a mean",
    "$": "expected no dollar signs around or in a formula",
}


def _strange(text: str, error: Any) -> str:
    character = text[error.pos_in_stream]
    general = "expected a number, a name, an operator or a bracket"
    return _REASONS.get(character, f"{general}, not {character!r}")


def _misplaced(text: str, error: Any) -> tuple[int, int, str]:
    token = error.token
    wanted = (
        "a number, a name or a bracket" if "NUMBER" in error.accepts else "an operator or the end"
    )
    if token.type == "$END" and (opened := re.search(r"[<⟨](?=[^<⟨>⟩]*$)", text)):
        return opened.start(), 1, _REASONS[opened[0]]
    if token.type == "$END":
        return len(text.rstrip()), 0, f"expected {wanted} before the end"
    if token.type in ("LEFT_ANGLE", "RIGHT_ANGLE"):
        return token.start_pos, 1, _REASONS[str(token)]
    if token.type == "COMMA":
        wanted = "no comma here: only functions such as max(a, b) have several arguments"
    elif token.type == "RIGHT_BAR" or token.type == "LEFT_BAR":
        wanted += ", not a bar"
    return token.start_pos, max(len(token), 1), f"expected {wanted}"


def _depth(tree: Any) -> int:
    depth, level = 0, [tree]
    while level:
        depth += 1
        level = [child for node in level for child in getattr(node, "children", ())]
    return depth
