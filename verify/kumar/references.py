"""Claims of Kumar et al. 2024 that are references between its parts, and its settings.

What is checked is a table of facts about the paper's parts (``paper_contents``), not its text.
"""

from collections.abc import Callable

from lazyrich.verify.ledger import Claim, Evidence, Verdict
from lazyrich.verify.paper_contents import (
    FIGURES,
    NEEDED,
    PLACES,
    REFERENCES,
    SECTIONS,
    STATED,
    Reference,
    places_of,
    subjects,
)


def claims() -> list[Claim]:
    """The claims on references, headings and settings."""
    return [
        _right_references(),
        *_wrong_references(),
        _label_scale_in_figure_7(),
        _four_ways_in_figure_7(),
        _figure_14(),
        _heading_8_2(),
        _under_modular_arithmetic(),
        _settings(),
    ]


def resolves(reference: Reference) -> str:
    """One line on where the subject stands; ``AssertionError`` if it doesn't stand there."""
    found = subjects(reference.target)
    assert found, f"there is no {reference.target}"
    about = ", ".join(sorted(found))
    assert reference.subject in found, f"{reference.target} is on {about}"
    return f"{reference.target} is on {about}"


def refusal(check: Callable[..., str], *arguments: object) -> str:
    """What the check objects to; ``AssertionError`` if it objects to nothing."""
    try:
        accepted = check(*arguments)
    except AssertionError as error:
        return str(error)
    raise AssertionError(f"nothing to object to: {accepted}")


def _right_references() -> Claim:
    def check(references: tuple[Reference, ...]) -> str:
        for reference in references:
            resolves(reference)
        sources = {reference.source for reference in references}
        return f"{len(references)} references of {len(sources)} sections and captions resolve"

    wrong = Reference("Sec. 3", "accuracy is misleading", "Sec. 19")
    return Claim(
        name="references",
        source="Sec. 1-17",
        statement=f"{len(REFERENCES)} references to sections and figures, all but those below.",
        verdict=Verdict.CONFIRMED,
        evidence=(
            Evidence(
                "read",
                "what is referred to stands where it is said to",
                lambda _: check(REFERENCES),
                lambda _: check((*REFERENCES, wrong)),
            ),
        ),
    )


def _reference_claim(name: str, printed: Reference, right: str, statement: str) -> Claim:
    """A reference that misses: its subject stands at ``right``."""

    corrected = Reference(printed.source, printed.subject, right)
    return Claim(
        name=name,
        source=printed.source,
        statement=statement,
        verdict=Verdict.MISPRINT,
        printed=printed.target,
        derived=right,
        counterexample=lambda: f"{refusal(resolves, printed)}; {printed.subject} is at {right}",
        derivation=f"{right} is the part on {printed.subject}.",
        evidence=(
            Evidence(
                "read",
                f"{right} is on {printed.subject}, {printed.target} is not",
                lambda _: resolves(corrected),
                lambda _: resolves(printed),
            ),
        ),
    )


def _wrong_references() -> list[Claim]:
    return [
        _reference_claim(
            "sec-3-section-19",
            Reference("Sec. 3", "accuracy is misleading", "Sec. 19"),
            "Sec. 16.2",
            "Section 19 of the appendix shows that accuracy curves of regression are misleading.",
        ),
        _reference_claim(
            "sec-8.3.2-linear-power-in-a",
            Reference("Sec. 8.3.2", "loss decomposition", "Fig. 9a"),
            "Fig. 9d",
            "In (a) the network can be seen to put power in linear components.",
        ),
        _reference_claim(
            "sec-8.3.3-figure-6",
            Reference("Sec. 8.3.3", "eigenvector labels", "Fig. 6"),
            "Fig. 5",
            "Grokking vanished as predicted in Figure 6, where the labels were changed.",
        ),
        _reference_claim(
            "sec-9-section-2",
            Reference("Sec. 9", "modular arithmetic", "Sec. 2"),
            "Sec. 3",
            "The modular arithmetic task stands in Section 2.",
        ),
        _reference_claim(
            "fig-17-figure-9",
            Reference("Sec. 16.4; Fig. 17", "student-teacher", "Fig. 9"),
            "Fig. 8",
            "Figure 9 used one threshold of accuracy throughout.",
        ),
    ]


def _label_scale_in_figure_7() -> Claim:
    printed = Reference("Sec. 5.1", "scale of the labels", "Fig. 7")

    def check(subject: str) -> str:
        found = places_of(subject, "Fig.")
        assert found, f"no figure is on the {subject}"
        return f"{', '.join(found)}"

    return Claim(
        name="sec-5.1-label-scale-in-figure-7",
        source="Sec. 5.1",
        statement="Figure 7 shows that output scale and label scale change the learning curves "
        "as the initial weight norm does.",
        verdict=Verdict.REFUTED,
        printed="label scale: see Figure 7",
        derived="Figure 7 varies alpha, sigma, and both; no figure varies the labels' scale",
        derivation="The caption of Figure 7 names alpha, sigma and their joint choice only. The "
        "labels' scale is alpha's inverse, exactly (see sec-4.1-label-rescaling).",
        counterexample=lambda: (
            f"the panels of Fig. 7 are on {', '.join(sorted(subjects('Fig. 7')))}"
        ),
        evidence=(
            Evidence(
                "read",
                "Figure 7 varies the output's and the weights' scales, and not the labels'",
                lambda _: check("alpha") + " vary alpha; Fig. 7 varies sigma besides",
                lambda _: resolves(printed),
            ),
        ),
    )


def _four_ways_in_figure_7() -> Claim:
    ways = ("width", "scale of the initial weights", "scale of the labels", "alpha")

    def shown(names: tuple[str, ...]) -> str:
        missing = [way for way in names if way not in subjects("Fig. 7")]
        assert not missing, f"Fig. 7 does not vary the {' or the '.join(missing)}"
        return f"Fig. 7 varies {' and '.join(names)}"

    return Claim(
        name="sec-4.1-four-ways-in-figure-7",
        source="Sec. 4.1",
        statement="Figure 7 shows that these methods of inducing laziness (width, large weights, "
        "label and output scale) are equivalent in inducing grokking.",
        verdict=Verdict.REFUTED,
        printed="four methods, shown in Figure 7",
        derived="two methods: output scale and weight scale",
        derivation="The caption of Figure 7 names alpha and sigma. What is true of the four: "
        "sec-4.1-large-width, sec-4.1-large-weights, sec-4.1-label-rescaling, eq-1.",
        counterexample=lambda: refusal(shown, ways),
        evidence=(
            Evidence(
                "read",
                "of the four ways two stand in Figure 7",
                lambda _: shown((ways[1], ways[3])),
                lambda _: shown(ways),
            ),
        ),
    )


def _figure_14() -> Claim:
    def check(figure: str) -> str:
        about = subjects(f"Fig. {figure}")
        of_section = SECTIONS[PLACES[figure]]
        assert about & of_section, (
            f"Fig. {figure} stands in Sec. {PLACES[figure]}, on {', '.join(sorted(of_section))}, "
            f"with a caption on {', '.join(sorted(about))}"
        )
        return f"Fig. {figure}'s caption is on the subject of its section"

    return Claim(
        name="fig-14-caption",
        source="Sec. 15.1; Fig. 14",
        statement="Figure 14 shows grokking for a higher-degree target, with activation to match.",
        verdict=Verdict.MISPRINT,
        printed="caption of Figure 14: the target is a polynomial of higher degree",
        derived="Figure 14 closes Sec. 15.1 on multi-index targets, as its text announces",
        derivation="Sec. 15.1 says that grokking persists for targets of several directions, 'as "
        "we see below'; the figure below is Figure 14. Higher degrees follow in Sec. 15.2 with "
        "Figure 15, whose caption speaks of them too.",
        counterexample=lambda: (
            f"{refusal(check, '14')}; figures on multi-index targets: "
            f"{len(places_of('multi-index targets', 'Fig.'))}"
        ),
        evidence=(
            Evidence(
                "read",
                "the captions of Figures 15 and 19 fit their sections, that of 14 does not",
                lambda _: f"{check('15')}; {check('19')}",
                lambda _: check("14"),
            ),
        ),
    )


def _heading_8_2() -> Claim:
    def compares(*scales: str) -> str:
        assert len(set(scales)) == 2, f"one scale under two names: {scales[0]}"
        missing = [scale for scale in scales if scale not in SECTIONS["8.2"]]
        assert not missing, f"Sec. 8.2 is not on the {missing[0]}"
        return f"Sec. 8.2 compares {' and '.join(scales)}"

    weights = "scale of the initial weights"
    return Claim(
        name="sec-8.2-heading",
        source="App. 8.2",
        statement="Heading: weight norm and initialisation scale have the same effect.",
        verdict=Verdict.MISPRINT,
        printed="weight norm and initialisation scale",
        derived="output scale alpha and initialisation scale sigma",
        derivation="At initialisation the weight norm is the initialisation scale: |w| has mean "
        "square sigma^2 D. Figure 7, all of this section, compares alpha with sigma.",
        counterexample="w_i ~ N(0, sigma^2 I): the mean of |w_i|^2 is sigma^2 D; as the heading "
        "stands it compares sigma with itself",
        evidence=(
            Evidence(
                "read",
                "the section's figure varies output scale and weight scale",
                lambda _: compares("output scale", weights),
                lambda _: compares(weights, weights),
            ),
        ),
    )


def _under_modular_arithmetic() -> Claim:
    def belong(children: list[str], parent: str) -> str:
        strangers = [c for c in children if not SECTIONS[c] & SECTIONS[parent]]
        about = ", ".join(sorted(SECTIONS[parent]))
        assert not strangers, f"{', '.join(strangers)} are not on {about}"
        return f"Sec. {', '.join(children)} belong under Sec. {parent}"

    nested = [name for name in SECTIONS if name.startswith("8.3.")]

    return Claim(
        name="sec-8.3-nesting",
        source="App. 8.3",
        statement="Sections 8.3.1-8.3.3 are parts of 8.3, modular arithmetic in a two-layer "
        "perceptron.",
        verdict=Verdict.MISPRINT,
        printed="8.3.1, 8.3.2, 8.3.3",
        derived="8.4, 8.5, 8.6",
        derivation="Student and teacher, the size of the data set and initial weights near the "
        "solution are experiments beside modular arithmetic, two of them on the polynomial task.",
        counterexample=lambda: refusal(belong, nested, "8.3"),
        evidence=(
            Evidence(
                "read",
                "none of them shares the subject of 8.3",
                lambda _: refusal(belong, nested, "8.3"),
                lambda _: belong(nested, "8.3"),
            ),
        ),
    )


def _settings() -> Claim:
    figures = list(FIGURES)

    def known(needed: tuple[str, ...]) -> str:
        missing = {f: [x for x in needed if x not in STATED[f]] for f in figures}
        lacking = [f for f in figures if missing[f]]
        least = min(figures, key=lambda f: len(missing[f]))
        assert not lacking, (
            f"{len(lacking)} of {len(figures)} figures lack settings; Fig. {least} lacks least: "
            f"{', '.join(missing[least])}"
        )
        return f"all figures state {', '.join(needed)}"

    return Claim(
        name="fig-settings",
        source="Figures 1-19",
        statement="The runs that the figures show.",
        verdict=Verdict.OPEN,
        derived="A reproducer must choose, or find elsewhere: D, P, N, alpha, epsilon, learning "
        "rate, epochs and seeds of nearly every figure, whether its predictor is centred, and "
        "which accuracy, norm and 'time to grok' it plots.",
        evidence=(
            Evidence(
                "read",
                "no figure's text states all that a run needs",
                lambda _: refusal(known, NEEDED),
                lambda _: known(NEEDED),
            ),
        ),
    )
