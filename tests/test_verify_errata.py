"""The errata note holds what was checked, and nothing that failed."""

import pytest

from lazyrich import verify
from lazyrich.verify import errata, formulas, ledger
from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict
from lazyrich.verify.report import Report

WRITERS = (errata.latex, errata.markdown)


def report(*, passing=True, **texts):
    def check(_):
        assert passing, "no"
        return "yes"

    evidence = [Evidence("proved", "by brute force", check)]
    known = {"printed": "$2 D$", "right": r"\frac{D}{2}", "counterexample": "D = 1: 2, 1/2"}
    claims = (
        Claim("a", "Sec. 1", "x_i & 5%", Verdict.MISPRINT, **known | texts),
        Claim("b", "Sec. 2", "c", Verdict.ASSUMING, assumption="D > 1"),
        Claim("c", "Sec. 3", "not in the note", Verdict.CONFIRMED),
    )
    return Report(tuple(ledger.check(claim, Budget(), evidence) for claim in claims), Budget())


def test_a_slip_is_counted_once_with_all_its_places():
    names = ("eq-13", "eq-16", "sec-11.1-lambda-second-term", "sec-11.1-lambda-radial")
    proved = [Evidence("proved", "by brute force", lambda _: "yes")]
    claims = [verify.claims()[name] for name in names]
    told = Report(tuple(ledger.check(claim, Budget(), proved) for claim in claims), Budget())
    text = errata.markdown(told)
    assert "2 corrections (at 4 places)." in text
    assert (
        "C2. App. 11.1, eq. (16); App. 11.1, below eq. (17); App. 11.1, below eq. (16).**" in text
    )
    assert text.count("*Also printed:*") == 2
    assert "C3" not in text
    assert str(told).count("4 misprint (2 different slips)") == 1
    alone = Report(told.rows[2:3], Budget())
    assert "1 correction." in errata.markdown(alone)
    assert r"\item[C2.] \textbf{App. 11.1, eq. (16); App. 11.1, below" in errata.latex(told)


def test_the_latex_note_is_a_whole_document(tmp_path):
    verify.write_errata(tmp_path / "errata.tex", report())
    text = (tmp_path / "errata.tex").read_text()
    assert text.startswith(r"\documentclass")
    assert text.rstrip().endswith(r"\end{document}")
    for environment in ("document", "list"):
        begun = text.count(rf"\begin{{{environment}}}")
        assert begun == text.count(rf"\end{{{environment}}}") > 0
    assert r"$x_{i}$ \& 5\%" in text
    assert r"\emph{Should be:} $\frac{D}{2}$" in text  # a bare formula gets its dollar signs
    assert r"\emph{Derivation:} by brute force" in text
    assert "not in the note" not in text


def test_the_markdown_note_has_claim_derivation_and_counterexample(tmp_path):
    verify.write_errata(tmp_path / "errata.md", report(derivation="$D = D$."))
    text = (tmp_path / "errata.md").read_text()
    for piece in (
        "*Printed:* $2 D$",
        "*Derivation:* $D = D$.",
        "*Counter-example:* $D = 1$: 2, 1/2",
        "*It holds if:* $D$ \\> 1",
        "- **C1. Sec. 1.**",
        "- **A1. Sec. 2.**",
    ):
        assert piece in text


def test_a_claim_of_the_note_is_cited_by_its_place_in_it(tmp_path):
    verify.write_errata(tmp_path / "errata.md", report(derivation="See b, and a-b of c."))
    assert "See A1, and a-b of $c$" in (tmp_path / "errata.md").read_text()


@pytest.mark.parametrize("name", verify.claims())
def test_plain_mathematics_of_the_ledger_is_typeset_so_that_it_can_be_drawn(name):
    claim = verify.claims()[name]
    for text in (claim.statement, claim.printed, claim.right, claim.assumption):
        typeset = formulas.typeset(text)
        assert typeset.count("$") % 2 == 0
        assert "<code>" not in formulas.to_html(typeset), typeset


def test_no_note_is_written_from_a_claim_that_failed(tmp_path):
    with pytest.raises(ValueError, match="claim 'a' failed"):
        verify.write_errata(tmp_path / "errata.md", report(passing=False))
    with pytest.raises(ValueError, match="suffix"):
        verify.write_errata(tmp_path / "errata.pdf")
    assert list(tmp_path.iterdir()) == []


def test_the_note_says_of_how_many_claims_it_is_and_what_it_leaves_out():
    assert "of 3 claims on the papers that were run; the record has" in errata.markdown(report())
    alone = [claim for claim in verify.claims().values() if claim.name == "abstract-kernel-first"]
    measured = [Evidence("measured", "in small runs", lambda _: "yes")]
    rows = tuple(ledger.check(claim, Budget(), measured) for claim in alone)
    for note in map(str.split, (write(Report(rows, Budget())) for write in WRITERS)):
        text = " ".join(note)
        assert "of 1 claim on the papers" in text
        assert "Nothing is to be corrected or added" in text
        assert "that they do not give: abstract-kernel-first (confirmed under" in text
        assert "Editorial notes" not in text.replace("Editorial notes are", "")


def test_the_note_of_a_whole_paper_has_its_editorial_notes():
    proved = [Evidence("proved", "by brute force", lambda _: "yes")]
    rows = tuple(ledger.check(claim, Budget(), proved) for claim in verify.claims().values())
    text = errata.markdown(Report(rows, Budget()))
    assert "### Editorial notes" in text
    assert "the record has" not in text
