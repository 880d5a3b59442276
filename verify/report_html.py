"""A checked ledger as one HTML file that needs nothing else: formulas are drawn, details fold out.

A search box and menus of source, section, verdict and level choose what is shown.
"""

import re
from html import escape

import lazyrich
from lazyrich.support.pages import page
from lazyrich.verify.evidence_code import closed_forms, source_at
from lazyrich.verify.figure_checks import FigureCheck
from lazyrich.verify.formulas import to_html as drawn
from lazyrich.verify.formulas import typeset
from lazyrich.verify.ledger import LEVELS, MEANING, Result, Row, Verdict
from lazyrich.verify.record import SOURCES
from lazyrich.verify.report import (
    Report,
    counted,
    details,
    is_against,
    levels,
    listed_notes,
    planted,
    seen,
    summary,
    verdict,
)

_STYLE = """<style>
body { max-width: 1100px; }
.choose { position: sticky; top: 0; background: #fff; padding: .6em 0; display: flex;
          flex-wrap: wrap; gap: .6em; border-bottom: 1px solid #ddd; }
.choose input { flex: 1 1 14em; }
.choose input, .choose select { font: inherit; padding: .2em; min-width: 0; max-width: 100%; }
@media (max-width: 600px) { .choose { position: static; } }
article { border-top: 1px solid #ddd; padding: .5em 0; }
article h3 { font-size: 1em; margin: 0; display: flex; flex-wrap: wrap; gap: 0 1em; }
article h3 span { font-weight: normal; color: #555; }
article p { margin: .2em 0; } article ul { margin: .2em 0; padding-left: 1.2em; }
article, li { overflow-wrap: anywhere; }
code, pre { font-size: .85em; color: #555; }
pre { background: #f6f6f6; padding: .6em; overflow-x: auto; margin: .3em 0; }
details details { margin: .2em 0; }
.assuming { color: #7a5c00 !important; } .not { color: #5a3d8a !important; }
</style>"""
_SCRIPT = """<script>
const rows = [...document.querySelectorAll("article")];
const search = document.getElementById("search");
const menus = [...document.querySelectorAll("select")];
function show() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.dataset.text;
    const kept = words.every(word => text.includes(word)) && menus.every(menu =>
      !menu.value || (" " + row.dataset[menu.id] + " ").includes(" " + menu.value + " "));
    row.hidden = !kept;
    shown += kept;
  }
  document.getElementById("count").textContent = shown + " of " + rows.length + " claims";
}
search.addEventListener("input", show);
menus.forEach(menu => menu.addEventListener("change", show));
show();
</script>"""


# What stands under a claim's statement; the rest unfolds.
_AT_ONCE = ("printed", "right", "assumption", "sizes that were run")
_EVERY = {
    "source": "papers and laws",
    "section": "all sections",
    "verdict": "all verdicts",
    "level": "all evidence",
}


def marked(text: str) -> str:
    """The text in HTML, its formulas drawn, and what stands between backticks as code.

    >>> marked("`lazyrich figures 6`, a < b")
    '<code>lazyrich figures 6</code>, a &lt; b'
    """
    return re.sub(r"`([^`<]+)`", r"<code>\1</code>", drawn(text))


def to_html(report: Report) -> str:
    """The report as a page: the counts, what to choose from, and all claims."""
    counts = "<br>".join(escape(line) for line in summary(report).splitlines())
    body = (
        f"{_STYLE}<p>Each statement of the papers, and each law of lazyrich, with a verdict and "
        f"the checks that it rests on. Unfold a claim to see what was found, and the source of "
        f"each check.</p>\n<p>{counts}</p>\n<p>Seed {report.budget.seed}, "
        f"{report.budget.examples} random inputs for each attack, lazyrich "
        f"{lazyrich.__version__}.</p>\n"
        f"<details><summary>What the verdicts and the levels of evidence mean</summary>"
        f"{_meanings()}"
        f"</details>\n{_choices(report)}\n{''.join(map(_claim, report.rows))}\n{_notes(report)}"
        f"{_SCRIPT}"
    )
    return page("What the papers say, and what was found", body)


def _meanings() -> str:
    pairs = [(kind.value, MEANING[kind]) for kind in Verdict] + list(LEVELS.items())
    return f"<ul>{''.join(f'<li><strong>{a}</strong>: {escape(b)}</li>' for a, b in pairs)}</ul>"


def _choices(report: Report) -> str:
    sources = {row.claim.source for row in report.rows}
    sections = sorted({_section(row) for row in report.rows}, key=_in_order)
    used = {level for row in report.rows for level in levels(row).split(", ")}
    menus = (
        ("source", [(key, title) for key, title in SOURCES.items() if key in sources]),
        ("section", [(name, name) for name in sections if name]),
        ("verdict", [(_key(kind), kind.value) for kind in Verdict]),
        ("level", [(level, level) for level in LEVELS if level in used]),
    )
    boxes = "".join(
        f'<select id="{name}" aria-label="{name}"><option value="">{_EVERY[name]}</option>'
        + "".join(f'<option value="{escape(k)}">{escape(v)}</option>' for k, v in options)
        + "</select>"
        for name, options in menus
    )
    return (
        '<div class="choose"><input id="search" type="search" placeholder="search" '
        f'aria-label="search">{boxes}<span id="count"></span></div>'
    )


def _key(kind: Verdict) -> str:
    return kind.name.lower().replace("_", "-")


def _section(row: Row) -> str:
    """The section of the paper that a claim's place begins with: "5.1"; or ""."""
    found = re.search(r"(?:Sec|App)[a-z]*\.?\s*(\d+(?:\.\d+)*)", row.claim.place)
    return found[1] if found else ""


def _in_order(section: str) -> tuple[int, ...]:
    return tuple(int(number) for number in section.split(".") if number)


def _claim(row: Row) -> str:
    claim, kinds = row.claim, levels(row)
    said = details(row)
    shown = [_fact(key, said.pop(key)) for key in _AT_ONCE if key in said]
    facts = [_fact(key, value) for key, value in said.items()]
    places = [result.evidence.where for result in row.results]
    facts += [
        _evidence(result, with_source=result.evidence.where not in places[:k])
        for k, result in enumerate(row.results)
    ]
    facts += [_figure(check) for check in claim.figures]
    words = " ".join((claim.name, claim.place, claim.statement, claim.right, claim.printed))
    is_assuming = row.passed and claim.verdict is Verdict.ASSUMING
    style = "assuming" if is_assuming else verdict(row).split()[0].lower()
    mark = " class='against'" if is_against(claim) else ""
    items = "".join(f"<li>{fact}</li>" for fact in facts)
    pieces = counted(len(row.results) + len(claim.figures), "check")
    forms = [form for r in row.results for form in _forms(r.evidence.where)]
    derived = "".join(
        f"<li><strong>closed form</strong>: <code>lazyrich derive {escape(form)}</code></li>"
        for form in dict.fromkeys(forms)
    )
    return (
        f'<article id="{escape(claim.name)}" data-source="{claim.source}" '
        f'data-section="{_section(row)}" data-verdict="{_key(claim.verdict)}" '
        f'data-level="{escape(kinds.replace(",", ""))}" data-text="{escape(words.lower())}"{mark}>'
        f"<h3>{escape(claim.name)} <span>{escape(claim.place)}</span>"
        f'<span class="{style}">{escape(verdict(row))}</span><span>{escape(kinds)}</span></h3>'
        f"<p>{marked(claim.statement)}</p>{''.join(f'<p>{line}</p>' for line in shown)}"
        f"<details><summary>How it is known: {pieces}</summary><ul>{items}{derived}</ul></details>"
        f"</article>\n"
    )


def _fact(key: str, value: str) -> str:
    return f"<strong>{escape(key)}</strong>: {marked(value)}"


def _forms(where: str) -> list[str]:
    return closed_forms(where) if where else []


def _evidence(result: Result, with_source: bool) -> str:
    """What a check shows and found; its source unfolds, once where several checks share it."""
    piece = result.evidence
    part = f" [{escape(piece.part)}]" if piece.part else ""
    line = f"<strong>{escape(piece.level)}</strong>{part}: {marked(piece.sentence)}."
    line += f"<br>Found: {marked(result.found)}"
    if result.control:
        line += f"<br>{marked(planted(result))}"
    if not (piece.where and with_source):
        return f"{line}<br><code>{escape(piece.where)}</code>" if piece.where else line
    return (
        f"{line}<details><summary><code>{escape(piece.where)}</code></summary>"
        f"<pre>{escape(source_at(piece.where))}</pre></details>"
    )


def _figure(check: FigureCheck) -> str:
    """A figure's check, the command that draws it, and a link that works next to its picture."""
    name = escape(check.name)
    return (
        f"{escape(seen(check))}. Draw it next to this page by "
        f'<code>lazyrich figures {name}</code>, then open <a href="figure-{name}.png">'
        f"figure-{name}.png</a>"
    )


def _notes(report: Report) -> str:
    """Spelling, pointers and settings, where the report is on the whole of their paper."""
    found = [note for key in SOURCES for note in listed_notes(report, key)]
    if not found:
        return ""
    lines = [
        f"<li>{escape(n.place)} ({n.kind}): {marked(typeset(n.note))}"
        + (f" printed: {marked(typeset(n.printed))};" if n.printed else "")
        + (f" meant: {marked(typeset(n.meant))}" if n.meant else "")
        + "</li>"
        for n in found
    ]
    return (
        f"<details><summary>{counted(len(found), 'note')} on spelling, pointers and settings, "
        f"not counted as claims</summary><ul>{''.join(lines)}</ul></details>"
    )
