"""Attack every property for a time: ``python tests/attack.py --minutes 60 --jobs 2 --out FILE.md``.

Each test of the suite that Hypothesis drives runs again and again, with new random examples, until
its share of the time is over. The table that is written has a row for each that the time was enough
for: its examples, the largest share of a tolerance that was used, and a counter-example where one
was found. Exits 1 if there is any. ``--only TEXT`` takes the tests whose name contains it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = 100  # of one run of a test


class Attack:
    """The plugin of pytest that runs every property of one part for its share of the seconds."""

    def __init__(self, seconds: float, part: int, parts: int, out: Path):
        self.seconds, self.part, self.parts, self.out = seconds, part, parts, out
        self.rows: list[dict[str, Any]] = []
        self.share = 0.0

    def pytest_configure(self) -> None:
        """Give every property new examples at each run."""
        from hypothesis import HealthCheck, settings

        settings.register_profile(
            "attack",
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("attack")

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Keep this part's properties, and start the clock."""
        found = [item for item in items if hasattr(getattr(item, "obj", None), "hypothesis")]
        items[:] = found[self.part :: self.parts]
        self.left = len(items)
        self.end = time.monotonic() + self.seconds
        self._watch_tolerances()

    def _watch_tolerances(self) -> None:
        """Note the largest share of a tolerance, in every module that compares."""
        from lazyrich.verify import tolerances

        compare = tolerances.assert_close

        def watched(*args: Any, **keywords: Any) -> float:
            share = compare(*args, **keywords)
            self.share = max(self.share, share)
            return share

        for name, module in list(sys.modules.items()):
            known = name.startswith(("lazyrich.", "tests")) or "test_" in name
            if known and getattr(module, "assert_close", None) is compare:
                module.assert_close = watched  # type: ignore[attr-defined]

    def pytest_runtest_protocol(self, item: pytest.Function) -> bool:
        """Run one property until its share of the time that is left is over."""
        from _pytest.runner import runtestprotocol

        start = time.monotonic()
        until = start + (self.end - start) / max(self.left, 1)
        self.left, self.share, counter = self.left - 1, 0.0, ""
        examples = 0
        handle = item.obj.hypothesis  # type: ignore[attr-defined]
        inner = handle.inner_test

        def counted(*args: Any, **keywords: Any) -> Any:
            nonlocal examples
            examples += 1
            return inner(*args, **keywords)

        handle.inner_test = counted
        while not counter and (examples == 0 or time.monotonic() < until) and start < self.end:
            before = examples
            item._initrequest()  # type: ignore[attr-defined]
            for report in runtestprotocol(item, log=False, nextitem=None):
                if report.failed:
                    counter = str(report.longrepr)[-3000:]
            if examples == before:
                break  # skipped, or no examples are left
        handle.inner_test = inner
        self.rows.append(
            {
                "name": item.nodeid,
                "examples": examples,
                "share": self.share,
                "seconds": time.monotonic() - start,
                "counter": counter,
            }
        )
        self.out.write_text(json.dumps(self.rows), encoding="utf-8")
        return True


def _part(options: argparse.Namespace) -> None:
    """Attack one part in this process."""
    part, parts = map(int, options.part.split("/"))
    plugin = Attack(60 * options.minutes, part, parts, Path(options.out))
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(ROOT / "tests")]
    arguments += ["-k", options.only] if options.only else []
    pytest.main(arguments, plugins=[plugin])


def _together(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Attack all parts side by side; yield the rows of the table."""
    files = [folder / f"{part}.json" for part in range(options.jobs)]
    running = [
        subprocess.Popen(
            [
                *(sys.executable, __file__, "--part", f"{part}/{options.jobs}"),
                *("--minutes", str(options.minutes), "--out", str(file)),
                *(("--only", options.only) if options.only else ()),
            ],
            stdout=file.with_suffix(".log").open("w"),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for part, file in enumerate(files)
    ]
    for process, file in zip(running, files, strict=True):
        process.wait()
        if not file.exists():
            log = file.with_suffix(".log").read_text(encoding="utf-8")
            raise SystemExit(f"no property was found, or the tests can't be read:\n{log[-3000:]}")
        yield from json.loads(file.read_text(encoding="utf-8"))


def table(rows: list[dict[str, Any]], minutes: float) -> str:
    """Return the table as Markdown."""
    total = sum(row["examples"] for row in rows)
    found = [row for row in rows if row["counter"]]
    reached = [row for row in rows if row["examples"]]
    lines = [
        "# An hour of attack" if minutes == 60 else f"# {minutes:g} minutes of attack",
        "",
        f"{len(reached)} of {len(rows)} properties, {total:,} random examples, {len(found)} "
        "counter-examples. The share is the largest part of a tolerance from rounding that was "
        "used; a dash where a property compares exactly, or by a tolerance of its own.",
        "",
        "| property | examples | share of tolerance | counter-example |",
        "|---|---:|---:|---|",
    ]
    for row in sorted(reached, key=lambda row: row["name"]):
        name = row["name"].removeprefix("tests/").replace("|", "\\|")
        share = f"{row['share']:.2g}" if row["share"] else "-"
        lines.append(f"| `{name}` | {row['examples']:,} | {share} | {_short(row['counter'])} |")
    for row in found:
        lines += ["", f"## {row['name']}", "", "```", row["counter"], "```"]
    return "\n".join([*lines, ""])


def _short(counter: str) -> str:
    return "below" if counter else "none"


def main() -> None:
    """Attack, write the table, exit 1 where there is a counter-example."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long, on every core")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", default="attack.md", help="the table")
    parser.add_argument("--only", default="", help="as pytest -k")
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        _part(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_together(options, Path(folder)))
    Path(options.out).write_text(table(rows, options.minutes), encoding="utf-8")
    total = sum(row["examples"] for row in rows)
    failed = [row["name"] for row in rows if row["counter"]]
    reached = sum(row["examples"] > 0 for row in rows)
    print(f"{reached} of {len(rows)} properties, {total:,} examples")
    print(f"counter-examples: {', '.join(failed) or 'none'}")
    print(f"wrote {options.out}")
    sys.exit(1 if failed or not rows else 0)


if __name__ == "__main__":
    main()
