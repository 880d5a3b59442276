"""A page for each figure with its caption, checks and claims, and the gallery of all of them.

The pictures were drawn by ``lazyrich figures`` and taken over by ``docs/collect_figures.py``.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from lazyrich import paper_figures
from lazyrich.paper_figures.checks import judged
from lazyrich.verify.figure_checks import figure_checks
from lazyrich.verify.ledger import Claim
from parts.record import _anchor, figure_of, sections
from parts.typeset import markdown

FOLDER = "figures"
IMAGES = Path(__file__).resolve().parent.parent / "images" / "figures"
SOURCES = {
    "kumar": "Kumar et al. (2024)",
    "lyu": "Lyu et al. (2024), and what follows from it",
    "laws": "Laws beyond the papers",
}


def overview() -> str:
    """The figures by source: a small picture, the title, how many checks hold."""
    drawn = reports()
    blocks = []
    for source, figures in paper_figures.groups().items():
        blocks.append(f"## {SOURCES[source]}")
        cards = []
        for name, title in figures.items():
            image = (
                f"[![Figure {name}](images/figures/{name}.png)]({FOLDER}/{name}.md)\n\n"
                if name in drawn
                else ""
            )
            counts = ""
            if name in drawn:
                checks = drawn[name]["checks"]
                counts = f" {sum(c['holds'] for c in checks)} of {len(checks)} checks hold."
                if drawn[name]["preset"] == "tiny":
                    counts += " Drawn with the preset `tiny`, whose runs are too small for some."
            text = f"[Figure {name}]({FOLDER}/{name}.md): {title}.{counts}"
            cards.append(f":::{{container}} card\n{image}{text}\n:::")
        blocks.append("::::{container} cards\n" + "\n".join(cards) + "\n::::")
    pages = "\n".join(f"{FOLDER}/{name}" for name in paper_figures.names())
    return "\n\n".join([*blocks, f"```{{toctree}}\n:hidden:\n\n{pages}\n```"])


def reports() -> dict[str, dict]:
    """What was kept of each figure that was drawn: caption, preset, parameters, checks."""
    return json.loads((IMAGES / "figures.json").read_text(encoding="utf-8"))


def pages() -> Iterator[tuple[str, str]]:
    """The name and the Markdown of the page of each figure."""
    drawn, served = reports(), claims_of_figures()
    for name, title in paper_figures.names().items():
        yield f"{FOLDER}/{name}", page(name, title, drawn.get(name), served.get(name, []))


def claims_of_figures() -> dict[str, list[tuple[str, Claim]]]:
    """{figure: (page of the record, claim) for each claim that the figure is evidence for}."""
    where = {
        claim.name: (key, claim) for key, (_, claims) in sections().items() for claim in claims
    }
    found: dict[str, list[tuple[str, Claim]]] = {}
    for check in figure_checks():
        pair = where[check.claim]
        known = found.setdefault(figure_of(check.figure), [])
        if pair not in known:
            known.append(pair)
    return found


def page(name: str, title: str, report: dict | None, claims: list[tuple[str, Claim]]) -> str:
    """Picture, caption and settings, what it is said to show and what it shows, its claims."""
    blocks = [f"# Figure {name}: {title}", _intro(name, report)]
    if report:
        blocks += [f"![Figure {name}](../images/figures/{name}.png)", markdown(report["caption"])]
        if report.get("not_run"):
            blocks.append(markdown(report["not_run"]))
        if report.get("notes"):
            blocks.append(f"Settings and choices: {markdown(report['notes'])}")
        blocks += ["## What it is said to show", "\n".join(_checks(name, report["checks"]))]
    if claims:
        blocks += [
            "## Claims that it is evidence for",
            "| claim | place | verdict |\n|---|---|---|",
        ]
        blocks[-1] += "".join(
            f"\n| [{claim.name}](../record/{key}.md#{_anchor(claim)}) | {markdown(claim.place)} "
            f"| {claim.verdict.value} |"
            for key, claim in claims
        )
    if report:
        parameters = "; ".join(f"{key} = {value}" for key, value in report["parameters"].items())
        blocks += ["## Parameters", f"Preset `{report['preset']}`: {markdown(parameters)}."]
    return "\n\n".join(blocks) + "\n"


def _intro(name: str, report: dict | None) -> str:
    redraw = f"`lazyrich figures {name} --preset paper` draws what was run at the authors' sizes"
    how = f"Drawn with the preset `{report['preset']}`; " if report else "Not drawn for this page: "
    if report and is_older(name, report):
        redraw += ". The picture is of an earlier version, whose checks differ from those of today"
    return f"{how}{redraw}. Words are in [the glossary](../glossary.md)."


def is_older(name: str, report: dict) -> bool:
    """Whether the checks of a stored report are for other claims than those of today's code."""
    stored = {check["claim"] for check in report["checks"] if check.get("claim")}
    return stored != {check.claim for check in figure_checks() if check.name == name}


def _judges(name: str, check: dict) -> str:
    """What a check judges of its claim, in words; see ``paper_figures.checks.judged``."""
    known = {(each.name, each.claim, each.expected): each.judges for each in figure_checks()}
    judges = known.get((name, check.get("claim"), check["holds"])) or "statement"
    return judged(check.get("claim", ""), judges)


def _checks(name: str, checks: list[dict]) -> Iterator[str]:
    yield "| statement | place | measured | holds if | outcome |"
    yield "|---|---|---|---|---|"
    for check in checks:
        cells = (
            check["sentence"],
            check["source"] or "lazyrich",
            check["measured"],
            check["allowed"],
        )
        texts = [markdown(cell).replace("|", r"\|").replace(r"\\|", r"\|") for cell in cells]
        outcome = "; ".join(filter(None, (check["outcome"], _judges(name, check))))
        yield "| " + " | ".join([*texts, outcome]) + " |"
