"""The address of a run changes with what the run computes, and with nothing else."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from lazyrich.paper_figures.experiments import eigenvector_labels, modular_perceptron
from lazyrich.paper_figures.runs import of_fit, of_flow
from lazyrich.simulate import cells
from lazyrich.simulate.cells import NETWORK, OwnTask
from lazyrich.simulate.fingerprint import closure, fingerprint, source

SOURCES = {
    "__init__": '"""Passes names on."""\nfrom toy.square import square\n',
    "run": (
        '"""A run."""\nfrom toy import square\nfrom toy.parts import form\n\n'
        "def _of(name):\n    return form(name)\n\n"
        'def run(x):\n    """Return it."""\n    # twice\n    from toy.late import late\n'
        '    return 2 * square(x) + late(x) + _of("first")\n'
    ),
    "square": "def square(x):\n    return x**2\n",
    "late": "import json\n\ndef late(x):\n    return json.loads(str(x))\n",
    "other": "def other(x):\n    return x\n",
    "parts/__init__": (
        "from importlib import import_module\n\n"
        'TABLE = {"first": ("one", "a part"), "second": ("two", "another")}\n\n'
        "def form(name):\n"
        '    return import_module(f"toy.parts.{TABLE[name][0]}").value\n'
    ),
    "parts/one": "value = 1\n",
    "parts/two": "value = 2\n",
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Return the fingerprint of a small package, some of its sources being changed."""
    monkeypatch.syspath_prepend(tmp_path)

    def of(without: tuple = (), **changes: str) -> str:
        for name, text in {**SOURCES, **changes}.items():
            path = tmp_path / "toy" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        forget()
        return fingerprint(["toy.run"], without=without)

    yield of
    forget()


def forget() -> None:
    """A process reads each source once; here they change while it runs."""
    module = sys.modules["lazyrich.simulate.fingerprint"]
    for name in ("imports", "source", "_parsed", "_digest"):
        getattr(module, name).cache_clear()


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("run", "# twice", "# two times"),
        ("run", "# twice", ""),
        ("run", '"""Return it."""', '"""Return twice the square."""'),
        ("run", "2 * square(x)", "2*square(x)"),
        ("square", "def square", '"""A docstring."""\n\n\ndef square'),
        ("square", "x**2\n", "(\n        x**2\n    )\n"),
        ("__init__", "Passes names on", "Passes one name on"),
        ("other", "return x", "return -x"),
        ("parts/two", "2", "3"),
        ("parts/__init__", "another", "one more"),
    ],
)
def test_what_is_not_computed_changes_nothing(toy, file, before, after):
    assert before in SOURCES[file]
    changed = SOURCES[file].replace(before, after)
    assert toy(**{file: changed}) == toy()


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("run", "2 * square", "3 * square"),
        ("square", "x**2", "x**3"),
        ("late", "str(x)", "str(-x)"),
        ("late", "import json", "import json, numpy"),
        ("parts/one", "1", "4"),
        ("parts/__init__", '"one"', '"two"'),
        ("run", '_of("first")', '_of("second")'),
        ("run", "from toy import square", "from toy.other import other as square"),
    ],
)
def test_every_change_of_what_is_computed_changes_it(toy, file, before, after):
    assert before in SOURCES[file]
    assert toy(**{file: SOURCES[file].replace(before, after)}) != toy()


def test_a_part_that_is_asked_for_by_an_unknown_name_counts_whichever_it_is(toy):
    asks = {"run": SOURCES["run"].replace('_of("first")', "_of(str(x))")}
    assert toy(**asks) != toy(**asks, **{"parts/two": "value = 3\n"})


def test_an_import_that_is_not_followed_does_not_count(toy):
    without = (("toy.run", "toy.square"),)
    cube = "def square(x):\n    return x**3\n"
    assert toy(without) == toy(without, square=cube)
    assert toy(without) != toy()


@pytest.mark.parametrize("engine", ["moments", "neurons", "flow", "linearised"])
def test_the_code_of_a_cell_is_that_of_its_engine(engine, monkeypatch):
    seen = {}
    monkeypatch.setattr(cells, "code_of", partial(_modules, seen))
    cells.code(engine)
    assert f"lazyrich.simulate.{engine}" in seen["modules"]
    for machinery in ("runs", "store", "workers", "sweep", "fingerprint"):
        assert f"lazyrich.simulate.{machinery}" not in seen["modules"]
    for other in {"neurons", "flow"} - {engine}:  # the twin's floor is measured by "linearised"
        assert f"lazyrich.simulate.{other}" not in seen["modules"]
    assert ("lazyrich.simulate.batch" in seen["modules"]) == (engine == "moments")


def _modules(seen: dict, roots, without=()) -> str:
    seen["modules"] = closure(roots, without=without)[0]
    return "code"


SMALL = {"D": 4, "P": 9, "alpha": 1.0, "epsilon": 0.5, "steps": 6, "width": 5, "n_test": 5}
SMALL |= {"engine": "moments", "centred": False}
FIT = {"p": 5, "width": 8, "fraction": 0.8, "learning_rate": 2.0, "steps": 3, "device": "cpu"}
FLOW = {"d": 30, "n": 8, "k": 1, "weight_decay": 1e-2, "depth": 2, "end": 2.0, "alpha": 3.0}
LABELS = {"way": "train", "j": 2, "power": "one", "seed": 0}
RUNS = {
    **{engine: (NETWORK, SMALL | {"engine": engine}) for engine in ("moments", "neurons", "flow")},
    "linearised": (NETWORK, SMALL | {"engine": "linearised"}),
    "labels": (OwnTask(eigenvector_labels.arguments), SMALL | LABELS),
    "fit": (of_fit(modular_perceptron), FIT | {"alpha": 1.0, "seed": 0}),
    "flow of Lyu et al.": (of_flow("regression"), FLOW | {"seed": 0}),
}
# What stores runs and shares them out: it computes nothing.
MACHINERY = {
    f"lazyrich.simulate.{name}"
    for name in ("runs", "experiment", "completing", "store", "workers", "sweep")
}


@pytest.mark.parametrize("name", list(RUNS))
def test_every_function_that_a_run_goes_through_is_in_its_code(name, tmp_path, monkeypatch):
    """Read from the sources, the graph is held against what is called while a run goes on."""
    experiment, settings = RUNS[name]
    settings, seen = experiment.complete(settings), {}
    for module in (cells, sys.modules["lazyrich.simulate.experiment"]):
        monkeypatch.setattr(module, "code_of", partial(_modules, seen))
    experiment.code(settings)
    files: set[str] = set()
    sys.setprofile(lambda frame, *_: files.add(frame.f_code.co_filename))
    try:
        experiment.outcomes([settings] * (2 if name == "moments" else 1), tmp_path / "run.pt")
    finally:
        sys.setprofile(None)
    called = {
        module
        for module in list(sys.modules)
        if module.startswith("lazyrich.") and str(source(module)) in files
    }
    assert len(called) > 5
    initial = {module for module in called if str(source(module)).endswith("__init__.py")}
    beside = initial | MACHINERY | ({cells.__name__} if name == "labels" else set())
    assert called - beside <= seen["modules"]
