"""The gallery page, the groups of figures and the estimate of their time."""

import json
import os
import re

import pytest

from lazyrich.paper_figures import groups, names, seconds
from lazyrich.paper_figures.gallery import write_gallery

CHECK = {
    "name": "a",
    "sentence": "x < y",
    "measured": "1",
    "allowed": "above 0",
    "holds": False,
    "expected": True,
    "source": "Sec. 1",
    "passed": False,
    "outcome": "changed: does not hold now",
}


def report(name, **changes):
    return {
        "figure": name,
        "title": f"Title {name}",
        "preset": "quick",
        "caption": "Shown & chosen.",
        "parameters": {"D": 5},
        "checks": [CHECK],
        "seconds": 1.0,
        "lazyrich": "0.1.0",
    } | changes


def test_the_gallery_shows_the_figures_that_are_there_in_their_order(tmp_path):
    for name in ("3", "1"):
        (tmp_path / f"figure-{name}.json").write_text(json.dumps(report(name)))
    page = write_gallery(tmp_path, ["1", "2", "3"]).read_text()
    assert re.findall(r"<h2[^>]*>(Figure \d)", page) == ["Figure 1", "Figure 3"]
    assert "Shown &amp; chosen." in page
    assert "x &lt; y" in page
    assert page.count("1 changed") == 2


def test_a_report_is_data_and_never_markup(tmp_path):
    attack = "<script>alert(1)</script>"
    changes = dict.fromkeys(("title", "preset", "caption", "seconds", "lazyrich"), attack)
    checks = [{**CHECK, **dict.fromkeys(("sentence", "measured", "allowed", "outcome"), attack)}]
    text = json.dumps(report("1", **changes, checks=checks, parameters={attack: attack}))
    (tmp_path / "figure-1.json").write_text(text)
    page = write_gallery(tmp_path, ["1"]).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 8


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[" * 100_000,
        "[]",
        json.dumps({"figure": "2"}),
        json.dumps(report("3")),
        json.dumps(report("2", parameters=[])),
        json.dumps(report("2", checks={})),
        json.dumps(report("2", checks=["a"])),
        json.dumps(report("2", checks=[{"name": "a"}])),
        "\udcff",
    ],
)
def test_what_is_no_report_is_left_out_in_one_line(tmp_path, text):
    """The figure that was drawn is shown all the same."""
    (tmp_path / "figure-1.json").write_text(json.dumps(report("1")))
    other = tmp_path / "figure-2.json"
    other.write_bytes(text.encode(errors="surrogateescape"))
    expected = re.escape(f"{other} is no report of figure 2: not in the gallery")
    with pytest.warns(UserWarning, match=expected):
        page = write_gallery(tmp_path, ["1", "2"]).read_text()
    assert re.findall(r"<h2[^>]*>(Figure \d)", page) == ["Figure 1"]


def test_a_pipe_in_the_place_of_a_report_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "figure-1.json")
    assert "<h2" not in write_gallery(tmp_path, ["1"]).read_text()


def test_the_gallery_needs_nothing_from_elsewhere(tmp_path):
    (tmp_path / "figure-1.json").write_text(json.dumps(report("1")))
    page = write_gallery(tmp_path, ["1"]).read_text()
    assert "http" not in page
    assert "<script" not in page


def test_every_figure_belongs_to_one_source():
    listed = [name for figures in groups().values() for name in figures]
    assert sorted(listed) == sorted(set(listed)) == sorted(names())
    assert not {"all", *groups()} & set(names())


def test_the_papers_sizes_take_longer_and_more_processes_less():
    """By a factor of 100 each: how fast the machine is is measured anew in each call."""
    quick, paper = seconds("12", "quick"), seconds("12", "paper", fresh=True)
    assert quick < paper
    assert seconds("12", "paper", jobs=100, fresh=True) < paper
    with pytest.raises(ValueError, match="jobs = 0"):
        seconds("12", "quick", jobs=0)
