"""The errata note holds what was checked, and nothing that failed."""

import pytest

from lazyrich import verify
from lazyrich.verify.ledger import Budget, Claim, Evidence, Verdict, check_all
from lazyrich.verify.report import Report


def report(*, passing=True, **texts):
    def check(_):
        assert passing, "no"
        return "yes"

    evidence = (Evidence("proved", "by brute force", check),)
    known = {"printed": "$2 D$", "derived": r"\frac{D}{2}", "counterexample": "D = 1: 2, 1/2"}
    misprint = Claim("a", "Sec. 1", "x_i & 5%", Verdict.MISPRINT, evidence, **known | texts)
    assuming = Claim("b", "Sec. 2", "c", Verdict.ASSUMING, evidence, assumption="D > 1")
    fine = Claim("c", "Sec. 3", "not in the note", Verdict.CONFIRMED, evidence)
    return Report(check_all([misprint, assuming, fine], Budget()), Budget())


def test_the_latex_note_is_a_whole_document(tmp_path):
    verify.write_errata(tmp_path / "errata.tex", report())
    text = (tmp_path / "errata.tex").read_text()
    assert text.startswith(r"\documentclass")
    assert text.rstrip().endswith(r"\end{document}")
    for environment in ("document", "enumerate"):
        begun = text.count(rf"\begin{{{environment}}}")
        assert begun == text.count(rf"\end{{{environment}}}") > 0
    assert r"x\_i \& 5\%" in text
    assert r"\emph{Should be:} $\frac{D}{2}$" in text  # a bare formula gets its dollar signs
    assert r"\emph{Derivation:} by brute force" in text
    assert "not in the note" not in text


def test_the_markdown_note_has_claim_derivation_and_counterexample(tmp_path):
    verify.write_errata(tmp_path / "errata.md", report(derivation="$D = D$."))
    text = (tmp_path / "errata.md").read_text()
    for piece in (
        "*Printed:* $2 D$",
        "*Derivation:* $D = D$.",
        "*Smallest counter-example:* D = 1",
    ):
        assert piece in text
    assert "*It holds if:* D \\> 1" in text


def test_no_note_is_written_from_a_claim_that_failed(tmp_path):
    with pytest.raises(ValueError, match="claim 'a' failed"):
        verify.write_errata(tmp_path / "errata.md", report(passing=False))
    with pytest.raises(ValueError, match="suffix"):
        verify.write_errata(tmp_path / "errata.pdf")
    assert list(tmp_path.iterdir()) == []
