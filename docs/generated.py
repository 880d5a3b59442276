"""The pages, and the parts of pages, that come from the code, as Markdown.

``write(folder)`` makes the pages of the folders ``closed-forms``, ``record``, ``figures`` and
``modules``, which git ignores. ``PARTS`` fill in the mark of the pages that are written by hand.
"""

from itertools import chain
from pathlib import Path

import click
from parts import closed_forms, gallery, interface, record

from lazyrich import cli

MARK = "<!-- generated -->"
FOLDERS = (closed_forms.FOLDER, record.FOLDER, gallery.FOLDER, interface.FOLDER)


def commands() -> str:
    """The help text of every subcommand."""
    blocks = []
    for name in cli.COMMANDS:
        command = cli.command.get_command(None, name)
        context = click.Context(command, info_name=f"lazyrich {name}", max_content_width=88)
        blocks.append(f"## `lazyrich {name}`\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(blocks)


def write(folder: Path) -> None:
    """Write every generated page below ``folder``, if it changed, and remove pages of old names."""
    made = set()
    parts = (closed_forms, record, gallery, interface)
    for name, text in chain.from_iterable(part.pages() for part in parts):
        file = folder / f"{name}.md"
        made.add(file)
        file.parent.mkdir(exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    for name in FOLDERS:
        for file in set((folder / name).glob("*.md")) - made:
            file.unlink()


PARTS = {
    "commands": commands,
    "gallery": gallery.overview,
    "theory": closed_forms.table,
    "verdicts": record.overview,
    **{f"api/{name}": lambda name=name: interface.room(name) for name in interface.ROOMS},
}
