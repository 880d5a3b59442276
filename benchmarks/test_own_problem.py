"""The whole chain for a user's own network: derive all, verify, simulate, report."""

import subprocess
import sys
from pathlib import Path

CHAIN = """
import sys
from pathlib import Path
from lazyrich import simulate, theory, verify

folder = Path(sys.argv[1])
problem = theory.Problem("h + c*h^3", "(beta.x)^2/2 + b.x")
for name in problem.names():
    problem.closed_form(name)
report = verify.problem({"activation": "h + c*h^3", "target": "(beta.x)^2/2 + b.x", "c": 0.1})
assert report.passed
task = simulate.PolynomialTask(D=10, P=60, target=problem.target)
run = simulate.train(task, activation=problem.activation, constants={"c": 0.1}, alpha=1.0,
                     width=100, steps=2000, engine="neurons", alignment=None)
run.save(folder / "run.nc")
report.write(folder / "report.html")
"""
DERIVE = """
import sys
from lazyrich import theory
problem = theory.Problem(sys.argv[1], sys.argv[2], readouts=sys.argv[3])
for name in problem.names():
    problem.closed_form(name)
assert "torch" not in sys.modules
"""


def user_seconds(code: str, *arguments: str) -> float:
    """The user and system seconds of a new Python process, which other work changes little."""
    from resource import RUSAGE_CHILDREN, getrusage

    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-P", "-c", code, *arguments], check=True)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_whole_chain(measure, tmp_path: Path):
    """A cubic activation with a quadratic target: every closed form, all checks, one trained

    network, the report. User and system seconds of a new process must stay below 60 on one core.
    """
    notes: dict[str, str] = {}

    def run() -> None:
        seconds = user_seconds(CHAIN, str(tmp_path))
        notes["user and system seconds"] = f"{seconds:.1f}"
        assert seconds < 60

    measure("Your own network", "derive all, verify, simulate, report", run, rounds=1, notes=notes)


def test_derivations_up_to_degree_four(measure):
    """Every closed form of a quartic activation with a quartic target, readouts fixed or trained,

    in a new process: at most 10 seconds beyond `import sympy`, and torch is not imported.
    """
    notes: dict[str, str] = {}

    def run() -> None:
        bare = user_seconds("import sympy")
        arguments = ("q + h + p*h^2 + c*h^3 + d*h^4", "(beta.x)^4 + k x'Bx + b.x")
        for readouts in ("fixed", "trained"):
            seconds = user_seconds(DERIVE, *arguments, readouts) - bare
            notes[readouts] = f"{seconds:.1f}"
            assert seconds < 10, (readouts, seconds)

    measure("Your own network", "derive all, degree 4", run, rounds=1, notes=notes)
