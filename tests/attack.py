"""Attack every property for a time: ``python tests/attack.py --minutes 60 --jobs 2 --out FILE.md``.

A property is a test of the suite that Hypothesis drives, or a law of the ledger that is attacked on
random inputs. Each is tried at least once, on 20 new random examples. Then, until the time is over,
they take turns, longer each time; the time of each grows as the root of its examples per second, so
that those that cost little get many and those that cost much get enough. Each process imports
everything once. The table that is written has a row for each property: its examples, the largest
share of a tolerance that was used, and a counter-example where there is one. Exits 1 if there is.

What was found is kept in FILE.jsonl while it runs: after a kill, the same call goes on from there.
``--only TEXT`` takes the properties whose name contains it.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FIRST = 20  # examples of the first try of each property
MOST = 2000  # examples of one try
SECONDS = 6.0  # of the CPU that a try may take


@dataclass
class Property:
    """What can be attacked, and what has been found so far."""

    name: str
    attack: Callable[[int], str]  # tries so many examples; returns a counter-example or ""
    examples: int = 0
    share: float = 0.0  # the largest of a tolerance
    cpu: float = 0.0
    clock: float = 0.0
    counter: str = ""
    ended: bool = False  # a counter-example, or no other examples are left

    @property
    def rate(self) -> float:
        """Examples per second of the CPU."""
        return self.examples / max(self.cpu, 1e-3)

    @property
    def had(self) -> float:
        """How much of its time it has had: the least is next, and 0 was never tried."""
        return self.cpu / max(self.rate, 1e-3) ** 0.5

    def size(self) -> int:
        """How many examples the next try takes: as many as all before, if time allows."""
        return max(FIRST, min(MOST, self.examples, int(SECONDS * self.rate)))

    def add(self, row: dict[str, Any]) -> None:
        """Add what one try has found."""
        self.examples += row["examples"]
        self.share = max(self.share, row["share"])
        self.cpu += row["cpu"]
        self.clock += row["clock"]
        self.counter = self.counter or row["counter"]
        self.ended = self.ended or row["ended"]


class Attack:
    """The plugin of pytest that attacks one part of the properties, in one process."""

    def __init__(self, options: argparse.Namespace, part: int):
        self.options, self.part, self.out = options, part, notes_of(options)
        self.parent = os.getppid()
        self.share, self.examples, self.all_seen = 0.0, 0, False

    def pytest_configure(self) -> None:
        """Give every property new examples at each try; no deadline, no data base."""
        from hypothesis import settings

        settings.register_profile("attack", self._settings(FIRST))
        settings.load_profile("attack")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Attack until the time is over, in place of running each test once."""
        self._watch_tolerances()
        tests = [item for item in session.items if hasattr(_function(item), "hypothesis")]
        found = [Property(item.nodeid, lambda n, i=item: self._test(i, n)) for item in tests]
        found += [Property(name, check) for name, check in self._laws()]
        found = [p for p in found if self.options.only in p.name][self.part :: self.options.jobs]
        by_name = {p.name: p for p in found}
        used = 0.0
        for row in read(self.out):
            used += row["clock"] / self.options.jobs
            if row["name"] in by_name:
                by_name[row["name"]].add(row)
        self._until(time.monotonic() + 60 * self.options.minutes - used, found)
        session._setupstate.teardown_exact(None)
        return True

    def _until(self, end: float, properties: list[Property]) -> None:
        """Attack the one whose turn it is, again and again."""
        while left := [p for p in properties if not p.ended]:
            one = min(left, key=lambda p: p.had)
            if (time.monotonic() >= end and one.had) or os.getppid() != self.parent:
                return
            row = self._try(one)
            one.add(row)
            with self.out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")

    def _try(self, one: Property) -> dict[str, Any]:
        self.share, self.examples, self.all_seen = 0.0, 0, False
        clock, cpu = time.monotonic(), time.process_time()
        counter = one.attack(one.size())
        return {
            "name": one.name,
            "examples": self.examples,
            "share": self.share,
            "cpu": time.process_time() - cpu,
            "clock": time.monotonic() - clock,
            "counter": counter,
            "ended": bool(counter) or self.all_seen,
        }

    def _settings(self, examples: int) -> Any:
        from hypothesis import HealthCheck, Phase, settings

        return settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=False,
            print_blob=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )

    def _test(self, item: Any, examples: int) -> str:
        """Run a test on so many examples; what its module shares is made once."""
        from _pytest.runner import runtestprotocol

        function = _function(item)
        function._hypothesis_internal_use_settings = self._settings(examples)
        inner = function.hypothesis.inner_test

        def counted(*args: Any, **keywords: Any) -> Any:
            result = inner(*args, **keywords)
            self.examples += 1
            return result

        function.hypothesis.inner_test = counted
        item.session._setupstate.teardown_exact(item)  # of another module
        item._initrequest()
        reports = runtestprotocol(item, log=False, nextitem=item.parent)
        function.hypothesis.inner_test = inner
        # Hypothesis stops early where it has seen every example that there is.
        self.all_seen = self.examples < examples / 2
        return "".join(str(report.longrepr)[-3000:] for report in reports if report.failed)

    def _laws(self) -> list[tuple[str, Callable[[int], str]]]:
        """The laws that the ledger attacks, and how to try each on so many examples."""
        from lazyrich.verify import claims

        shown = [(c.name, e) for c in claims().values() for e in c.evidence]
        laws = [(f"{name}: {e.sentence}", e) for name, e in shown if e.level == "attacked"]
        return [(name, lambda n, e=e: self._law(e, n)) for name, e in laws]

    def _law(self, evidence: Any, examples: int) -> str:
        from lazyrich.verify.ledger import Budget

        seed = int.from_bytes(os.urandom(4))
        try:
            found = evidence.check(Budget(examples, seed))
        except AssertionError as error:
            notes = "\n".join(getattr(error, "__notes__", []))
            return f"seed {seed}, {examples} examples: {error}\n{notes}"[-3000:]
        if found := re.match(r"(\d+) random inputs(?:; at most (\S+))?", found):
            self.examples = int(found[1])
            self.share = max(self.share, float(found[2] or 0))
        self.all_seen = not self.examples
        return ""

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


def _function(item: Any) -> Any:
    made = getattr(item, "obj", None)
    return getattr(made, "__func__", made)


def notes_of(options: argparse.Namespace) -> Path:
    """Return the file in which a run that isn't over keeps what it found."""
    return Path(options.out).with_suffix(".jsonl").absolute()


def read(notes: Path) -> list[dict[str, Any]]:
    """Return every try so far; the last line may be cut off by a kill."""
    if not notes.exists():
        return []
    *whole, _ = notes.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in whole]


def _work(options: argparse.Namespace) -> None:
    """Attack one part in this process."""
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--disable-warnings"]
    arguments += ["--rootdir", str(ROOT), "-c", str(ROOT / "setup.cfg")]
    holding = [f for f in sorted((ROOT / "tests").glob("test_*.py")) if "@given" in f.read_text()]
    sys.exit(pytest.main([*arguments, *map(str, holding)], plugins=[Attack(options, options.part)]))


def _start(options: argparse.Namespace, part: int) -> subprocess.Popen:
    own = ("--minutes", str(options.minutes), "--jobs", str(options.jobs), "--out", options.out)
    return subprocess.Popen(
        [sys.executable, __file__, "--part", str(part), *own, "--only", options.only],
        stdout=Path(f"{options.out}.{part}.log").open("w"),
        stderr=subprocess.STDOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def _attack(options: argparse.Namespace) -> None:
    """Attack all parts side by side; write the table every minute, and at the end."""
    running = [_start(options, part) for part in range(options.jobs)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        while any(process.poll() is None for process in running):
            time.sleep(1)
            if time.monotonic() % 60 < 1:
                _write(options)
    finally:
        for process in running:
            process.terminate()
    for part, process in enumerate(running):
        log = Path(f"{options.out}.{part}.log")
        if process.wait():
            raise SystemExit(f"part {part} ended early:\n{log.read_text()[-3000:]}")
        log.unlink()


def _write(options: argparse.Namespace) -> list[Property]:
    """Write the table of what has been found so far, and return its rows."""
    found: dict[str, Property] = {}
    for row in read(notes_of(options)):
        found.setdefault(row["name"], Property(row["name"], str)).add(row)
    rows = sorted(found.values(), key=lambda p: (p.name.split(":")[0], p.name))
    Path(options.out).write_text(table(rows, options), encoding="utf-8")
    return rows


def table(rows: list[Property], options: argparse.Namespace) -> str:
    """Return the table as Markdown."""
    total = sum(row.examples for row in rows)
    found = [row for row in rows if row.counter]
    clock = sum(row.clock for row in rows) / 60 / options.jobs
    lines = [
        f"# {clock:.0f} minutes of attack, {options.jobs} processes",
        "",
        f"{total:,} random examples of {len(rows)} properties in "
        f"{sum(row.cpu for row in rows) / 60:.0f} minutes of CPU time; {len(found)} "
        "counter-examples. The share is the largest part of a tolerance from rounding that was "
        "used; a dash where a property compares exactly, or by a tolerance of its own.",
        "",
        "| property | examples | share of tolerance | counter-example |",
        "|---|---:|---:|---|",
    ]
    for row in rows:
        name = row.name.removeprefix("tests/").replace("|", "\\|")
        share = f"{row.share:.2g}" if row.share else "-"
        counter = "below" if row.counter else "none"
        lines.append(f"| `{name}` | {row.examples:,} | {share} | {counter} |")
    for row in found:
        lines += ["", f"## {row.name}", "", "```", row.counter, "```"]
    return "\n".join([*lines, ""])


def main() -> None:
    """Attack, write the table, exit 1 where there is a counter-example."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long, on every core")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", default="attack.md", help="the table")
    parser.add_argument("--only", default="", help="part of the names of the properties")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        _work(options)
    _attack(options)
    rows = _write(options)
    notes_of(options).unlink(missing_ok=True)
    failed = [row.name for row in rows if row.counter]
    print(f"{len(rows)} properties, {sum(row.examples for row in rows):,} examples")
    print(f"counter-examples: {', '.join(failed) or 'none'}")
    print(f"wrote {options.out}")
    sys.exit(1 if failed or not rows else 0)


if __name__ == "__main__":
    main()
