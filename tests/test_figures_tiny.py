"""Every figure, drawn at its tiny size: files, claims, and claims that fail on wrong data.

A new figure is a new line in ``FIGURES``.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread, imsave
from matplotlib.testing.compare import compare_images

from lazyrich import paper_figures, verify
from lazyrich.paper_figures import PRESETS, make, names
from lazyrich.simulate.runs import run_all
from lazyrich.simulate.threads import threads
from lazyrich.verify.figure_checks import agrees

CLAIMS = verify.claims()
PICTURES = Path(__file__).with_name("pictures")


@dataclass(frozen=True)
class Expected:
    """What is expected of a figure at its tiny size.

    ``backwards`` names checks that must fail on histories that run backwards in time: what groks
    no longer does, what grows falls.
    """

    backwards: set[str]


FIGURES = {
    "1": Expected({"groks", "beats-kernel-regression", "weight-norm-grows", "features-align"}),
    "3": Expected(
        {"large-alpha-is-lazy", "lazy-limit", "weight-norm-plain", "delay-grows-with-alpha"}
    ),
    "2": Expected({"groks-in-accuracy", "groks-in-loss", "weight-norm-grows"}),
    "4": Expected({"test-falls-later", "wide-falls"}),
    "lyu-1": Expected({"fits-early", "groks"}),
    "lyu-2": Expected({"slope-1-square", "margin-grows"}),
    "lyu-3": Expected({"fits-in-tens-of-steps", "completes-late", "late-certificate"}),
    "lyu-4": Expected({"loss-falls-as-1-over-t-log-t", "l1-margin-still-grows"}),
    "transition-time": Expected({"slope-1-depth-2", "slope-1-classification"}),
    "implicit-bias-path": Expected({"ends-at-least-l1"}),
    "8": Expected({"groks-in-accuracy"}),
    "6": Expected({"digits-delay-grows"}),
    "9": Expected(
        {
            "goldilocks-groks-published",
            "goldilocks-groks-misaligned",
            "more-samples-nearer-together-misaligned",
            "worse-than-random-misaligned",
        }
    ),
    "12": Expected({"groks", "decay-ends-grokking"}),
    "13": Expected({"student-tracks-until-half"}),
    "lazy-curve": Expected({"law-within-6-percent"}),
    "population-time": Expected({"one-formula", "exact-in-one-dimension"}),
    "collapse": Expected({"collapse", "train-first"}),
    "time-to-grok": Expected({"train-fall", "test-fall", "spike-alone", "decades"}),
    "phase-diagram": Expected({"own-data-set", "parameters-alone", "three-phases"}),
    "window-edge": Expected({"least-trace"}),
    "16": Expected({"train-loss-to-zero", "perfect-accuracy-without-zero-loss"}),
    "17": Expected({"others-do-not"}),
    "18": Expected({"no-grokking-in-the-loss", "test-loss-does-not-rise"}),
    "5": Expected({"middle-j-groks", "misaligned-labels-fail-beyond", "leak-makes-j-hard"}),
    "10": Expected(
        {"rise-shrinks-added-two", "rise-shrinks-mixed-wide", "rise-vanishes-added-two"}
    ),
    "19": Expected({"more-samples-suffice", "last-eigenvector-fails"}),
    "14": Expected({"groks-2", "groks-3", "more-directions-are-harder"}),
    "7": Expected(
        {"large-sigma-moves-less", "joint-preserves-feature-learning", "small-labels-are-lazy"}
    ),
    "11": Expected({"wide-falls", "same-mechanism", "rise-is-linear-wide"}),
    "15": Expected({"groks-degree-3", "rise-is-linear-degree-3"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the tests share their runs."""
    return tmp_path_factory.mktemp("figures")


@cache
def _data(number, folder):
    figure = paper_figures.module(number)
    p = figure.PRESETS["tiny"]
    with threads(1):
        return figure, p, run_all(figure.sweeps(p), folder / "runs")


@cache
def _made(number, folder):
    """The files of the figure, drawn once for all tests that look at them."""
    return replace(make(number, "tiny", out=folder), drawn=None)


def test_every_figure_has_its_line_here():
    assert set(FIGURES) == set(names())


@pytest.mark.parametrize("number", list(FIGURES))
def test_presets_grow_from_tiny_to_paper(number):
    figure = paper_figures.module(number)
    assert set(figure.PRESETS) == set(PRESETS)
    tiny, quick, paper = (
        sum(sweep.cost() for sweep in figure.sweeps(figure.PRESETS[preset]).values())
        for preset in PRESETS
    )
    assert 0 < tiny < quick <= paper


@pytest.mark.slow
@pytest.mark.parametrize("number", ["6", "13"])
def test_parts_that_were_not_run_are_missing_from_the_figure_and_nothing_else_is(number, folder):
    figure, p, data = _data(number, folder)
    whole = {check.name: check for check in figure.claims(p, data)}
    without = {}
    for part in figure.PARTS:
        rest = {name: runs for name, runs in data.items() if name != part}
        found = {check.name: check for check in figure.claims(p, rest)}
        assert found == {name: whole[name] for name in found}
        assert len(figure.picture(p, rest).axes) == len(figure.picture(p, data).axes)
        assert figure.caption(p, rest)
        without[part] = whole.keys() - found.keys()
    assert all(without.values())
    assert sum(map(len, without.values())) == len(set().union(*without.values()))


@pytest.mark.slow
@pytest.mark.parametrize("number", list(FIGURES))
def test_a_figure_is_written_with_what_it_shows(number, folder):
    made = _made(number, folder)
    assert [path.suffix for path in made.paths] == [".pdf", ".png", ".md", ".json"]
    report = json.loads(made.paths[3].read_text())
    assert made.passed
    assert report["figure"] == number
    assert report["passed"] == made.passed
    # What is shown, in a few lines; settings and choices stand apart. One seed is no range.
    assert 50 < len(made.caption) <= 520
    assert (report["caption"], report["notes"]) == (made.caption, made.notes)
    for odd in ("nan", "inf [", " 1 seeds", "1 other seeds", "  "):
        assert odd not in f" {made.caption} {made.notes}", odd
    assert [check["name"] for check in report["checks"]] == [check.name for check in made.checks]


# One of each room: the style is set in one place, and drawing costs as much as the runs.
@pytest.mark.slow
@pytest.mark.parametrize("number", ["1", "lyu-4", "phase-diagram", "17"])
def test_a_figure_is_the_same_bytes_again_whatever_the_users_style(number, folder, monkeypatch):
    made = _made(number, folder)
    first = [path.read_bytes() for path in made.paths[:3]]
    for path in made.paths:
        path.unlink()
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 5)
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 50)
    make(number, "tiny", out=folder)  # the same runs: test_figures.py makes them anew
    assert [path.read_bytes() for path in made.paths[:3]] == first


@pytest.mark.slow
@pytest.mark.parametrize("number", list(FIGURES))
def test_the_checks_pass_that_can_at_this_size(number, folder):
    figure, p, data = _data(number, folder)
    checks = figure.claims(p, data)
    by_name = {check.name: check for check in checks}
    assert len(by_name) == len(checks) > 3
    too_small = paper_figures.too_small(number)
    assert too_small <= set(by_name)
    failed = {name for name, check in by_name.items() if not check.passed}
    assert failed <= too_small
    claimed = [check for check in checks if check.claim]
    assert not [c.name for c in checks if c.source and not c.claim]
    contradicts = [c for c in claimed if not agrees(CLAIMS[c.claim], c.judges, c.expected)]
    assert not [(check.name, check.claim) for check in contradicts]


def _backwards(runs):
    """The same in the opposite order of its steps, or, where it has none, of its points."""
    along = "step" if "step" in runs.dims else "cell"
    return runs.isel({along: slice(None, None, -1)}).assign_coords({along: runs[along]})


@pytest.mark.slow
@pytest.mark.parametrize("number", list(FIGURES))
def test_checks_fail_on_histories_that_run_backwards(number, folder):
    figure, p, data = _data(number, folder)
    backwards = {name: _backwards(runs) for name, runs in data.items()}
    failed = {check.name for check in figure.claims(p, backwards) if not check.passed}
    assert FIGURES[number].backwards <= failed
    assert FIGURES[number].backwards


# Root mean square of the differences in grey values, of 255: fonts and curves that move by a pixel
# stay below it.
ALIKE = 3.0


@pytest.mark.slow
@pytest.mark.parametrize("number", ["4", "9"])
def test_the_picture_is_the_one_that_was_looked_at(number, folder, tmp_path):
    kept = PICTURES / f"figure-{number}.png"
    drawn = next(p for p in _made(number, folder).paths if p.suffix == ".png")
    # It writes the difference next to the picture that is compared.
    actual = tmp_path / "drawn.png"
    actual.write_bytes(drawn.read_bytes())
    assert compare_images(kept, actual, ALIKE) is None


def test_pictures_of_other_data_are_told_apart(tmp_path):
    """The negative control: one curve of Figure 4's first panel in another place."""
    pixels = imread(PICTURES / "figure-4.png")
    moved = np.roll(pixels[:, : pixels.shape[1] // 2], 8, axis=0)
    imsave(tmp_path / "moved.png", np.concatenate([moved, pixels[:, moved.shape[1] :]], axis=1))
    assert compare_images(PICTURES / "figure-4.png", tmp_path / "moved.png", ALIKE) is not None
