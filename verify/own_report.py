"""The report on a user's problem: what each attack on its theory found."""

import json
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal

from lazyrich.support.files import path_of_kind, write_whole

SUFFIXES = (".html", ".json", ".txt")
_STYLES = {"passed": "confirmed", "FAILED": "failed", "not judged": "not"}


@dataclass(frozen=True)
class Check:
    """One statement of the theory about the problem, and what an attack on it found.

    "not judged" says that nothing can be told at these values, and ``found`` says why.
    """

    name: str
    statement: str
    verdict: Literal["passed", "FAILED", "not judged"]
    found: str
    control: str
    seconds: float


@dataclass(frozen=True)
class ProblemReport:
    """The checks of one problem; ``not_checked`` are closed forms of it that no check is on."""

    problem: str
    settings: dict[str, Any]
    checks: tuple[Check, ...]
    not_available: dict[str, str] = field(default_factory=dict)
    not_checked: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks whose statement did not hold."""
        return tuple(check for check in self.checks if check.verdict == "FAILED")

    @property
    def not_judged(self) -> tuple[Check, ...]:
        """The checks that say nothing at these values."""
        return tuple(check for check in self.checks if check.verdict == "not judged")

    @property
    def passed(self) -> bool:
        """Whether no check failed, of those that could be judged."""
        return not self.failed

    def _count(self) -> str:
        passed = sum(check.verdict == "passed" for check in self.checks)
        unknown = f", {len(self.not_judged)} not judged" if self.not_judged else ""
        return f"{passed} of {len(self.checks)} checks passed{unknown}"

    def _by_reason(self) -> dict[str, list[str]]:
        """The closed forms that are not available, by the reason."""
        reasons: dict[str, list[str]] = {}
        for name, why in self.not_available.items():
            reasons.setdefault(why, []).append(name)
        return reasons

    def __str__(self) -> str:
        width = max(len(check.name) for check in self.checks)
        columns = max(len(check.verdict) for check in self.checks)
        lines = [self.problem, ", ".join(f"{k} = {v}" for k, v in self.settings.items()), ""]
        for check in self.checks:
            control = f"; control: {check.control}" if check.control else ""
            lines.append(f"{check.name:{width}}  {check.verdict:{columns}}  {check.statement}")
            lines.append(f"{'':{width}}  {'':{columns}}  {check.found}{control}")
        if self.not_checked:
            lines.append(f"\nnot checked: {', '.join(self.not_checked)}")
        for why, names in self._by_reason().items():
            lines.append(f"\nnot available ({why}): {', '.join(names)}")
        lines += ["", self._count()]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps({**asdict(self), "passed": self.passed}, indent=2, default=str)

    def to_html(self) -> str:
        """Return the report as one HTML page that needs nothing else."""
        from lazyrich.support.pages import page, table, table_row

        rows = "\n".join(
            table_row(
                escape(check.name),
                escape(check.statement),
                f'<span class="{_STYLES[check.verdict]}">{check.verdict}</span>',
                escape(check.found),
                escape(check.control),
                f"{check.seconds:.2f} s",
            )
            for check in self.checks
        )
        settings = ", ".join(f"{k} = {v}" for k, v in self.settings.items())
        head = ("check", "statement", "verdict", "found", "control", "time")
        why = "".join(
            f"<li>{escape(reason)}: {escape(', '.join(names))}</li>"
            for reason, names in self._by_reason().items()
        )
        missing = f"<h2>Not available, and why</h2><ul>{why}</ul>" if why else ""
        body = f"<p>{escape(self.problem)}</p><p>{escape(settings)}</p>"
        if self.not_checked:
            missing = f"<h2>Not checked</h2><p>{escape(', '.join(self.not_checked))}</p>{missing}"
        body += f"<p>{self._count()}</p>{table(head, rows)}{missing}"
        return page("Your problem, verified", body)

    def write(self, path: str | Path) -> None:
        """Write the report, .html, .json or .txt: the whole file or none."""
        file = path_of_kind(path, SUFFIXES)
        text = {".html": self.to_html, ".json": self.to_json, ".txt": self.__str__}[file.suffix]()
        write_whole(file, lambda part: part.write_text(text + "\n", encoding="utf-8"))
