"""Making a figure: files whole and reproducible, runs kept and resumed, bad input in one line."""

import dataclasses
import json
import subprocess
import sys

import matplotlib
import pytest

from lazyrich import paper_figures
from lazyrich.paper_figures import make, names
from lazyrich.paper_figures.checks import Check

SMALL = {"D": 6, "P": 24, "steps": 30, "seeds": 2}
TINY = {
    "1": {**SMALL, "width": 10, "small_time": 10.0, "n_test": 20, "learning_rate": 0.1},
    "3": {
        **SMALL,
        "P_alpha": 20,
        "width": 10,
        "alphas": (0.25, 1.0),
        "epsilons": (0.25, 1.0),
        "grid_alphas": (0.4, 0.8),
        "grid_epsilons": (0.1, 0.2),
        "learning_rate": 0.03,
        "grid_learning_rate": 1.0,
        "grid_steps": 30,
        "descent_steps": 10,
        "grid_seeds": 1,
    },
    "4": {**SMALL, "widths": (2, 20)},
}


@pytest.fixture
def tiny(monkeypatch):
    """Make the quick presets of all figures tiny: for the machinery, not for the claims."""
    for number, changes in TINY.items():
        figure = paper_figures.module(number)
        small = dataclasses.replace(figure.PRESETS["quick"], **changes)
        monkeypatch.setitem(figure.PRESETS, "quick", small)


def test_every_figure_has_its_module_with_both_presets():
    assert list(names()) == list(TINY)
    for number in names():
        figure = paper_figures.module(number)
        assert sorted(figure.PRESETS) == ["paper", "quick"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("number", list(TINY))
def test_a_figure_writes_the_same_bytes_again_whatever_the_users_style(
    number, tmp_path, monkeypatch
):
    first = make(number, out=tmp_path / "one")
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 5)
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 50)
    # Processes take seconds to start: one figure will do to see that they change nothing.
    second = make(number, out=tmp_path / "two", jobs=2 if number == "4" else 1)
    assert [path.suffix for path in first.paths] == [".pdf", ".png", ".md", ".json"]
    for one, two in zip(first.paths[:3], second.paths[:3], strict=True):
        assert one.read_bytes() == two.read_bytes(), one.suffix
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        "index.html",
        "runs",
        *(path.name for path in first.paths),
    }
    report = json.loads(first.paths[3].read_text())
    assert report["figure"] == number
    assert report["passed"] == first.passed
    assert [check["name"] for check in report["checks"]] == [check.name for check in first.checks]
    assert len({check.name for check in first.checks}) == len(first.checks) > 4


@pytest.mark.usefixtures("tiny")
def test_an_interrupted_figure_keeps_its_finished_runs_and_resumes(tmp_path):
    class Interrupted(Exception):
        pass

    def stop_halfway(done, total):
        if done > total / 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        make("4", out=tmp_path, progress=stop_halfway)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.nc")}
    assert kept
    assert not list(tmp_path.glob("figure*"))
    made = make("4", out=tmp_path)
    everything = set((tmp_path / "runs").rglob("*.nc"))
    assert set(kept) < everything
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert made.paths[0].exists()


@pytest.mark.usefixtures("tiny")
def test_progress_rises_to_the_whole(tmp_path):
    reports = []
    make("3", out=tmp_path, progress=lambda done, total: reports.append((done, total)))
    shares = [done / total for done, total in reports]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "5"}, "figure = '5': Allowed: 1, 3, 4"),
        ({"name": "1", "preset": "papper"}, "preset = 'papper': did you mean 'paper'?"),
        ({"name": "1", "jobs": 0}, "jobs = 0: must be a positive integer"),
    ],
)
def test_bad_input_is_one_line_before_any_work(arguments, message, tmp_path):
    with pytest.raises(ValueError) as error:
        make(**arguments, out=tmp_path / "out")
    assert str(error.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OSError, match="can't be made"):
        make("4", out=tmp_path / "out")


def test_naming_the_figures_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys; from lazyrich.paper_figures import names; names(); "
        "sys.exit(bool({'torch', 'matplotlib', 'sympy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("holds", [True, False])
@pytest.mark.parametrize("expected", [True, False])
def test_a_check_passes_exactly_if_the_data_behave_as_recorded(holds, expected):
    check = Check("name", "sentence", "1", "2", holds=holds, expected=expected)
    assert check.passed == (holds == expected)
    assert ("UNEXPECTED" in check.outcome) == (holds != expected)
    assert ("does not hold" in check.outcome) == (not holds)
