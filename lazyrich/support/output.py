"""Checks of the files that a subcommand is asked to write, made before its work starts."""

from pathlib import Path

from lazyrich.support.arguments import one_of
from lazyrich.support.files import check_writable


def output_file(option: str, path: str | None, suffixes: tuple[str, ...]) -> Path | None:
    """Return ``path`` as a ``Path`` if a file of one of these suffixes can be written there.

    ``None`` stays ``None``. Raises ``ValueError`` for another suffix, for a folder in the file's
    place and for a folder that is missing or in which no file can be made.

    >>> output_file("--plot", "curve.gif", (".png", ".pdf"))
    Traceback (most recent call last):
    ...
    ValueError: --plot curve.gif: suffix = '.gif': Allowed: .png, .pdf
    """
    if path is None:
        return None
    file = Path(path)
    try:
        one_of("suffix", file.suffix, suffixes)
    except ValueError as error:
        raise ValueError(f"{option} {path}: {error}") from None
    if file.is_dir():
        raise ValueError(f"{option} {path}: is a folder; must be a file")
    if not file.parent.is_dir():
        raise ValueError(f"{option} {path}: the folder {file.parent} does not exist")
    try:
        check_writable("folder", file.parent)
    except OSError as error:
        raise ValueError(f"{option} {path}: {error}") from None
    return file
