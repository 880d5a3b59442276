"""The tutorials are notebooks: every cell runs, and every number that a page shows is asserted."""

import re
import time
from pathlib import Path

import pytest
from matplotlib import pyplot

from lazyrich.simulate import workers

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "tutorials"
CELL = re.compile(r"^```\{code-cell\} ipython3\n(?::[^\n]*\n)*\n?(.*?)^```$", re.M | re.S)
# Seconds of one core on a quiet machine, where there are many; from 20 on a test is marked slow.
SECONDS: dict[str, float] = {}
# What runs in its place here: a tenth of the pictures, the ends and the middle of a sweep. The
# build of the docs runs the whole, with all that it asserts.
SHORTER = {"frames=30,": "frames=3,", "[0.3, 1.0, 3.0, 10.0, 30.0]": "[0.3, 3.0, 30.0]"}
PAGES = sorted(page.stem for page in FOLDER.glob("*.md"))


def cells(name: str) -> list[str]:
    return CELL.findall((FOLDER / f"{name}.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if SECONDS.get(name, 0) >= 20 else [])
        for name in PAGES
    ],
)
def test_the_cells_of_a_tutorial_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "_cores", lambda: 1)  # sweeps in this process
    pyplot.switch_backend("Agg")
    space: dict = {"__name__": f"tutorial_{name}"}
    for number, code in enumerate(cells(name), start=1):
        for long, short in SHORTER.items():
            code = code.replace(long, short)
        exec(compile(code, f"{name}.md, cell {number}", "exec"), space)
    pyplot.close("all")


@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_asserts_its_numbers(name):
    assert any("assert " in code for code in cells(name))


def test_a_cell_that_plots_shows_the_plot():
    """A semicolon hides the figure, which pyplot doesn't manage."""
    for name in PAGES:
        assert not [code for code in cells(name) if re.search(r"\.plot\(.*\);\s*$", code)], name


def test_the_lines_of_a_cell_fit_the_page():
    for name in PAGES:
        shown = list(CELL.finditer((FOLDER / f"{name}.md").read_text()))
        lines = [line for c in shown if "remove-cell" not in c[0] for line in c[1].splitlines()]
        assert [line for line in lines if len(line) > 92] == [], name


def test_every_tutorial_is_a_notebook():
    for name in PAGES:
        assert (FOLDER / f"{name}.md").read_text().startswith("---\nfile_format: mystnb\n"), name


if __name__ == "__main__":  # which cell takes how long
    for page in PAGES:
        space = {}
        for code in cells(page):
            start = time.process_time()
            exec(code, space)
            print(page, round(time.process_time() - start, 1), code.splitlines()[0])
