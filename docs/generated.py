"""The parts of the pages that come from the code, as Markdown."""

import importlib
import inspect
from types import ModuleType

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
    return to_markdown(report).split("\n", 1)[1]  # without its title


# Page -> the modules whose public names it lists, each name once.
INTERFACE = {
    "theory": ("theory", "theory.grammar", "theory.wick"),
    "simulate": (
        "simulate",
        "simulate.outcome",
        "simulate.laws.grokking",
        "simulate.laws.lazy",
        "simulate.laws.outlook",
        "simulate.laws.population",
        "simulate.laws.rich_flow",
        "simulate.laws.spike",
        "simulate.lyu",
        "simulate.oracles",
    ),
    "verify": (
        "verify",
        "verify.strategies",
        "verify.properties",
        "verify.certificates",
        "verify.cubature",
        "verify.tolerances",
    ),
    "figures": ("paper_figures", "paper_figures.checks"),
}


def public_names(module: ModuleType) -> list[str]:
    """What ``__all__`` lists, or else what the module defines itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def interface(page: str) -> str:
    """Every public name of the modules of this page, with its docstring."""
    blocks, seen = [], set()
    for path in INTERFACE[page]:
        module = importlib.import_module(f"lazyrich.{path}")
        title = (module.__doc__ or "").strip().split("\n\n")[0]
        if path != INTERFACE[page][0]:
            blocks.append(f"## `lazyrich.{path}`\n\n" + " ".join(title.split()))
        for name in public_names(module):
            value = getattr(module, name)
            if inspect.ismodule(value) or id(value) in seen:
                continue
            seen.add(id(value))
            blocks.append(_directive(f"lazyrich.{path}.{name}", value))
    return "\n\n".join(blocks)


def _directive(path: str, value: object) -> str:
    kind = "data"
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
    elif callable(value):
        kind = "function"
    members = "\n   :members:" if kind == "class" else ""
    return f"```{{eval-rst}}\n.. auto{kind}:: {path}{members}\n```"


PAGES = {
    "verdicts": verdicts,
    "theory": closed_forms,
    "commands": commands,
    **{f"api/{page}": lambda page=page: interface(page) for page in INTERFACE},
}
