"""Plant faults and see whether the tests notice: ``python tests/faults.py --jobs 2 --out FILE``.

A fault is one small change of a core file: a comparison, an operator, a whole number, a sign, a
truth value. Each is planted in a copy of the sources, and the room's own tests run until one fails.
What is found is appended to FILE (JSON lines), so that a later call goes on from there. The score
is the share of faults that were noticed; those listed in ``tests/faults_that_cannot_show.txt``, by
a reason each, do not count. mutmut and cosmic-ray look for a package in one folder; here several
top-level folders are mapped into one, and a forked process saves the imports of each run.

Exits 1 where the score is below ``--least``.
"""

import argparse
import ast
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("theory", "simulate", "verify", "paper_figures")
CANNOT_SHOW = ROOT / "tests" / "faults_that_cannot_show.txt"
# The files of a room, and the tests that are its own.
ROOMS = {
    "grammar": ("theory/grammar/*.py", "test_grammar"),
    "checking": ("theory/checking/*.py", "test_checking test_checking_rewritten"),
    "gaussians": (
        "theory/wick.py theory/words.py theory/calculator.py theory/natural.py",
        "test_wick test_calculator",
    ),
    "problem": (
        "theory/problem/*.py theory/activation.py theory/target_function.py theory/inputs.py "
        "theory/gaussian_pair.py",
        "test_problem_nouns test_problem_width test_problem_loss test_problem_kernel test_targets",
    ),
    "values": (
        "theory/evaluate.py theory/values.py theory/arrays.py theory/generate.py "
        "theory/closed_form.py",
        "test_values test_generate test_closed_forms",
    ),
    "dynamics": (
        "theory/moment_dynamics.py theory/momentum.py theory/population_dynamics.py "
        "theory/population_scalars.py",
        "test_dynamics_theory",
    ),
    "alignment": ("theory/alignment.py theory/difficulty.py", "test_alignment test_difficulty"),
    "certificates": (
        "verify/certificates/__init__.py verify/coordinates.py verify/cubature.py "
        "verify/tolerances.py",
        "test_certificates test_verify_cubature test_verify_tolerances",
    ),
    "measures": (
        "simulate/metrics.py simulate/hermite.py simulate/activations.py simulate/two_layer.py",
        "test_metrics test_hermite test_two_layer test_activations",
    ),
    "flow": ("simulate/gradient_flow.py simulate/rkc.py simulate/times.py", "test_flow test_rkc"),
    "outcome": ("simulate/outcome.py", "test_outcome"),
    "linearised": ("simulate/linearised.py", "test_linearised"),
}
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

    @property
    def key(self) -> str:
        """What the fault is, free of the numbers of lines."""
        return f"{self.file}: {self.text}: {self.old} -> {self.new}"


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

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Defaults and bodies, without decorators and annotations."""
        for part in [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]:
            self.visit(part)


def faults(file: Path) -> list[Fault]:
    """Return every fault that can be planted in a file."""
    source = file.read_text(encoding="utf-8")
    visitor = _Faults(str(file.relative_to(ROOT)), source)
    visitor.visit(ast.parse(source))
    return [fault for fault in visitor.found if _parses(planted(source, fault))]


def planted(source: str, fault: Fault) -> str:
    """Return the source with the fault in it."""
    return source[: fault.start] + fault.new + source[fault.end :]


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def chosen(rooms: list[str], sample: int, seed: int) -> list[tuple[str, Fault]]:
    """Return the faults to plant, as many from each room, in an order that depends on the seed."""
    found = []
    for room in rooms:
        files = [f for pattern in ROOMS[room][0].split() for f in sorted(ROOT.glob(pattern))]
        here = [(room, fault) for file in files for fault in faults(file)]
        random.Random(f"{seed} {room}").shuffle(here)
        found += here[:sample] if sample else here
    return found


class Copy:
    """A copy of the package, in which faults are planted; one for each process."""

    def __init__(self, folder: Path):
        self.folder = folder
        skip = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ROOT / "lazyrich", folder / "lazyrich", ignore=skip)
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / "lazyrich" / name, ignore=skip)

    def place(self, file: str) -> Path:
        """Return where a file of the checkout is in the copy."""
        return self.folder / (file if file.startswith("lazyrich/") else f"lazyrich/{file}")

    def write(self, file: str, source: str) -> None:
        """Write a source, and drop what was compiled from the one before."""
        place = self.place(file)
        place.write_text(source, encoding="utf-8")
        for compiled in place.parent.glob(f"__pycache__/{place.stem}.*"):
            compiled.unlink()


def outcome(copy: Copy, room: str, fault: Fault | None, seconds: float) -> str:
    """Run the room's tests with the fault: noticed, survived, or too slow (noticed too)."""
    source = ""
    if fault:
        source = (ROOT / fault.file).read_text(encoding="utf-8")
        if source[fault.start : fault.end] != fault.old:
            raise SystemExit(f"{fault.file} has changed meanwhile: call again, to go on")
        copy.write(fault.file, planted(source, fault))
    try:
        child = os.fork()
        if not child:
            _run_tests(copy, room, fault)
        return _waited(child, seconds)
    finally:
        if fault:
            copy.write(fault.file, source)


def _run_tests(copy: Copy, room: str, fault: Fault | None) -> None:
    """In the child: the doctests of the file, then the room's tests, until one fails."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.path.insert(0, str(copy.folder))
    os.environ["PYTHONPATH"] = str(copy.folder)
    import pytest

    tests = [ROOT / "tests" / f"{name}.py" for name in ROOMS[room][1].split()]
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--import-mode=importlib"]
    arguments += ["--rootdir", str(ROOT), "-c", str(ROOT / "setup.cfg")]
    files = [str(file) for file in tests if file.exists()]
    code = 0
    if fault:
        code = _doctests(copy.place(fault.file), copy.folder)
    os._exit(int(code or pytest.main([*arguments, *files])))


def _doctests(file: Path, folder: Path) -> int:
    import doctest
    import importlib

    name = ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
    try:
        module = importlib.import_module(name)
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        return doctest.testmod(module, optionflags=flags).failed
    except BaseException:
        return 1


def _waited(child: int, seconds: float) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "noticed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "too slow"


def _work(part: list[tuple[str, Fault]], out: Path, patience: float) -> None:
    """Plant a part of the faults, one after the other, and append what was found."""
    import hypothesis  # noqa: F401 (the children find these loaded)
    import pytest  # noqa: F401
    import sympy  # noqa: F401
    import torch

    torch.set_num_threads(1)
    os.environ |= {"HYPOTHESIS_PROFILE": "quick", "OMP_NUM_THREADS": "1"}
    limits: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        for room, fault in part:
            if room not in limits:
                start = time.monotonic()
                found = outcome(copy, room, None, 3600)
                if found != "survived":
                    raise SystemExit(f"room {room}: its tests fail without any fault ({found})")
                limits[room] = 30 + patience * (time.monotonic() - start)
            row = {"room": room, "key": fault.key, **asdict(fault)}
            row["outcome"] = outcome(copy, room, fault, limits[room])
            with out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")


def read(out: Path) -> Iterator[dict]:
    """Yield what was found so far."""
    if out.exists():
        for line in out.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def report(out: Path) -> float:
    """Print the survivors and the score of each room; return the score of all."""
    silent = set()
    if CANNOT_SHOW.exists():
        lines = CANNOT_SHOW.read_text(encoding="utf-8").splitlines()
        silent = {line.split("  # ")[0].strip() for line in lines if line.strip()}
    rows = list({row["key"]: row for row in read(out)}.values())
    counted = [row for row in rows if row["key"] not in silent]
    for row in counted:
        if row["outcome"] == "survived":
            print(f"survived: {row['file']}:{row['line']}: {row['text']}")
            print(f"          {row['old']!r} -> {row['new']!r}")
    for room in dict.fromkeys(row["room"] for row in counted):
        here = [row for row in counted if row["room"] == room]
        seen = sum(row["outcome"] != "survived" for row in here)
        print(f"{room:14} {seen} of {len(here)} noticed")
    seen = sum(row["outcome"] != "survived" for row in counted)
    score = seen / max(len(counted), 1)
    print(f"score: {score:.1%} of {len(counted)} faults that can show")
    return score


def main() -> None:
    """Plant what is left to plant, print the score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rooms", default=",".join(ROOMS), help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--sample", type=int, default=50, help="faults a room; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--least", type=float, default=0.98, help="the score to reach")
    parser.add_argument("--patience", type=float, default=5.0, help="times a run without faults")
    parser.add_argument("--out", default="faults.jsonl", help="what was found, to go on from")
    options = parser.parse_args()
    out = Path(options.out)
    rooms = options.rooms.split(",")
    if unknown := [room for room in rooms if room not in ROOMS]:
        parser.error(f"--rooms {unknown[0]}: must be among {', '.join(ROOMS)}")
    done = {row["key"] for row in read(out)}
    todo = [p for p in chosen(rooms, options.sample, options.seed) if p[1].key not in done]
    print(f"{len(todo)} faults to plant, {len(done)} done before", flush=True)
    children = []
    for job in range(options.jobs):
        child = os.fork()
        if not child:
            _work(todo[job :: options.jobs], out, options.patience)
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(0 if report(out) >= options.least and not any(codes) else 1)


if __name__ == "__main__":
    main()
