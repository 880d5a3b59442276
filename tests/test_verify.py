"""The ledger keeps its word: what fails is seen to fail, and reports say what was found."""

import json
import subprocess
import sys
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis.strategies import integers

from lazyrich import verify
from lazyrich.verify.attack import attack
from lazyrich.verify.evidence_code import source_at
from lazyrich.verify.formulas import to_html
from lazyrich.verify.ledger import Budget, Claim, Evidence, Result, Row, Verdict, by_name, check
from lazyrich.verify.report import Report, planted, summary
from lazyrich.verify.report_html import to_html as to_page
from lazyrich.verify.statistics import mean_is

ALL = verify.claims()


def holds(_):
    return "1 = 1"


def fails(_):
    raise AssertionError("1 is not 2")


def breaks(_):
    raise ZeroDivisionError("by zero")


def gives_up(budget):
    """A test on draws that are far too noisy."""

    def noise(first, count):
        return 1e3 * (-1.0) ** np.arange(first, first + count)

    return mean_is("noise", noise, budget.seed, 0, smallest=1)


def claim(name="unit", verdict=Verdict.CONFIRMED, **more):
    return Claim(name, "Sec. 0, eq. (1)", "1 = 1", verdict, **more)


def piece(check=holds, control=None, level="proved"):
    return [Evidence(level, "one is one", check, control)]


@pytest.mark.parametrize(
    ("check_", "control", "passed", "said"),
    [
        (holds, None, True, "1 = 1"),
        (holds, fails, True, "1 is not 2"),
        (fails, fails, False, "1 is not 2"),
        (breaks, fails, False, "ZeroDivisionError: by zero"),
        (holds, holds, False, "the planted error was accepted, though it must be rejected: 1 = 1"),
        (holds, breaks, False, "the control broke: ZeroDivisionError: by zero"),
        (holds, gives_up, False, "the control decides nothing: noise: "),
        (gives_up, fails, False, "draws needed, more than 512"),
    ],
)
def test_a_claim_passes_only_if_its_check_holds_and_its_control_is_rejected(
    check_, control, passed, said
):
    row = check(claim(), Budget(), piece(check_, control))
    assert row.passed is passed
    assert any(said in text for text in (row.results[0].found, row.results[0].control))


def test_what_was_planted_is_said_with_what_it_was_rejected_with():
    """The words of a check may name its own numbers, where the control runs others."""
    (few,) = [e for e in ALL["abstract-three-conditions"].evidence if e.part == "data"]
    assert few.planted == "setting with learning rate = 2.0, P = 60"
    result = Result(few, "it does not rise", True, 0.0, "it does")
    how = "(the same check with setting with learning rate = 2.0, P = 60)"
    assert planted(result) == f"A planted error, which must be rejected {how}: it does"
    assert planted(replace(result, control="")) == ""


def test_what_failed_is_told_in_plain_characters():
    row = check(replace(claim(), statement=r"$\frac{\alpha}{2}$ at wbar0"), Budget(), piece(fails))
    assert "FAILED unit: α/2 at w̄₀\n" in str(Report((row,), Budget()))


def test_a_claim_without_a_counterexample_says_none():
    """It was None, not a function, where the tutorial calls it."""
    assert ALL["sec-5.3-peak-is-linear"].computed_counterexample() == ""
    assert "printed 3, derived 12" in ALL["eq-16"].computed_counterexample()


def test_an_attack_says_at_which_input_it_failed():
    def law(number):
        if number >= 3:
            raise AssertionError("three or more")

    row = check(claim(), Budget(), piece(lambda _: attack(law, integers(0, 9), budget=Budget(50))))
    assert row.results[0].found == "three or more (at the random input 3)"


def test_a_counterexample_that_is_not_found_fails_the_claim():
    def none():
        raise AssertionError("they agree everywhere")

    misprint = claim(verdict=Verdict.MISPRINT, printed="1", right="2")
    assert not check(misprint, Budget(), piece(), none).passed
    assert check(misprint, Budget(), piece(), lambda: "at 0").counterexample == "at 0"


def test_a_claim_without_evidence_fails():
    assert not check(claim(), Budget(), []).passed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: claim(verdict=Verdict.REFUTED, printed="1"), "needs right"),
        (lambda: claim(verdict=Verdict.ASSUMING), "needs assumption"),
        (lambda: claim(verdict=Verdict.NOT_REPRODUCED), "needs sizes"),
        (lambda: piece(level="prooved"), "did you mean 'proved'"),
        (lambda: by_name([claim(), claim()]), "the name is taken"),
        (lambda: verify.run(["eq-66"]), "did you mean 'eq-6'"),
        (lambda: verify.run(examples=0), "examples = 0"),
        (lambda: verify.run(seed=-1), "seed = -1"),
    ],
)
def test_bad_claims_and_arguments_are_refused_with_one_clear_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_progress_is_told_after_each_claim():
    told = []
    verify.run(["eq-4", "eq-12"], examples=1, progress=lambda *counts: told.append(counts))
    assert told == [(1, 2), (2, 2)]


def test_run_checks_the_claims_asked_for_once_and_in_the_papers_order_by_default():
    report = verify.run(["eq-4", "eq-3", "eq-4"], examples=2)
    assert [row.claim.name for row in report.rows] == ["eq-4", "eq-3"]
    order = list(verify.claims())
    assert order.index("eq-1") < order.index("eq-5") < order.index("eq-6") < order.index("eq-17")


def test_a_run_leaves_nothing_in_the_users_folder(tmp_path):
    code = "from lazyrich import verify; assert not verify.run(['eq-4'], examples=2).failed"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_seed_fixes_the_random_inputs():
    def found(seed):
        rows = verify.run(["eq-4"], examples=5, seed=seed).rows
        return [result.found for row in rows for result in row.results]

    assert found(1) == found(1)
    assert found(1) != found(2)


@pytest.fixture
def mixed():
    """A report with a failure, a misprint and characters that need escaping."""
    evil = "<b>|&amp; $x_i$"
    texts = {"printed": evil, "right": "2", "counterexample": "at 0"}
    rows = (
        check(claim("misprinted", Verdict.MISPRINT, **texts), Budget(), piece(control=fails)),
        check(claim("failing"), Budget(), piece(fails)),
    )
    return Report(rows, Budget())


def test_the_printed_table_shows_failures_in_full(mixed):
    lines = str(mixed).splitlines()
    assert lines[0].split() == ["claim", "place", "verdict", "evidence", "time"]
    assert "misprint" in lines[2]
    assert "FAILED" in lines[3]
    assert any("1 is not 2" in line for line in lines)
    assert [row.claim.name for row in mixed.failed] == ["failing"]
    assert "1 FAILED" in summary(mixed)


class _Structure(HTMLParser):
    """Open tags must close in order; collects the text and the attributes."""

    VOID = ("meta", "br", "input")

    def __init__(self):
        super().__init__()
        self.open, self.text, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_html_report_is_well_formed_and_needs_nothing_else(mixed, tmp_path):
    mixed.write(tmp_path / "report.html")
    source = (tmp_path / "report.html").read_text()
    page = _Structure()
    page.feed(source)
    assert page.open == []
    assert not {name for name, _ in page.attributes} & {"src", "href"}
    assert "<b>" not in source
    assert "<b>|&amp; $x_i$" in "".join(page.text)
    assert "1 is not 2" in "".join(page.text)


def test_the_html_report_can_be_searched_and_filtered(mixed, tmp_path):
    mixed.write(tmp_path / "report.html")
    page = _Structure()
    page.feed((tmp_path / "report.html").read_text())
    names = [value for name, value in page.attributes if name == "id"]
    assert {"search", "source", "section", "verdict", "level", "misprinted"} <= set(names)
    assert ("data-verdict", "misprint") in page.attributes
    assert ("data-level", "proved") in page.attributes


def test_each_claim_leads_to_the_source_of_its_evidence_its_figure_and_its_closed_form():
    """By the record alone: the checks are not run."""
    names = ("eq-6", "fig-3e")
    results = {
        name: tuple(Result(e, "found", True, 0.0) for e in ALL[name].evidence) for name in names
    }
    rows = tuple(Row(ALL[name], results[name], 0.0, True) for name in names)
    page = to_page(Report(rows, Budget()))
    assert "lazyrich derive test-loss" in page
    assert 'href="figure-3.png"' in page
    for piece in ALL["fig-3e"].evidence:
        assert piece.where in page
        assert escape(source_at(piece.where)) in page


def test_formulas_are_drawn_or_shown_as_they_stand():
    """One svg a formula, LaTeX as its title; what Matplotlib can't set stays readable."""
    drawn = to_html(r"a $\frac{1}{D}$ b $\epsilon$")
    assert drawn.count("<svg") == drawn.count("<path") == 2
    assert r"<title>$\frac{1}{D}$</title>" in drawn
    assert to_html(r"$\nosuchcommand < 1$") == r"<code>$\nosuchcommand &lt; 1$</code>"


def test_the_json_report_holds_everything(mixed, tmp_path):
    mixed.write(tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["failed"] == ["failing"]
    first, second = data["claims"]
    assert (first["verdict"], first["passed"]) == ("misprint", True)
    assert first["counter-example"] == "at 0"
    assert first["evidence"][0]["control"] == "1 is not 2"
    assert second["passed"] is False


def test_the_markdown_report_has_one_row_and_one_section_a_claim(mixed, tmp_path):
    mixed.write(tmp_path / "report.md")
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert sum(line.startswith("| misprinted") for line in lines) == 1
    assert [line for line in lines if line.startswith("## ")] == ["## misprinted", "## failing"]
    assert r"- printed: \<$b$\>\|\&amp; $x_i$" in lines  # no mark-up but the formulas


def test_a_report_of_another_kind_is_refused_and_a_failed_one_leaves_no_file(mixed, tmp_path):
    with pytest.raises(ValueError, match=r"suffix = '\.pdf'"):
        mixed.write(tmp_path / "report.pdf")
    with pytest.raises(OSError, match="missing"):
        mixed.write(tmp_path / "missing" / "report.md")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ALL)
def test_every_claim_says_all_that_a_reader_needs(name):
    one = ALL[name]
    assert not set(name) & set(" \t\n/")
    texts = (one.place, one.statement, one.printed, one.right, one.assumption, one.derivation)
    for text in (*texts, *(evidence.sentence for evidence in one.evidence)):
        assert all(ord(char) < 256 for char in text), f"{text!r}: LaTeX can't set all of it"
        assert text.count("$") % 2 == 0, f"{text!r} leaves a formula open"
        assert text.count("{") == text.count("}"), f"{text!r} leaves a brace open"
