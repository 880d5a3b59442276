"""The parts of the pages that come from the code, as Markdown."""

import click

from lazyrich import cli, theory, verify
from lazyrich.theory.closed_form import latex
from lazyrich.verify.report import to_markdown

MARK = "<!-- generated -->"


def closed_forms() -> str:
    """Every closed form by group: formula, terms, derivation, assumptions, source."""
    blocks = []
    for group, entries in theory.groups().items():
        blocks.append(f"## {group}")
        blocks += [_closed_form(name) for name in entries]
    return "\n\n".join(blocks)


def _closed_form(name: str) -> str:
    form = theory.closed_form(name)
    blocks = [f"### `{name}`", f"{form.title}.", _display(form.expr)]
    for term, expression in form.terms.items():
        blocks += [f"Term `{term}`:", _display(expression)]
    blocks.append("*Derivation.*")
    for number, (sentence, expression) in enumerate(form.steps, start=1):
        blocks += [f"{number}\\. {sentence}", _display(expression)]
    blocks += [f"*Assumes:* {form.assumptions}", f"*Source:* {form.source}"]
    return "\n\n".join(blocks)


def _display(expression) -> str:
    return f"```{{math}}\n{latex(expression)}\n```"


def commands() -> str:
    """The help text of every subcommand."""
    blocks = []
    for name in cli.COMMANDS:
        command = cli.command.get_command(None, name)
        context = click.Context(command, info_name=f"lazyrich {name}", max_content_width=88)
        blocks.append(f"## `lazyrich {name}`\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(blocks)


def verdicts() -> str:
    """The ledger, checked while the page is built: a page with a claim that fails is not built."""
    report = verify.run(examples=5)
    if report.failed:
        raise AssertionError(f"claims failed: {[row.claim.name for row in report.failed]}")
    return to_markdown(report, times=False)


PAGES = {"verdicts": verdicts, "theory": closed_forms, "commands": commands}
