"""Turn pytest-benchmark's JSON into the benchmarks page: ``report.py RESULTS.json FOLDER``.

Writes FOLDER/benchmarks.md and FOLDER/images/cost.png.
"""

import json
import math
import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lazyrich.plotting import BLUE, house_style, rendered
from lazyrich.support.files import write_whole

HEAD = """# Benchmarks

What each part of lazyrich costs, and how the cost grows. Use it to plan a long run or a sweep
([the costs of sweeps](sweeps.md#what-it-costs) in words); words are in
[the glossary](glossary.md).

Measured by `make bench` on {date}, which rewrites this page: {cpu}, threads: {threads}, Python
{python}, torch {torch}. Times are the best of several rounds. A ratio is to the first row of its
table, measured in the same run; a slope is that of the time between a row and the one before, on
logarithmic axes.
"""
PANELS = {  # group -> the label of its axis
    "Against the width N": "width N",
    "Against P": "samples P",
    "Against D": "dimension D",
    "Flow against epochs": "epochs, by flow",
    "A sweep against its cells": "new cells",
    "Opening a finished sweep": "finished cells, opened",
}


def groups(benchmarks: list[dict]) -> dict[str, list[dict]]:
    """Return the rows of each group: name, seconds, at, about and notes.

    A benchmark that was timed in turns has a row for each of its rivals.
    """
    found: dict[str, list[dict]] = {}
    for benchmark in benchmarks:
        extra = benchmark["extra_info"]
        rows = found.setdefault(benchmark["group"] or "", [])
        if "best" in extra:
            about = " ".join(extra["about"].split())
            rows += [
                {"name": name, "seconds": best, "at": None, "about": about, "notes": {}}
                for name, best in extra["best"].items()
            ]
        elif "scale" in extra:
            seconds = benchmark["stats"]["min"] * extra["scale"]
            rows.append(extra | {"seconds": seconds, "about": " ".join(extra["about"].split())})
    return {group: rows for group, rows in found.items() if rows}


def duration(seconds: float) -> str:
    """Return the time to three digits in the unit that suits it.

    >>> duration(0.000123456), duration(75.0), duration(8000.0)
    ('123 µs', '75 s', '2.22 h')
    """
    for unit, size in (("h", 3600.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def table(rows: list[dict]) -> str:
    """Return the rows as a Markdown table with ratios, and slopes where the group sweeps one."""
    notes = list(rows[0]["notes"])
    sloped = all(row["at"] for row in rows[:2])
    head = ["", "time", "ratio", *(["slope"] if sloped else []), *notes]
    lines = [head, ["---"] * len(head)]
    for before, row in zip([None, *rows], rows, strict=False):
        cells = [row["name"], duration(row["seconds"])]
        cells.append(f"{row['seconds'] / rows[0]['seconds']:.3g}")
        if sloped:
            cells.append(slope(before, row))
        lines.append([*cells, *(f"{row['notes'].get(note, '')}" for note in notes)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def slope(before: dict | None, row: dict) -> str:
    """Return d log(time)/d log(at) from the row before, or nothing where there is none."""
    if before is None or not (before["at"] and row["at"]):
        return ""
    change = math.log(row["seconds"] / before["seconds"])
    return f"{change / math.log(row['at'] / before['at']):.2f}"


def page(results: dict) -> str:
    """Return the whole page."""
    machine = results["machine_info"]
    about = {"date": results["datetime"][:10], "cpu": f"{_cpu(machine)}, {machine['system']}"}
    about |= {"threads": machine["threads"], "torch": machine["torch"]}
    blocks = [HEAD.format(**about, python=machine["python_version"]).rstrip()]
    blocks.append("![How the cost grows](images/cost.png)")
    described = None
    for group, rows in groups(results["benchmarks"]).items():
        blocks.append(f"## {group}")
        if rows[0]["about"] != described:  # of groups that share a description, the first has it
            described = rows[0]["about"]
            blocks.append(described)
        blocks.append(table(rows))
    return "\n\n".join(blocks) + "\n"


def _cpu(machine: dict) -> str:
    cpu = machine["cpu"]
    return f"{cpu.get('brand_raw', machine['machine'])}, {cpu.get('count', '?')} cores"


def picture(results: dict) -> bytes:
    """Return the curves of the groups that sweep a number, as a PNG."""
    found = groups(results["benchmarks"])
    with house_style():
        figure = Figure(figsize=(7.0, 4.2), layout="constrained")
        axes = figure.subplots(2, 3)
        for panel, (group, label) in zip(axes.flat, PANELS.items(), strict=True):
            rows = [row for row in found.get(group, []) if row["at"]]
            if not rows:  # only a part of the benchmarks was run
                continue
            at, seconds = zip(*((row["at"], row["seconds"]) for row in rows), strict=True)
            panel.loglog(at, seconds, "o-", color=BLUE)
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.set(xlabel=label, ylim=(min(seconds) / 3, max(seconds) * 3))
        axes[0, 0].set_ylabel("seconds a step")
        axes[1, 0].set_ylabel("seconds")
        return rendered(figure, ("png",))["png"]


def main(results_file: str, folder: str) -> None:
    """Write the page and its picture."""
    results = json.loads(Path(results_file).read_text())
    docs = Path(folder)
    (docs / "images").mkdir(exist_ok=True)
    image, text = picture(results), page(results)
    write_whole(docs / "images" / "cost.png", lambda part: part.write_bytes(image))
    write_whole(docs / "benchmarks.md", lambda part: part.write_text(text))


if __name__ == "__main__":
    main(*sys.argv[1:])
