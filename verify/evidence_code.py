"""A digest of the code behind a claim's evidence: it changes if the checks change.

The table of many seeds (``docs/seeds.md``) keeps the digest of each claim, so that a row that was
made by other checks is known to be stale. The code is the evidence itself (the function, and the
arguments of its control) and every definition in ``lazyrich.verify`` and
``lazyrich.paper_figures`` that it uses, directly or through others. It is read from the sources.
What the evidence tests, ``lazyrich.theory`` and ``lazyrich.simulate``, is no part of it. Neither
are words: comments, docstrings, layout, the sentence on what is shown, and what a check says.

What a check says are the messages of its assertions, and the texts that it returns or calls
``line`` or ``what``. Calls of other checks within these texts do count.
"""

import ast
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeGuard

from lazyrich.simulate.fingerprint import source
from lazyrich.verify.ledger import Claim

_FOLLOWED = ("lazyrich.verify", "lazyrich.paper_figures")
# How a ledger is made of claims and evidence, which decides nothing about any of them.
_PASSED_OVER = ("lazyrich.verify.ledger", "lazyrich.verify.record")
_ATTACHING = ("evidence", "attach", "counterexample")
# The place of the sentence among the arguments of what makes a piece of evidence, or a test.
_SENTENCE = {"Evidence": 1} | dict.fromkeys(
    ("equality", "proof", "attacked", "mostly", "in_most", "mean_is", "mean_exceeds", "two_stages",
     "grows", "slope_is", "rises", "rise_in_most"), 0
)  # fmt: skip
_SAID = ("line", "what")  # how a check names its texts
_Words = Mapping[int, Sequence[ast.expr]]  # what counts of an expression that is said, by its id


@dataclass(frozen=True)
class _Module:
    """The statements of a module: all, by the names that they define, and its imports."""

    statements: list[ast.stmt]
    defined: dict[str, list[ast.stmt]]
    imported: dict[str, tuple[str, str]]  # name here: (module, name there)


def code_digest(claim: Claim) -> str:
    """The digest of the evidence attached to a claim, eight hexadecimal digits.

    >>> from lazyrich import verify
    >>> digests = {name: code_digest(verify.claims()[name]) for name in ("fig-8", "lyu-law-2")}
    >>> len(digests["fig-8"]), digests["fig-8"] == digests["lyu-law-2"]
    (8, False)
    """
    return _digest(claim.name, tuple(piece.where for piece in claim.evidence))


@cache
def _digest(claim: str, places: tuple[str, ...]) -> str:
    parts = set()
    waiting: list[tuple[str, str]] = []
    for where in places:
        module, line = _module_and_line(where)
        for statement in _read(module).statements:
            if _first_line(statement) <= line <= (statement.end_lineno or 0):
                parts.add((module, "", _text(module, statement, claim)))
                waiting += _uses(module, statement)
    seen: set[tuple[str, str]] = set()
    while waiting:
        module, name = waiting.pop()
        if (module, name) not in seen:
            seen.add((module, name))
            for where, statement in _definitions(module, name):
                parts.add((where, name, _text(where, statement)))
                waiting += _uses(where, statement)
    return hashlib.sha256(repr(sorted(parts)).encode()).hexdigest()[:8]


def source_at(where: str) -> str:
    """The source of the statement at a place such as verify/kumar/model.py:12.

    >>> from lazyrich import verify
    >>> where = verify.claims()["eq-9"].evidence[0].where
    >>> '"eq-9"' in source_at(where)
    True
    """
    module, line = _module_and_line(where)
    path = source(module)
    lines = [] if path is None else path.read_text(encoding="utf-8").splitlines()
    for statement in _read(module).statements:
        if (first := _first_line(statement)) <= line <= (statement.end_lineno or 0):
            return "\n".join(lines[first - 1 : statement.end_lineno])
    return ""


def closed_forms(where: str) -> list[str]:
    """The closed forms that the evidence at a place names: those of ``lazyrich derive``.

    >>> from lazyrich import verify
    >>> closed_forms(verify.claims()["eq-6"].evidence[0].where)
    ['test-loss']
    """
    from lazyrich.theory import names

    texts = re.findall(r'"([\w-]+)"', source_at(where))
    return [name for name in dict.fromkeys(texts) if name in set(names())]


def _module_and_line(where: str) -> tuple[str, int]:
    """verify/kumar/model.py:12 as the name of the module and the line."""
    file, line = where.rsplit(":", 1)
    return "lazyrich." + file.removesuffix(".py").replace("/", "."), int(line)


def _first_line(statement: ast.stmt) -> int:
    return min(node.lineno for node in (statement, *getattr(statement, "decorator_list", ())))


@cache
def _read(module: str) -> _Module:
    path = source(module)
    if path is None:
        raise ValueError(f"module {module}: its source can't be found")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined: dict[str, list[ast.stmt]] = defaultdict(list)
    for statement in tree.body:
        for name in _bound(statement):
            defined[name].append(statement)
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return _Module(tree.body, defined, imported)


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    nodes = ast.walk(statement)
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _uses(module: str, statement: ast.AST) -> Iterator[tuple[str, str]]:
    """What a statement may refer to: names of its module, and names of modules it imports."""
    for node in _nodes(statement, _words(module, statement)):
        if isinstance(node, ast.Name) and node.id not in _ATTACHING:
            yield module, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            origin = _read(module).imported.get(node.value.id)
            if origin is not None and _is_followed(whole := ".".join(origin)) and source(whole):
                yield whole, node.attr


def _nodes(node: ast.AST, words: _Words) -> Iterator[ast.AST]:
    """All nodes but words."""
    yield node
    for child in ast.iter_child_nodes(node):
        for kept in words.get(id(child), [child]):
            yield from _nodes(kept, words)


def _definitions(module: str, name: str) -> list[tuple[str, ast.stmt]]:
    """The statements that define a name, in the module or where it is imported from."""
    if not _is_followed(module):
        return []
    read = _read(module)
    if name in read.defined:
        return [(module, statement) for statement in read.defined[name]]
    origin, there = read.imported.get(name, ("", ""))
    return _definitions(origin, there) if origin and origin != module else []


def _is_followed(module: str) -> bool:
    return module.startswith(_FOLLOWED) and module not in _PASSED_OVER


def _text(module: str, statement: ast.stmt, claim: str = "") -> str:
    """The statement's syntax; of decorators that attach it to claims, only those to ``claim``."""
    return repr(list(_parts(statement, claim, _words(module, statement))))


@cache
def _words(module: str, statement: ast.stmt) -> _Words:
    """What the checks in a statement say."""
    messages = [n.msg for n in ast.walk(statement) if isinstance(n, ast.Assert) and n.msg]
    nodes = [n for check in ast.walk(statement) if _is_check(check) for n in ast.walk(check)]
    said = [text for node in nodes for text in _said(node)]
    return {id(text): [] for text in messages} | {
        id(text): [n for n in ast.walk(text) if isinstance(n, ast.Call) and _counts(module, n)]
        for text in said
    }


def _is_check(node: ast.AST) -> bool:
    """A function that returns a text, and asserts something or is attached as evidence."""
    if not (isinstance(node, ast.FunctionDef) and isinstance(node.returns, ast.Name)):
        return False
    calls = (d.func for d in node.decorator_list if isinstance(d, ast.Call))
    attached = any(isinstance(f, ast.Name) and f.id == "evidence" for f in calls)
    asserts = any(isinstance(one, ast.Assert | ast.Raise) for one in ast.walk(node))
    return node.returns.id == "str" and (attached or asserts)


def _said(node: ast.AST) -> Iterator[ast.expr]:
    """The texts that a node of a check says."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield from node.exc.args
    elif isinstance(node, ast.Return | ast.Assign) and _is_text(node.value):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if all(isinstance(target, ast.Name) and target.id in _SAID for target in targets):
            yield node.value


def _is_text(node: ast.expr | None) -> TypeGuard[ast.expr]:
    is_constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_constant or isinstance(node, ast.JoinedStr)


def _counts(module: str, call: ast.Call) -> bool:
    """Whether a call is of a function that the digest follows, as it may be a check."""
    uses = [_uses(module, call.func)] if isinstance(call.func, ast.Name | ast.Attribute) else []
    return any(_definitions(*use) for one in uses for use in one)


def _parts(node: ast.AST, claim: str, words: _Words) -> Iterator[object]:
    """A node as nested lists, without what is empty or only words: alike in every Python."""
    yield type(node).__name__
    for field, value in ast.iter_fields(node):
        values = value if isinstance(value, list) else [value]
        if isinstance(node, ast.Call) and field == "args":
            values = _without_sentence(node)
        if field == "body" and isinstance(node, ast.FunctionDef | ast.ClassDef):
            values = values[_has_docstring(node) :]
        if field == "decorator_list":
            values = [kept for v in values for kept in _kept(v, claim)]
        values = [kept for v in values for kept in words.get(id(v), [v])]
        if values := [v for v in values if v is not None]:
            yield field
            yield [list(_parts(v, claim, words)) if isinstance(v, ast.AST) else v for v in values]


def _has_docstring(node: ast.FunctionDef | ast.ClassDef) -> bool:
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)


def _without_sentence(call: ast.Call) -> list[ast.expr]:
    """The arguments of a call without the sentence of a piece of evidence."""
    place = _SENTENCE.get(call.func.id) if isinstance(call.func, ast.Name) else None
    return [
        value
        for k, value in enumerate(call.args)
        if k != place or not isinstance(value, ast.Constant | ast.JoinedStr)
    ]


def _kept(decorator: ast.expr, claim: str) -> list[ast.expr]:
    """The decorator; of one that attaches evidence the arguments after the sentence, or nothing."""
    if not (isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name)):
        return [decorator]
    if decorator.func.id != "evidence":
        return [decorator]
    names = {a.value for a in decorator.args[:1] if isinstance(a, ast.Constant)}
    return [keyword.value for keyword in decorator.keywords] if claim in names else []
