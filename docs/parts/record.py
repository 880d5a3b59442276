"""A page for each section of the record: every claim with its verdict and its evidence."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from lazyrich import paper_figures, verify
from lazyrich.verify.ledger import LEVELS, MEANING, Claim, Verdict
from lazyrich.verify.record import SOURCES
from lazyrich.verify.report import remarks, seen, slips
from parts.typeset import markdown

FOLDER = "record"
# Headings of the sections of Kumar et al., whose place in the paper sorts its claims.
KUMAR = {
    "0": "Abstract and Section 1: introduction",
    "2": "Sections 2 and 3: related work and modular addition",
    "4": "Section 4: lazy and rich training",
    "5": "Section 5: the polynomial network",
    "5.1": "Section 5.1: laziness",
    "5.2": "Section 5.2: alignment of kernel and task",
    "5.3": "Section 5.3: the loss explained",
    "6": "Section 6: other networks and data",
    "7": "Sections 7 and 9: related theories, discussion",
    "8": "Appendix 8: variants of the experiments",
    "10": "Appendix 10: movement of the weights, difficulty",
    "11": "Appendix 11: spectrum and alignment",
    "12": "Appendix 12: trained readouts",
    "13": "Appendices 13 and 14: weight decay and optimisers",
    "15": "Appendix 15: other targets",
    "16": "Appendix 16: loss and accuracy",
    "17": "Appendix 17: labels from eigenvectors",
}
SAME_PAGE = {"1": "0", "3": "2", "9": "7", "14": "13"}
TOPICS = {
    "start": "Lyu et al.: the start and the scale of the weights",
    "early": "Lyu et al.: the early bias",
    "late": "Lyu et al.: the late bias",
    "transition": "Lyu et al.: when the transition comes",
    "generalisation": "Lyu et al.: generalisation and grokking",
    "completion": "Lyu et al.: matrix completion",
    "homogeneous": "Our laws: the systems of Lyu et al.",
    "scaling": "Our laws: scales",
    "population": "Our laws: infinitely many samples",
    "finite_samples": "Our laws: finitely many samples",
    "lazy": "Our laws: lazy training",
    "forecast": "Our laws: forecasts of a training run",
}


def sections() -> dict[str, tuple[str, list[Claim]]]:
    """The claims by the name of their page, in order: {name: (heading, claims)}."""
    found: dict[str, tuple[str, list[Claim]]] = {}
    for claim in verify.claims().values():
        key, heading = _section(claim)
        found.setdefault(key, (heading, []))[1].append(claim)
    topics = [f"{source}-{topic}" for source in ("lyu", "laws") for topic in TOPICS]
    order = [*(f"kumar-{key}" for key in KUMAR), *topics, *found]
    return dict(sorted(found.items(), key=lambda pair: order.index(pair[0])))


def _section(claim: Claim) -> tuple[str, str]:
    if claim.source != "kumar":
        heading = f"{SOURCES[claim.source]}: {claim.topic.replace('_', ' ')}"
        return f"{claim.source}-{claim.topic}", TOPICS.get(claim.topic, heading)
    place = re.search(r"(?:Sec|App)[a-z]*\.?\s*(\d+(?:\.\d)?)", claim.place)
    if claim.place.startswith("Abstract"):
        number = "0"
    elif place:
        number = place[1] if place[1] in KUMAR else place[1].split(".")[0]
    else:  # a figure only
        figure = int((re.search(r"Fig[a-z]*\.?\s*(\d+)", claim.place) or ["", "0"])[1])
        number = {1: "0", 2: "2", 3: "5.1", 4: "5.3", 9: "8", 19: "17"}.get(figure, "6")
    number = SAME_PAGE.get(number, number)
    return f"kumar-{number}", KUMAR[number]


def overview() -> str:
    """What the words mean, counts by page, all statements that are wrong or not reproduced."""
    kinds = list(Verdict)
    found = sections()
    head = ["section", *(kind.value for kind in kinds)]
    blocks = [
        meanings(),
        "## Sections",
        "\n".join(
            [_row(head), _row(["---"] * len(head))]
            + [
                _row([f"[{heading}]({FOLDER}/{key}.md)", *_counts(claims, kinds)])
                for key, (heading, claims) in found.items()
            ]
        ),
    ]
    for kind in (Verdict.MISPRINT, Verdict.REFUTED, Verdict.NOT_REPRODUCED):
        chosen = [
            (key, claim)
            for key, (_, claims) in found.items()
            for claim in claims
            if claim.verdict is kind
        ]
        lines = [
            f"- [{claim.name}]({FOLDER}/{key}.md#{_anchor(claim)})"
            f" ({_place(claim)}): {markdown(claim.statement)}"
            + f" (The same slip as {claim.same_as}.)"
            * bool(claim.same_as)
            for key, claim in chosen
        ]
        count = f"{len(chosen)} statements{slips([claim for _, claim in chosen])}"
        blocks += [
            f"## {kind.value.capitalize()}",
            f"{MEANING[kind].capitalize()}. {count}.",
            "\n".join(lines),
        ]
    pages = "\n".join(f"{FOLDER}/{key}" for key in found)
    return "\n\n".join([*blocks, f"```{{toctree}}\n:hidden:\n\n{pages}\n```"])


def _counts(claims: Iterable[Claim], kinds: Iterable[Verdict]) -> list[str]:
    counts = Counter(claim.verdict for claim in claims)
    return [str(counts[kind]) if counts[kind] else "" for kind in kinds]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def pages() -> Iterator[tuple[str, str]]:
    """The name and the Markdown of each page."""
    for key, (heading, claims) in sections().items():
        yield f"{FOLDER}/{key}", page(heading, claims)


def page(heading: str, claims: list[Claim]) -> str:
    """What each statement says, the verdict, what is wrong where it is, and how we know."""
    counts = Counter(claim.verdict.value for claim in claims)
    says = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    intro = (
        f"{len(claims)} statements: {says}. `lazyrich verify NAME` runs the evidence of one;"
        " [the verdicts](../verdicts.md) explains the words."
    )
    blocks = [f"# {heading}", intro]
    for claim in claims:
        blocks += _claim(claim)
    return "\n\n".join(blocks) + "\n"


def _anchor(claim: Claim) -> str:
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", claim.name.lower()).strip("-")


def _claim(claim: Claim) -> list[str]:
    source = "" if claim.source == "laws" else f"{SOURCES[claim.source]}, "
    blocks = [
        f"({_anchor(claim)})=\n## {claim.name}",
        f"*{source}{_place(claim)}.* {markdown(claim.statement)}",
    ]
    if claim.parts:
        blocks.append(
            "\n".join(f"- *{key}*: {markdown(part)}" for key, part in claim.parts.items())
        )
    blocks.append(f"**Verdict: {claim.verdict.value}**")
    details = "\n".join(
        f"- {key}: {markdown(_mathematics(value))}" for key, value in _details(claim).items()
    )
    evidence = "\n".join(_evidence(claim))
    return [*blocks, *([details] if details else []), f"How we know:\n\n{evidence}"]


def _place(claim: Claim) -> str:
    return markdown(claim.place)


def _details(claim: Claim) -> dict[str, str]:
    return remarks(claim, claim.computed_counterexample())


def _mathematics(text: str) -> str:
    """LaTeX as a whole stands without dollar signs in the record."""
    return f"${text}$" if "$" not in text and re.search(r"\\[a-zA-Z]", text) else text


def _evidence(claim: Claim) -> Iterator[str]:
    for piece in claim.evidence:
        part = f" ({piece.part})" if piece.part else ""
        yield f"- *{piece.level}*{part}: {markdown(piece.sentence)} (`{piece.where}`)"
    yield from _seen(claim)


def _seen(claim: Claim) -> Iterator[str]:
    """A line for each check of a figure; one for those of a figure that depend on its settings."""
    open_places: dict[str, list[str]] = {}
    for check in claim.figures:
        name = figure_of(check.figure)
        if check.expected is None or check.judges is None:
            open_places.setdefault(name, []).append(f"`{check.where}`")
            continue
        says = markdown(seen(check).removeprefix("seen: ").removesuffix(f" ({check.where})"))
        yield f"- *seen*: [figure {name}](../figures/{name}.md): {says} (`{check.where}`)"
    for name, places in open_places.items():
        outcomes = "; ".join(outcomes_of(claim.name, name))
        yield f"- *seen*: [figure {name}](../figures/{name}.md): {outcomes} ({', '.join(places)})"


def outcomes_of(claim: str, figure: str) -> Iterator[str]:
    """What the picture in the gallery shows of a claim: each of its checks, and whether it holds.

    >>> list(outcomes_of("sec-15.2-as-expected-4", "15"))[-1].endswith(": does not hold")
    True
    """
    file = Path(__file__).parent.parent / "images" / "figures" / "figures.json"
    for check in json.loads(file.read_text(encoding="utf-8"))[figure]["checks"]:
        if check["claim"] == claim:
            holds = "holds" if check["holds"] else "does not hold"
            yield f"{markdown(check['sentence'])}: {holds}"


def figure_of(module: str) -> str:
    """The name of the figure that ``kumar/figure3`` draws."""
    wanted = module.replace("/", ".")
    return next(
        n for n in paper_figures.names() if paper_figures.module_name(n).endswith(f".{wanted}")
    )


def meanings() -> str:
    """What the verdicts and the levels of evidence mean, a table each."""
    verdicts = [("verdict", "meaning"), *((kind.value, MEANING[kind]) for kind in Verdict)]
    levels = [("evidence, strongest first", "what was done"), *LEVELS.items()]
    return "\n\n".join(
        "\n".join([_row(head), _row(["---"] * 2), *map(_row, rows)])
        for head, *rows in (verdicts, levels)
    )
