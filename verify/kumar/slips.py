"""Claims of Kumar et al. 2024 that are slips of the pen, colours, and words on other papers.

What is checked is a table of facts about the paper's parts (``paper_contents``), not its text.
"""

import sympy as sp

from lazyrich.theory import closed_form
from lazyrich.theory.symbols import D
from lazyrich.verify.ledger import Claim, Evidence, Verdict
from lazyrich.verify.paper_contents import CITED, COLOURS, SLIPS, Slip, subjects


def claims() -> list[Claim]:
    """The claims, in the paper's order."""
    return [_slips(), _cited(), *_colours(), _timescales(), _log_axis()]


def _slips() -> Claim:
    def check(slips: tuple[Slip, ...]) -> str:
        for slip in slips:
            assert subjects(slip.source), f"there is no {slip.source}"
            assert slip.printed != slip.meant, f"{slip.source}: nothing to mend"
        return f"{len(slips)} slips"

    return Claim(
        name="slips-of-the-pen",
        source="Throughout",
        statement="Words and signs that are missing, wrong or doubled.",
        verdict=Verdict.MISPRINT,
        printed=f"{len(SLIPS)} places",
        derived="; ".join(f"{s.source}: '{s.meant}', not '{s.printed}'" for s in SLIPS),
        derivation="The sense leaves no other reading.",
        counterexample=f"{SLIPS[0].source}: '{SLIPS[0].printed}' for '{SLIPS[0].meant}'",
        evidence=(
            Evidence(
                "read",
                "each stands in the paper, and what is meant is something else",
                lambda _: check(SLIPS),
                lambda _: check((*SLIPS, Slip("Sec. 9", "parities", "parities"))),
            ),
        ),
    )


def _cited() -> Claim:
    def check(cited: tuple[tuple[str, str, str], ...]) -> str:
        for source, paper, _ in cited:
            assert subjects(source), f"there is no {source}"
            assert not paper.startswith("Kumar"), f"{source}: this can be checked here"
        return f"{len(cited)} statements on {len({paper for _, paper, _ in cited})} papers"

    own = ("Sec. 5", "Kumar et al. 2024", "the NTK has eigenvalue 1/D on linear functions")
    return Claim(
        name="on-other-papers",
        source="Sec. 2-16",
        statement="What other papers have found, and where: "
        + "; ".join(f"{paper}: {what} ({source})" for source, paper, what in CITED)
        + ".",
        verdict=Verdict.OPEN,
        derived="These are to be read there. Where they touch the paper's own model, they have "
        "claims of their own: sec-4.1-label-rescaling, sec-9-closed-form-solution, "
        "sec-13-linear-in-decay, sec-13-kernel-evolves, sec-9-parities, sec-5-online-samples, "
        "sec-16.2-thresholds.",
        evidence=(
            Evidence(
                "read",
                "each is on a paper whose text is not at hand",
                lambda _: check(CITED),
                lambda _: check((*CITED, own)),
            ),
        ),
    )


def _one_colour(places: list[tuple[str, str]]) -> str:
    for place in places:
        colours = COLOURS[place]
        assert len(colours) == 1, f"{place[1]}: {' and '.join(colours)}"
    return f"{len(places)} quantities with one colour each"


def _colours() -> list[Claim]:
    linear = [place for place in COLOURS if place[0] == "Sec. 5.3"]
    mixture = [place for place in COLOURS if place[0].startswith("Sec. 8.3.3")]
    fine = [place for place in COLOURS if len(COLOURS[place]) == 1]

    def both(places: list[tuple[str, str]]) -> str:
        for place in places:
            try:
                _one_colour([place])
            except AssertionError:
                continue
            raise AssertionError(f"{place[1]} has one colour")
        return "; ".join(f"{place[1]}: {' and '.join(COLOURS[place])}" for place in places)

    def claim(
        name: str, places: list[tuple[str, str]], verdict: Verdict, meant: str, statement: str
    ) -> Claim:
        return Claim(
            name=name,
            source=places[0][0],
            statement=statement,
            verdict=verdict,
            printed="; ".join(" and ".join(COLOURS[place]) for place in places),
            derived=meant,
            derivation="One curve has one colour; text and caption, or two halves of a sentence, "
            "name two.",
            counterexample=both(places),
            evidence=(
                Evidence(
                    "read",
                    "two colours for one curve",
                    lambda _: both(places),
                    lambda _: both(fine),
                ),
            ),
        )

    return [
        claim(
            "sec-5.3-orange-curve",
            linear,
            Verdict.OPEN,
            "'(orange curve)' may mean the test loss or the linear function; a reproducer must "
            "choose. The claim itself: sec-5.3-peak-is-linear.",
            "In Figure 4 the linear function that the model attempts is the orange curve, and the "
            "linear component is dashed black.",
        ),
        claim(
            "fig-10-colours",
            mixture,
            Verdict.MISPRINT,
            "one pair of colours in text and caption",
            "The rise of the test loss vanishes from the dark blue curve to the gold one (text), "
            "from solid blue to solid red (caption).",
        ),
    ]


def _timescales() -> Claim:
    def check(power: int) -> str:
        values = {k: value for k, (value, _) in closed_form("ntk-eigenvalues").terms.items()}
        ratio = sp.factor(values["radial"] / values["traceless"])
        limit = sp.limit(ratio / D**power, D, sp.oo)
        assert 0 < limit < sp.oo, f"the times have the ratio {ratio}, not of the order D^{power}"
        return f"lazy flow learns |x|^2 {ratio} times as fast as the traceless part"

    return Claim(
        name="sec-11.1-timescales",
        source="App. 11.1, below eq. (17)",
        statement="A kernel learns |x|^2/(2 D) at P of the order of D and the whole target at D^2; "
        "this separation of timescales motivated the task.",
        verdict=Verdict.ASSUMING,
        assumption="Scales of the sample size are meant. Times separate alike: with many samples "
        "lazy gradient flow learns an eigenfunction in a time of the order of 1/lambda.",
        evidence=(
            Evidence(
                "derived",
                "the ratio of the eigenvalues is of the order of D",
                lambda _: check(1),
                lambda _: check(2),
            ),
        ),
    )


def _log_axis() -> Claim:
    def check(end: float, decades: float) -> str:
        gap = end * (1 - 10**-decades)
        line = f"a gap of {decades:g} decades that ends at epoch {end:g} is {gap:.0f} epochs"
        assert gap >= 2000, f"not several thousand: {line}"
        return line

    return Claim(
        name="fig-15",
        source="Sec. 15.2; Fig. 15",
        statement="Grokking persists for Hermite targets of degree 3 and 4; on the logarithmic "
        "axis a small gap on the right is a delay of several thousand epochs.",
        verdict=Verdict.OPEN,
        derived="That a gap of a tenth of a decade is thousands of epochs needs an axis beyond "
        "10^4, which the text does not say. Nor does it give D, P, N, alpha, epsilon, the learning "
        "rate or |beta|, which decides the information exponent (sec-15.2-exponents-above-2).",
        evidence=(
            Evidence(
                "derived",
                "a tenth of a decade at 2 10^4 epochs is thousands, at 10^3 it isn't",
                lambda _: check(2e4, 0.1),
                lambda _: check(1e3, 0.1),
            ),
        ),
    )
