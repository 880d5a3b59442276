"""A page for each closed form, and the table of all of them."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

import sympy as sp

from lazyrich import theory
from lazyrich.theory import printing
from parts.typeset import markdown

FOLDER = "closed-forms"
latex = cache(printing.latex)  # a page asks several times for the same
WIDE = 60  # printed characters from which a sum is broken into lines


def table() -> str:
    """Every closed form by group: name, with a link to its page, and what it is."""
    blocks = []
    for group, entries in theory.groups().items():
        rows = [
            f"| [`{name}`]({FOLDER}/{name}.md) | {_line(line)} |" for name, line in entries.items()
        ]
        blocks.append("\n".join([f"## {group}", "", "| name | what |", "|---|---|", *rows]))
    pages = "\n".join(f"{FOLDER}/{name}" for name in theory.names())
    return "\n\n".join([*blocks, f"```{{toctree}}\n:hidden:\n\n{pages}\n```"])


def pages() -> Iterator[tuple[str, str]]:
    """The name and the Markdown of the page of each closed form."""
    for name in theory.names():
        yield f"{FOLDER}/{name}", page(name)


def page(name: str) -> str:
    """Formula, terms, assumptions and source; then the derivation."""
    form = theory.closed_form(name)
    words = (
        "[conventions](../conventions.md) has the symbols, [the glossary](../glossary.md) the words"
    )
    blocks = [
        f"# `{name}`",
        f"{_line(form.title)}. Derived by the code when this page was built; {words}.",
    ]
    shown: dict[str, str] = {}  # LaTeX of what stands on the page -> how to refer to it
    if not _is_listed(form):
        blocks.append(display(form.expr))
        shown[latex(form.expr)] = "the formula above"
    terms = {key: part for key, part in form.terms.items() if latex(part) not in shown}
    if terms:
        blocks.append("## Terms" if shown else "## Formulas")
        for key, part in terms.items():
            blocks += [f"`{key}`", display(part)]
            shown.setdefault(latex(part), f"`{key}` above")
    blocks += ["## When it holds", f"{_line(form.assumptions)}", f"*Source:* {_line(form.source)}."]
    blocks += ["## Derivation", *_derivation(form, shown)]
    blocks += ["## Use it", f"```console\n$ lazyrich derive {name}\n```", _python(name, form)]
    return "\n\n".join(blocks) + "\n"


def _is_listed(form: Any) -> bool:
    """Whether the formula is the list of its terms, which then stand alone."""
    return isinstance(form.expr, sp.Tuple) and {*map(latex, form.expr)} <= {
        latex(part) for part in form.terms.values()
    }


def _derivation(form: Any, shown: dict[str, str]) -> Iterator[str]:
    """The steps by number. An expression that stands above, or in an earlier step, is named."""
    earlier = dict(shown)
    for number, (sentence, expression) in enumerate(form.steps, start=1):
        text = markdown(sentence, _link(theory.names()))
        source = latex(expression)
        if source in earlier:
            yield f"{number}\\. {text.rstrip('.:')} ({earlier[source]})."
            continue
        yield f"{number}\\. {text}"
        yield display(expression)
        earlier[source] = f"the expression of step {number}"


def _python(name: str, form: Any) -> str:
    call = f'form = theory.closed_form("{name}")'
    given = ", ".join(f"{symbol}=..." for symbol in form.arguments())
    lines = ["from lazyrich import theory", "", call]
    if given:
        lines.append(f"form.evaluate({given})")
    return "```python\n" + "\n".join(lines) + "\n```"


def _line(text: str) -> str:
    known = theory.names()
    return markdown(text[0].upper() + text[1:] if text[1:2].islower() else text, _link(known))


def _link(known):
    return lambda name: f"{name}.md" if name in known else ""


def display(expression: Any) -> str:
    """An expression as a displayed formula; a long sum and a list in several lines."""
    return f"```{{math}}\n{_lines(expression)}\n```"


def _lines(expression: Any) -> str:
    if isinstance(expression, sp.Tuple | tuple | list):
        parts = [latex(part) for part in expression]
        if _width(", ".join(parts)) < WIDE:
            return r"\left(" + r",\ ".join(parts) + r"\right)"
        rows = list(chain.from_iterable(_rows(part) for part in expression))
    else:
        rows = list(_rows(expression))
    if len(rows) == 1:
        return rows[0].lstrip("& ")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def _rows(expression: Any) -> Iterator[str]:
    """The lines of an expression: those of a long sum hold as many terms as fit."""
    whole = latex(expression)
    if _width(whole) < WIDE or not isinstance(expression, sp.Add | sp.MatAdd):
        yield f"& {whole}"
        return
    line, start = "", "& "
    for term in _terms(whole):
        if line and _width(line + term) > WIDE:
            yield start + line
            line, start = "", r"& \quad "
        line += term
    yield start + line


def _terms(source: str) -> Iterator[str]:
    """A sum in LaTeX, cut before each + and - that stands outside of all brackets."""
    depth, begin = 0, 0
    for i, character in enumerate(source):
        if source.startswith((r"\left", r"\right", r"\begin", r"\end"), i):
            opens = source.startswith((r"\left", r"\begin"), i)
            depth += 1 if opens else -1
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0 and source[i : i + 3] in {" + ", " - "}:
            yield source[begin:i]
            begin = i
    yield source[begin:]


def _width(source: str) -> int:
    """About how many characters it prints: a command is one, a fraction its wider half."""
    source = re.sub(r"\\(?:left|right|operatorname|quad)|[ ]", "", source)
    source = re.sub(r"\\frac\{((?:[^{}]|\{[^{}]*\})*)\}\{((?:[^{}]|\{[^{}]*\})*)\}", _wider, source)
    return len(re.sub(r"[{}^_]", "", re.sub(r"\\[A-Za-z]+|\\.", "x", source)))


def _wider(match: re.Match) -> str:
    return max(match[1], match[2], key=len)
