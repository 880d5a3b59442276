"""The gallery: one page, ``index.html``, of all figures that lie in a folder, with their checks."""

import json
from html import escape
from pathlib import Path
from typing import Any

from lazyrich.support.files import write_whole
from lazyrich.support.pages import page, table, table_row


def write_gallery(folder: Path, order: list[str]) -> Path:
    """Write ``index.html`` to the folder, from the reports of the figures there; return its path.

    ``order`` names the figures from first to last. The page links the pictures next to it and needs
    no network.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = {"figure": "1", "title": "A < B", "preset": "quick", "caption": "Shown.",
    ...               "parameters": {"D": 5}, "checks": [], "seconds": 2.5, "lazyrich": "0.1.0"}
    ...     _ = Path(folder, "figure-1.json").write_text(json.dumps(report))
    ...     text = write_gallery(Path(folder), ["1"]).read_text()
    >>> "Figure 1: A &lt; B" in text, 'src="figure-1.png"' in text, "D = 5" in text
    (True, True, True)
    """
    paths = [folder / f"figure-{name}.json" for name in order]
    reports = [json.loads(path.read_text()) for path in paths if path.exists()]
    target = folder / "index.html"
    body = _contents(reports) + "\n".join(map(_figure, reports))
    write_whole(target, lambda part: part.write_text(page("Figures", body), encoding="utf-8"))
    return target


def _contents(reports: list[dict[str, Any]]) -> str:
    rows = []
    for report in reports:
        checks = report["checks"]
        holding = sum(check["holds"] for check in checks)
        unexpected = sum(not check["passed"] for check in checks)
        outcome = f"{holding} of {len(checks)} checks hold"
        if unexpected:
            outcome += f', <span class="failed">{unexpected} not as recorded</span>'
        link = f'<a href="#{report["figure"]}">Figure {escape(report["figure"])}</a>'
        rows.append(table_row(link, escape(report["title"]), report["preset"], outcome))
    return table(("figure", "what it shows", "preset", "checks"), "\n".join(rows))


def _figure(report: dict[str, Any]) -> str:
    name, title = escape(report["figure"]), escape(report["title"])
    parameters = "; ".join(f"{k} = {v}" for k, v in report["parameters"].items())
    rows = "\n".join(map(_check, report["checks"]))
    return (
        f'<h2 id="{name}">Figure {name}: {title}</h2>\n'
        f'<p><a href="figure-{name}.pdf"><img src="figure-{name}.png" alt="{title}"></a></p>\n'
        f"<p>{escape(report['caption'])}</p>\n"
        + table(("what is claimed", "where", "measured", "would hold if", "outcome"), rows)
        + f"<details><summary>Preset {escape(report['preset'])}, lazyrich "
        f"{escape(report['lazyrich'])}, {report['seconds']} s (runs that were found finished cost "
        f"nothing): parameters</summary><p>{escape(parameters)}</p></details>\n"
    )


def _check(check: dict[str, Any]) -> str:
    style = "confirmed" if check["holds"] else "refuted"
    style = style if check["passed"] else "failed"
    return table_row(
        escape(check["sentence"]),
        escape(check["source"] or "lazyrich"),
        escape(check["measured"]),
        escape(check["allowed"]),
        f'<span class="{style}">{escape(check["outcome"])}</span>',
    )
