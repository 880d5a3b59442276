"""The gallery: one page, ``index.html``, of all figures that lie in a folder, with their checks."""

import json
import warnings
from html import escape
from pathlib import Path
from typing import Any

from lazyrich.paper_figures.checks import OUTCOMES, judged
from lazyrich.support.arguments import escaped
from lazyrich.support.files import write_whole
from lazyrich.support.pages import page, table, table_row

_KEYS = {"figure", "title", "preset", "caption", "parameters", "checks", "seconds", "lazyrich"}
_KEYS_OF_CHECK = {"sentence", "source", "measured", "allowed", "holds", "passed", "outcome"}


def write_gallery(folder: Path, order: list[str]) -> Path:
    """Write ``index.html`` to the folder, from the reports of the figures there; return its path.

    ``order`` names the figures from first to last. The page links the pictures next to it and needs
    no network. A file in the place of a report that is none is left out, with a warning.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = {"figure": "1", "title": "A < B", "preset": "quick", "caption": "Shown.",
    ...               "parameters": {"D": 5}, "checks": [], "seconds": 2.5, "lazyrich": "0.1.0"}
    ...     _ = Path(folder, "figure-1.json").write_text(json.dumps(report))
    ...     text = write_gallery(Path(folder), ["1"]).read_text()
    >>> "Figure 1: A &lt; B" in text, 'src="figure-1.png"' in text, "D = 5" in text
    (True, True, True)
    """
    found = [_read(folder / f"figure-{name}.json", name) for name in order]
    reports = [report for report in found if report is not None]
    target = folder / "index.html"
    body = _contents(reports) + _outcomes() + "\n".join(map(_linked, reports))
    write_whole(target, lambda part: part.write_text(page("Figures", body), encoding="utf-8"))
    return target


def _read(path: Path, name: str) -> dict[str, Any] | None:
    """Return the report of a figure; None where there is none, or something else."""
    if not path.is_file():
        return None
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # of what nests too deep
        report = {}
    if _is_report(report) and report["figure"] == name:
        return report
    warnings.warn(
        f"{escaped(path)} is no report of figure {name}: not in the gallery", stacklevel=3
    )
    return None


def _is_report(found: Any) -> bool:
    """Return whether this is made as ``report.as_json`` makes it."""
    if not (isinstance(found, dict) and found.keys() >= _KEYS):
        return False
    checks = found["checks"]
    return (
        isinstance(found["parameters"], dict)
        and isinstance(checks, list)
        and all(isinstance(check, dict) and check.keys() >= _KEYS_OF_CHECK for check in checks)
    )


def _contents(reports: list[dict[str, Any]]) -> str:
    rows = []
    for report in reports:
        checks = report["checks"]
        holding = sum(check["holds"] for check in checks)
        unexpected = sum(not check["passed"] for check in checks)
        outcome = f"{holding} of {len(checks)} checks hold"
        if unexpected:
            outcome += f', <span class="failed">{unexpected} changed</span>'
        name = _text(report["figure"])
        link = f'<a href="#{name}">Figure {name}</a>'
        rows.append(table_row(link, _text(report["title"]), _text(report["preset"]), outcome))
    return table(("figure", "what it shows", "preset", "checks"), "\n".join(rows))


def _outcomes() -> str:
    lines = "".join(f"<li><b>{_text(k)}</b>: {_text(v)}.</li>" for k, v in OUTCOMES.items())
    return f"<p>Outcomes of checks:</p><ul>{lines}</ul>\n"


def _text(value: object) -> str:
    """Return a value from a report as text in HTML: a report is data, never markup."""
    return escape(str(value))


def _linked(report: dict[str, Any]) -> str:
    name, title = _text(report["figure"]), _text(report["title"])
    image = f'<img src="figure-{name}.png" alt="{title}">'
    return figure_html(report, f'<a href="figure-{name}.pdf">{image}</a>')


def figure_html(report: dict[str, Any], picture: str) -> str:
    """Return a figure's report in HTML; ``picture`` is HTML."""
    name, title = _text(report["figure"]), _text(report["title"])
    notes, left = report.get("notes", ""), report.get("not_run", "")
    parameters = "; ".join(f"{k} = {v}" for k, v in report["parameters"].items())
    rows = "\n".join(map(_check, report["checks"]))
    made = f"lazyrich {report['lazyrich']}, {report['seconds']} s (stored runs cost nothing)"
    return (
        f'<h2 id="{name}">Figure {name}: {title}</h2>\n'
        f"<p>{picture}</p>\n"
        f"<p>{_text(report['caption'])}</p>\n"
        + (f"<p><b>{_text(left)}</b></p>\n" if left else "")
        + (f"<p><b>Settings and choices:</b> {_text(notes)}</p>\n" if notes else "")
        + table(("what is claimed", "where", "measured", "would hold if", "outcome"), rows)
        + f"<details><summary>Preset {_text(report['preset'])}, {_text(made)}: parameters</summary>"
        f"<p>{_text(parameters)}</p></details>\n"
    )


def _check(check: dict[str, Any]) -> str:
    style = "confirmed" if check["holds"] else "refuted"
    style = style if check["passed"] else "failed"
    what = judged(check.get("claim", ""), check.get("judges", "statement"))
    return table_row(
        _text(check["sentence"]),
        _text(check["source"] or "lazyrich"),
        _text(check["measured"]),
        _text(check["allowed"]),
        f'<span class="{style}">{_text(check["outcome"])}</span>'
        + (f"<br>{_text(what)}" if what else ""),
    )
