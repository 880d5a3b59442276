"""Plant faults and see whether the tests notice: ``python tests/faults.py --jobs 2 --out FILE``.

A fault is one small change of a core file: a comparison, an operator, a whole number, a sign, a
truth value. Each is planted in a copy of the sources, and the room's own tests run until one fails:
first those that run the faulty line, the quickest of them first. What is found is appended to FILE
(JSON lines), so that a later call goes on from there. The score is the share of faults that were
noticed; those listed in ``tests/faults_that_cannot_show.txt``, by a reason each, do not count.
mutmut and cosmic-ray look for a package in one folder; here several top-level folders are mapped
into one, and a forked process saves the imports of each run.

Exits 1 where the score is below ``--least``.
"""

import argparse
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from fault_places import ROOT, Fault, faults, planted

FOLDERS = ("theory", "simulate", "verify", "paper_figures")
# Packages that each run of the tests finds loaded.
LOADED = "h5netcdf h5py hypothesis jaxtyping lark matplotlib mpmath numpy scipy sympy torch xarray"
WAITS = 20  # seconds of the clock for one of the CPU: the machine may be shared
CANNOT_SHOW = ROOT / "tests" / "faults_that_cannot_show.txt"
# The files of a room, and the tests that are its own.
ROOMS = {
    "grammar": ("theory/grammar/*.py", "test_grammar test_grammar_latex"),
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
    "flow": (
        "simulate/gradient_flow.py simulate/rkc.py simulate/rkc_method.py simulate/times.py",
        "test_flow test_rkc",
    ),
    "outcome": ("simulate/outcome.py", "test_outcome"),
    "linearised": ("simulate/linearised.py", "test_linearised"),
}


def chosen(rooms: list[str], sample: int, seed: int) -> list[tuple[str, Fault]]:
    """Return the faults to plant, as many from each room, in an order that depends on the seed."""
    found = []
    for room in rooms:
        files = [file for pattern in ROOMS[room][0].split() for file in _names(pattern)]
        here = [(room, fault) for file in files for fault in faults(ROOT / file)]
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


class Room:
    """The tests of a room, and what each runs: a plugin of pytest, which learns, then orders."""

    def __init__(self, name: str, copy: Copy):
        self.name, self.notes = name, copy.folder / f"{name}.json"
        files, tests = ROOMS[name]
        found = [ROOT / "tests" / f"{test}.py" for test in tests.split()]
        self.tests = [str(file) for file in found if file.exists()]
        places = {f: copy.place(f) for p in files.split() for f in _names(p)}
        self.places = {str(place): file for file, place in places.items()}
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, list[str]] = {}  # test -> lines that it runs, as "file:line"
        self.fault: Fault | None = None

    def learn(self) -> None:
        """Read what the run without a fault has noted."""
        notes = json.loads(self.notes.read_text(encoding="utf-8"))
        self.seconds, self.lines = notes["seconds"], notes["lines"]
        for name in notes["modules"]:  # the children find these loaded
            with suppress(Exception):
                importlib.import_module(name)

    def pytest_configure(self) -> None:
        """The same examples every time; how small the smallest is that fails doesn't matter."""
        from hypothesis import HealthCheck, Phase, settings

        settings.register_profile(
            "faults",
            max_examples=20,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("faults")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Those first that run the line of the fault, and the quickest of them first."""
        if self.fault:
            line = f"{self.fault.file}:{self.fault.line}"
            items.sort(key=lambda i: self.seconds.get(i.nodeid, 0))
            items.sort(key=lambda i: line not in self.lines.get(i.nodeid, [line]))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Without a fault: note the lines of the room that the test runs."""
        if self.fault is None:
            self.seconds[nodeid], self._ran = time.monotonic(), set()
            sys.settrace(self._call)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Keep them, and how long it took."""
        if self.fault is None:
            sys.settrace(None)
            self.seconds[nodeid] = time.monotonic() - self.seconds[nodeid]
            self.lines[nodeid] = sorted(self._ran)

    def pytest_sessionfinish(self) -> None:
        """Write all that down."""
        if self.fault is None:
            modules = [name for name in sys.modules if name.split(".")[0] in LOADED.split()]
            notes = {"seconds": self.seconds, "lines": self.lines, "modules": modules}
            self.notes.write_text(json.dumps(notes), encoding="utf-8")

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        file = self.places.get(frame.f_code.co_filename)
        if file is None:
            return None

        def line(frame: FrameType, _event: str, _argument: object) -> Any:
            self._ran.add(f"{file}:{frame.f_lineno}")
            return line

        return line(frame, "", None)


def outcome(copy: Copy, room: Room, fault: Fault | None, seconds: float) -> str:
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
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
            _run_tests(copy, room, fault)
        return _waited(child, seconds)
    finally:
        if fault:
            copy.write(fault.file, source)


def _names(pattern: str) -> list[str]:
    return [str(file.relative_to(ROOT)) for file in sorted(ROOT.glob(pattern))]


def _run_tests(copy: Copy, room: Room, fault: Fault | None) -> None:
    """In the child: the doctests of the file, then the room's tests, until one fails."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.path.insert(0, str(copy.folder))
    os.environ["PYTHONPATH"] = str(copy.folder)
    import pytest

    room.fault = fault
    arguments = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
    arguments += ["-m", "not slow", "--import-mode=importlib"]
    arguments += ["--rootdir", str(ROOT), "-c", str(ROOT / "setup.cfg")]
    code = _doctests(copy.place(fault.file), copy.folder) if fault else 0
    os._exit(int(code or pytest.main([*arguments, *room.tests], plugins=[room])))


def _doctests(file: Path, folder: Path) -> int:
    import doctest

    name = ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
    try:
        module = importlib.import_module(name)
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.FAIL_FAST
        return doctest.testmod(module, optionflags=flags).failed
    except BaseException:
        return 1


def _waited(child: int, seconds: float) -> str:
    """Wait for the child's end; "too slow" where it takes more CPU time, or sleeps for long."""
    end = time.monotonic() + WAITS * seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            slow = code == -signal.SIGXCPU
            return "survived" if code == 0 else "too slow" if slow else "noticed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "too slow"


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _work(part: list[tuple[str, Fault]], out: Path, patience: float) -> None:
    """Plant a part of the faults, one after the other, and append what was found."""
    import hypothesis  # noqa: F401 (the children find these loaded)
    import pytest  # noqa: F401
    import sympy  # noqa: F401
    import torch

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    limits: dict[str, float] = {}
    rooms: dict[str, Room] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        for name, fault in part:
            if name not in rooms:
                rooms[name], start = Room(name, copy), _cpu_of_children()
                found = outcome(copy, rooms[name], None, 3600)
                if found != "survived":
                    raise SystemExit(f"room {name}: its tests fail without any fault ({found})")
                limits[name] = 10 + patience * (_cpu_of_children() - start)
                rooms[name].learn()
            row, start = {"room": name, "key": fault.key, **asdict(fault)}, _cpu_of_children()
            row["outcome"] = outcome(copy, rooms[name], fault, limits[name])
            row["seconds"] = round(_cpu_of_children() - start, 2)  # of the CPU
            with out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")


def read(out: Path) -> Iterator[dict]:
    """Yield what was found so far."""
    if out.exists():
        for line in out.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _row(name: str, rows: list[dict], silent: set[str]) -> str:
    counted = [row for row in rows if row["key"].strip() not in silent]
    seen = sum(row["outcome"] != "survived" for row in counted)
    return f"| {name} | {len(rows)} | {len(rows) - len(counted)} | {seen} |"


def report(out: Path) -> float:
    """Print the survivors and the score of each room; return the score of all."""
    silent = set[str]()
    if CANNOT_SHOW.exists():
        lines = CANNOT_SHOW.read_text(encoding="utf-8").splitlines()
        silent = {line.rsplit("  # ", 1)[0].strip() for line in lines if line.strip()}
    rows = list({row["key"]: row for row in read(out)}.values())
    counted = [row for row in rows if row["key"].strip() not in silent]
    for row in counted:
        if row["outcome"] == "survived":
            print(f"survived: {row['file']}:{row['line']}: {row['text']}")
            print(f"          {row['old']!r} -> {row['new']!r}")
    print("| room | planted | can't show | noticed |\n|---|---:|---:|---:|")
    for room in dict.fromkeys(row["room"] for row in rows):
        print(_row(room, [row for row in rows if row["room"] == room], silent))
    print(_row("all", rows, silent))
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
    parser.add_argument("--patience", type=float, default=2.0, help="times a run without faults")
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
            mine = rooms[job :: options.jobs]  # what a room's tests run is learnt once
            _work([p for p in todo if p[0] in mine], out, options.patience)
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(0 if report(out) >= options.least and not any(codes) else 1)


if __name__ == "__main__":
    main()
