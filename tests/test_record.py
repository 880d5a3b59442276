"""The record is one: claims and evidence name each other, and nothing contradicts a verdict."""

import ast
import json
import re
from pathlib import Path

import pytest

from lazyrich import verify
from lazyrich.verify import record
from lazyrich.verify.evidence import attached_names, counterexample_for
from lazyrich.verify.figure_checks import (
    FigureCheck,
    cites_without_claim,
    figure_checks,
    without_claim,
)
from lazyrich.verify.formulas import pieces, to_html
from lazyrich.verify.ledger import AGAINST, EXACT, Claim, Verdict
from lazyrich.verify.terminal import to_text

CLAIMS = verify.claims()
AGAINST_A_PAPER = [n for n, c in CLAIMS.items() if c.verdict in AGAINST and c.source != "laws"]


def test_every_piece_of_evidence_names_a_claim_of_the_record():
    assert attached_names(tuple(record.SOURCES)) <= set(CLAIMS)
    assert {check.claim for check in figure_checks()} <= set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_and_every_part_has_evidence_with_a_control_and_a_place(name):
    claim = CLAIMS[name]
    assert claim.evidence or claim.figures, "no evidence"
    assert {piece.part for piece in claim.evidence if piece.part} == set(claim.parts)
    for piece in claim.evidence:
        assert piece.control is not None, f"{piece.sentence!r} has no control"
        file, line = piece.where.rsplit(":", 1)
        assert file.startswith("verify/")
        assert int(line) > 0


def test_a_claim_that_rests_on_figures_alone_says_on_which_runs():
    on_figures = [claim for claim in CLAIMS.values() if not claim.evidence]
    assert on_figures
    assert all("runs" in claim.sizes for claim in on_figures)


def test_every_check_of_a_figure_says_what_was_found():
    assert [check.where for check in figure_checks() if not re.search(r"\d", check.found)] == []


def test_what_figures_measured_is_that_of_the_gallery():
    """If it fails: docs/collect_figures.py writes both files."""
    root = Path(__file__).resolve().parent.parent
    drawn, known = (
        json.loads((root / file).read_text(encoding="utf-8"))
        for file in ("docs/images/figures/figures.json", "paper_figures/measured.json")
    )
    for name, report in drawn.items():
        assert known[name]["preset"] == report["preset"]
        measured = [c["measured"] for c in report["checks"] if c.get("claim")]
        assert [found for *_, found in known[name]["checks"]] == measured


@pytest.mark.parametrize("name", CLAIMS)
def test_no_recorded_outcome_of_a_figure_contradicts_the_verdict(name):
    claim = CLAIMS[name]
    assert not [check.where for check in claim.figures if not check.agrees(claim)]


def test_a_check_of_a_figure_that_cites_a_place_names_a_claim():
    assert not without_claim()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('Check("a", source="Fig. 3")', True),
        ('Check("a", source=source)', True),
        ('Check("a", source="Fig. 3", claim="")', True),
        ('Check("a", source="Fig. 3", claim="fig-3e")', False),
        ('Check("a")', False),
        ('Check("a", source="")', False),
    ],
)
def test_a_check_without_its_claim_is_noticed(text, found):
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    assert cites_without_claim(call) is found


SAYS = {"printed": "1", "right": "2", "assumption": "it is warm", "sizes": "D = 2"}


@pytest.mark.parametrize("verdict", Verdict)
def test_a_contradiction_is_noticed(verdict):
    """Each verdict allows one outcome, or both where nothing is decided."""
    claim = Claim("a", "Fig. 3", "it grows", verdict, **SAYS)
    allowed = [holds for holds in (True, False) if _check(holds).agrees(claim)]
    printed_holds = verdict in (Verdict.CONFIRMED, Verdict.ASSUMING)
    assert allowed == ([True, False] if verdict is Verdict.OPEN else [printed_holds])


@pytest.mark.parametrize("verdict", Verdict)
def test_what_a_check_judges_must_be_there_to_judge(verdict):
    """An assumption can be left out where there is one, a right form judged where one is given."""
    claim = Claim("a", "Fig. 3", "it grows", verdict, **SAYS)
    without = [
        holds for holds in (True, False) if _check(holds, "without assumption").agrees(claim)
    ]
    assert without == ([False] if verdict is Verdict.ASSUMING else [])
    right = [holds for holds in (True, False) if _check(holds, "right form").agrees(claim)]
    assert right == ([True] if verdict in AGAINST else [])


def _check(expected: bool, judges: str = "statement") -> FigureCheck:
    return FigureCheck("a", "kumar/figure3", "paper_figures/kumar/figure3.py:1", expected, judges)


@pytest.mark.parametrize("name", AGAINST_A_PAPER)
def test_a_verdict_against_a_paper_rests_on_a_proof_or_on_the_papers_own_setting(name):
    claim = CLAIMS[name]
    proved = any(piece.level in EXACT for piece in claim.evidence)
    own = any(piece.own_setting for piece in claim.evidence)
    assert proved or own
    assert claim.counterexample or counterexample_for(claim) or own


def test_a_repeated_slip_names_the_claim_that_stands_for_it():
    repeated = [claim for claim in CLAIMS.values() if claim.same_as]
    assert repeated
    for claim in repeated:
        first = CLAIMS[claim.same_as]
        assert not first.same_as
        assert (first.source, first.verdict) == (claim.source, claim.verdict)


def test_notes_are_no_claims():
    names = {note.name for note in record.notes()}
    assert names
    assert not names & set(CLAIMS)


OUTSIDE = re.compile(
    r"[\^=<>\\]|->|(?<![\w-])(sqrt|log|exp|sinh|grad|alpha|beta|gamma|epsilon|lambda|sigma|theta"
    r"|thetabar|eta|tau|nu|phi)(?![\w-])"
)


def _mathematics_outside(text: str) -> list[str]:
    plain = "".join(part for is_formula, part in pieces(text) if not is_formula)
    return [found.group() for found in OUTSIDE.finditer(plain)]


@pytest.mark.parametrize("name", CLAIMS)
def test_mathematics_stands_between_dollar_signs_and_can_be_drawn_and_printed(name):
    claim = CLAIMS[name]
    fields = ("statement", "printed", "right", "assumption", "sizes", "derivation")
    for text in [*(getattr(claim, one) for one in fields), *claim.parts.values()]:
        assert not _mathematics_outside(text), text
        assert "<code>" not in to_html(text), text
        assert not set("$\\") & set(to_text(text)), to_text(text)


@pytest.mark.parametrize("text", ["alpha = 1", "as $a$ -> 0", "log(a)", r"a \leq b $x$", "x^2"])
def test_mathematics_outside_is_noticed(text):
    assert _mathematics_outside(text)
