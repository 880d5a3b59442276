"""The files that a subcommand is asked to write, checked before its work starts; its answer."""

from collections.abc import Callable
from pathlib import Path

import click

from lazyrich.support.arguments import escaped, one_of
from lazyrich.support.files import check_regular, check_writable, user_path


def given_path(option: str, path: str) -> Path:
    """Return the path that the user gave as this option, with ``~`` read as the home folder.

    >>> given_path("--data", "~no-such-user/x.npz")
    Traceback (most recent call last):
    ...
    ValueError: --data = ~no-such-user/x.npz: there is no such home folder
    """
    return user_path(path, option)


def answer(text: str, *files: tuple[Path | None, Callable[[Path], object]]) -> None:
    """Write the files that were asked for, and print the answer whether they could be or not.

    ``files`` are paths, None for one that was not asked for, and what writes them. A full disk
    doesn't cost the answer, nor a closed pipe the files.

    >>> answer("3 of 3 passed", (Path("/no/such/folder/report.txt"), lambda f: f.write_text("3")))
    Traceback (most recent call last):
    ...
    FileNotFoundError: [Errno 2] No such file or directory: '/no/such/folder/report.txt'
    """
    try:
        for file, write in files:
            if file is not None:
                write(file)
    finally:
        click.echo(text)


def output_file(option: str, path: str | None, suffixes: tuple[str, ...]) -> Path | None:
    """Return ``path`` as a ``Path`` if a file of one of these suffixes can be written there.

    ``None`` stays ``None``, and ``~`` is the home folder. Raises ``ValueError`` for another suffix,
    where a folder or a device has that name, and for a folder that is missing or in which no file
    can be made.

    >>> output_file("--plot", "curve.gif", (".png", ".pdf"))
    Traceback (most recent call last):
    ...
    ValueError: --plot curve.gif: suffix = '.gif': Allowed: .png, .pdf
    """
    if path is None:
        return None
    file = given_path(option, path)
    try:
        one_of("suffix", file.suffix, suffixes)
    except ValueError as error:
        raise ValueError(f"{option} {escaped(path)}: {error}") from None
    try:
        check_regular(file)
    except OSError as error:
        raise ValueError(f"{option} {escaped(path)}: {error}; must be a file") from None
    if not file.parent.is_dir():
        raise ValueError(
            f"{option} {escaped(path)}: the folder {escaped(file.parent)} does not exist"
        )
    try:
        check_writable("folder", file.parent)
    except OSError as error:
        raise ValueError(f"{option} {escaped(path)}: {error}") from None
    return file
