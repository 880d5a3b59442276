"""Where a small fault can be planted in a source file, and the source with a fault in it."""

import ast
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
_COMPARED = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
}
_OPERATED = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Pow: ("**", "*"),
}


@dataclass(frozen=True)
class Fault:
    """The characters from ``start`` to ``end`` of a file become ``new``."""

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str
    text: str  # the line, by which a fault is known when lines move
    nth: int = 1  # of those that read the same

    @property
    def key(self) -> str:
        """What the fault is, free of the numbers of lines."""
        which = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.file}: {self.text}: {self.old} -> {self.new}{which}"


class _Faults(ast.NodeVisitor):
    """Finds every place for a fault in one source."""

    def __init__(self, file: str, source: str):
        self.file, self.source, self.found = file, source, list[Fault]()
        self.lines = source.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def _at(self, line: int, column: int) -> int:
        text = self.lines[line - 1].encode()[:column].decode()
        return self.starts[line - 1] + len(text)

    def _add(self, start: int, end: int, new: str) -> None:
        line = self.source.count("\n", 0, start)
        text = self.lines[line].strip()
        old = self.source[start:end]
        self.found.append(Fault(self.file, line + 1, start, end, old, new, text))

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        """Replace the operator that stands between two operands."""
        assert left.end_lineno is not None
        assert left.end_col_offset is not None
        start = self._at(left.end_lineno, left.end_col_offset)
        end = self._at(right.lineno, right.col_offset)
        place = self.source.find(old, start, end)
        if place >= 0 and "#" not in self.source[start:end]:
            self._add(place, place + len(old), new)

    def visit_Compare(self, node: ast.Compare) -> None:
        """<, <=, ==, ... become their neighbours."""
        operands = [node.left, *node.comparators]
        for left, right, sign in zip(operands, operands[1:], node.ops, strict=False):
            if type(sign) in _COMPARED:
                self._between(left, right, *_COMPARED[type(sign)])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """+, -, *, / become one another; texts and types are left alone."""
        if type(node.op) in _OPERATED and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            self._between(node.left, node.right, *_OPERATED[type(node.op)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """And becomes or."""
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        self._between(node.values[0], node.values[1], old, new)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """A sign or a not is left out."""
        start = self._at(node.lineno, node.col_offset)
        if isinstance(node.op, ast.Not):
            self._add(start, start + 4, "")
        elif isinstance(node.op, ast.USub):
            self._add(start, start + 1, "")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """A whole number is one too large, a truth value the other one."""
        start = self._at(node.lineno, node.col_offset)
        if isinstance(node.value, bool):
            self._add(start, start + len(str(node.value)), str(not node.value))
        elif isinstance(node.value, int):
            text = self.source[start : self._at(node.lineno, node.end_col_offset or 0)]
            self._add(start, start + len(text), str(node.value + 1))

    def visit_Raise(self, node: ast.Raise) -> None:
        """The words of an error are not looked at."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Nor are annotations."""
        if node.value:
            self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The body, without decorators."""
        for part in node.body:
            self.visit(part)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Defaults and bodies, without decorators and annotations."""
        for part in [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]:
            self.visit(part)


def faults(file: Path) -> list[Fault]:
    """Return every fault that can be planted in a file."""
    source = file.read_text(encoding="utf-8")
    visitor = _Faults(str(file.relative_to(ROOT)), source)
    visitor.visit(ast.parse(source))
    alike, found = Counter[str](), []
    for fault in visitor.found:
        alike[fault.key] += 1
        if _parses(planted(source, fault)):
            found.append(replace(fault, nth=alike[fault.key]))
    return found


def planted(source: str, fault: Fault) -> str:
    """Return the source with the fault in it."""
    return source[: fault.start] + fault.new + source[fault.end :]


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True
