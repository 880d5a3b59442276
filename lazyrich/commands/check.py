"""``lazyrich check``: compare a formula with what the theory derives. Never loads torch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lazyrich.commands.expectations import arguments, expectation_options
from lazyrich.commands.points import at_option, point
from lazyrich.commands.typed import errors_as_typed
from lazyrich.support.files import write_whole
from lazyrich.support.format_option import format_option
from lazyrich.support.output import answer, output_file
from lazyrich.support.problems import problem_options
from lazyrich.support.progress import progress_bar, quiet_option

if TYPE_CHECKING:
    from lazyrich.theory import Check


@click.command("check", short_help="Compare a formula of yours with what the theory derives.")
@click.argument("name")
@click.argument("formula")
@at_option
@expectation_options
@problem_options
@format_option()
@click.option("--report", metavar="FILE", help="Write the answer to a .md or .json file as well.")
@quiet_option
@errors_as_typed
def command(
    name: str,
    formula: str,
    assignments: tuple[str, ...],
    form: str,
    report: str | None,
    described: dict[str, str],
    quiet: bool,
    **declarations: tuple[str, ...],
) -> None:
    """Is FORMULA right? Compare it with the closed form NAME, for every dimension D.

    Use it before you build on a formula that you derived or read.

    The answer is "equal for every D", or "not equal" with the difference, the right form, the
    smallest exact counter-example and what is off. The exit code is 0 if equal, and 1 otherwise.

    NAME is one of these:

    \b
      - a closed form; lazyrich derive lists them
      - a part of one, such as ntk-eigenvalues.radial
      - "expect: POLYNOMIAL" or "E[POLYNOMIAL]", the mean over Gaussian vectors

    With --activation, --target or --readouts, NAME is a closed form of your own network.

    Write the formula as in a paper, 8 |beta|^2 beta'M beta, or in LaTeX. Put -- before a formula
    that starts with a minus sign.

    \b
    Examples:
      lazyrich check ntk-eigenvalues.radial "epsilon^2/D (1 + 2/D)" --at sigma=1
      lazyrich check test-loss.linear "alpha^2/D |wbar|^2"
      lazyrich check "expect: (x'Ax)^2" "(tr(A)^2 + 2 tr(A^2))/D^2" --symmetric A
      lazyrich check target-power.degree_1 "0" --activation "h + c*h^3"
    """
    from lazyrich.theory import Problem, check

    file = output_file("--report", report, (".md", ".json"))
    given = arguments(declarations)
    with progress_bar("integrating", quiet) as progress:
        problem = Problem(**described) if described else None
        values = point(assignments)
        found = check(name, formula, at=values, problem=problem, progress=progress, **given)
    text = json.dumps(_document(found), indent=2) if form == "json" else str(found)
    answer(text, (file, lambda at: _write(found, at)))
    if not found:
        raise SystemExit(1)


def _write(found: "Check", file: Path) -> None:
    text = _report(found, file)
    write_whole(file, lambda part: part.write_text(text, encoding="utf-8"))


def _document(found: "Check") -> dict[str, Any]:
    return found.as_dict()


def _report(found: "Check", file: Path) -> str:
    document = found.as_dict()
    if file.suffix == ".json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    lines = [f"# {found.name}", "", f"**{found.verdict}**", ""]
    for part in ("formula", "right", "difference"):
        if part == "formula" or not found.equal:
            title = {"right": "right form"}.get(part, part)
            lines += [
                f"{title}: `{document[part]['text']}`",
                "",
                f"$${document[part]['latex']}$$",
                "",
            ]
    if found.counterexample:
        lines += [f"Smallest counter-example: {found.example}", ""]
    lines += [f"- {word}" for word in found.words]
    lines += [f"- agrees by accident at {place}" for place in found.special_points]
    return "\n".join([*lines, "", f"Assumes: {found.assumptions}", ""])
