"""Making a figure: files whole and reproducible, runs kept and resumed, bad input in one line."""

import subprocess
import sys
from dataclasses import replace

import pytest

from lazyrich.paper_figures import make, make_each
from lazyrich.paper_figures.checks import Check


def kept_by(reports):
    return lambda *report: reports.append(report)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Figure 1 by one process and by two, its folder, and what was reported of its progress."""
    made = {}
    for jobs in (1, 2):
        folder, reports = tmp_path_factory.mktemp(f"jobs-{jobs}"), []
        figure = make("1", "tiny", out=folder, jobs=jobs, progress=kept_by(reports))
        made[jobs] = figure, folder, reports
    return made


def test_more_processes_change_no_byte(first):
    (one, folder, _), (two, *_) = first[1], first[2]
    for at_first, second in zip(one.paths[:3], two.paths[:3], strict=True):
        assert at_first.read_bytes() == second.read_bytes()
    assert {path.name for path in folder.iterdir()} == {
        "index.html",
        "runs",
        *(path.name for path in one.paths),
    }


def test_an_interrupted_figure_keeps_its_finished_runs_and_resumes(tmp_path):
    class Interrupted(Exception):
        pass

    def stop_halfway(done, total):
        if done > total / 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        make("1", "tiny", out=tmp_path, progress=stop_halfway)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.nc")}
    assert kept
    assert not list(tmp_path.glob("figure*"))
    made = make("1", "tiny", out=tmp_path)
    everything = set((tmp_path / "runs").rglob("*.nc"))
    assert set(kept) < everything
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert made.paths[0].exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_rises_to_the_whole(first, jobs):
    shares = [done / total for done, total in first[jobs][2]]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_several_figures_are_those_made_one_by_one(tmp_path, first):
    """Law: that the processes go on while a figure is drawn changes no byte."""
    names, reports = ["1", "7"], []
    made = make_each(names, "tiny", tmp_path / "both", jobs=2, progress=kept_by(reports))
    for name, both in zip(names, made, strict=True):
        assert (both.name, reports[-1][0]) == (name, pytest.approx(reports[-1][1]))
        reports.clear()
        alone = first[2][0] if name == "1" else make(name, "tiny", out=tmp_path / "alone", jobs=2)
        for first_path, second in zip(both.paths[:3], alone.paths[:3], strict=True):
            assert first_path.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "0"}, "figure = '0': "),
        ({"name": "1", "preset": "papper"}, "preset = 'papper': did you mean 'paper'?"),
        ({"name": "1", "jobs": 0}, "jobs = 0: must be a positive integer"),
        ({"name": "6", "mnist": "/no/such/folder"}, "mnist = '/no/such/folder': must be a folder"),
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
    assert ("changed" in check.outcome) == (holds != expected)
    assert ("does not hold" in check.outcome) == (not holds)
    small = replace(check, too_small=True)
    assert small.passed
    assert (small.outcome == "too small to tell") == (holds != expected)
