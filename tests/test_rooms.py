"""No arrow points upward: what a room may import, read from every import in its sources."""

import ast
import importlib.util
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from lazyrich.paper_figures import PRESETS, interface, module, module_name, names

# Room -> the rooms below it. Everything stands on the support part of the front door; pictures are
# drawn with lazyrich.plotting.
SUPPORT = {"lazyrich", "lazyrich.support", "lazyrich.plotting"}
MAY_IMPORT = {
    "lazyrich.support": set(),
    "lazyrich.theory": set(),
    "lazyrich.simulate": {"lazyrich.theory"},
    "lazyrich.verify": {"lazyrich.theory", "lazyrich.simulate"},
    "lazyrich.paper_figures": {"lazyrich.theory", "lazyrich.simulate", "lazyrich.verify"},
    # Of the figures the explorer takes the numbers of its presets, of the front door its errors.
    "lazyrich.explore": {
        "lazyrich.theory",
        "lazyrich.simulate",
        "lazyrich.paper_figures",
        "lazyrich.cli",
    },
}
# Below the figures, from the lowest up.
BELOW_FIGURES = ["experiments", "studies"]


def _folder(room: str) -> Path:
    spec = importlib.util.find_spec(room)
    assert spec is not None
    return Path(next(iter(spec.submodule_search_locations or [])))


@cache
def modules(room: str) -> dict[str, Path]:
    """Return the modules of a room and their files."""
    folder, found = _folder(room), {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join([room, *parts])] = path
    return found


def imported(text: str) -> set[str]:
    """Return what a source imports of lazyrich, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.partition(".")[0] == "lazyrich"}


def room_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("room", list(MAY_IMPORT))
def test_a_room_imports_only_the_rooms_below_it(room):
    allowed = MAY_IMPORT[room] | {room} | SUPPORT
    for name, path in modules(room).items():
        for target in imported(path.read_text()):
            version = target == "lazyrich.__version__"
            assert room_of(target) in allowed or version, f"{name} imports {target}"


def figures() -> set[str]:
    return {module_name(name) for name in names()}


def test_a_figure_imports_no_other_figure_and_no_claims():
    room = modules("lazyrich.paper_figures")
    assert figures() <= set(room)
    for name, path in room.items():
        for target in imported(path.read_text()):
            of_figure = {other for other in figures() if f"{target}.".startswith(f"{other}.")}
            assert not of_figure - {name}, f"{name} imports {target}"
            assert room_of(target) != "lazyrich.verify", f"{name} imports {target}"


@pytest.mark.parametrize("level", range(len(BELOW_FIGURES)))
def test_what_figures_share_is_below_them(level):
    """Experiments import neither studies nor figures, studies no figures."""
    room = "lazyrich.paper_figures"
    above = {f"{room}.{part}" for part in (*BELOW_FIGURES[level + 1 :], "kumar", "laws", "lyu")}
    for name, path in modules(f"{room}.{BELOW_FIGURES[level]}").items():
        for target in imported(path.read_text()):
            assert ".".join(target.split(".")[:3]) not in above, f"{name} imports {target}"


def test_an_upward_arrow_is_seen_wherever_it_stands():
    text = "def f():\n    from lazyrich.paper_figures.kumar import figure2\n"
    assert imported(text) == {"lazyrich.paper_figures.kumar.figure2"}
    assert imported("import lazyrich.verify") == {"lazyrich.verify"}


@pytest.mark.parametrize("name", list(names()))
def test_a_figure_has_what_its_interface_asks(name):
    figure = module(name)
    assert set(figure.PRESETS) == set(PRESETS)
    for part in ("sweeps", "picture", "claims", "caption"):
        assert callable(getattr(figure, part)), f"{name} has no {part}"


@pytest.mark.slow
def test_pyright_checks_every_figure_against_its_interface(tmp_path):
    """One file that says of every figure that it is a ``FigureModule``, and of one that is not."""
    lines = [f"from {interface.__name__} import FigureModule"]
    for i, name in enumerate(sorted(figures())):
        package, _, file = name.rpartition(".")
        lines += [f"from {package} import {file} as figure_{i}", f"x{i}: FigureModule = figure_{i}"]
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("\n".join(lines) + "\n")
    bad.write_text("\n".join([lines[0], "import json", "x: FigureModule = json"]) + "\n")
    for file, code in ((good, 0), (bad, 1)):
        command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == code, done.stdout
