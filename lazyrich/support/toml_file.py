"""Reading a TOML file that a user gives."""

import os
import tomllib
from typing import Any

from lazyrich.support.arguments import escaped
from lazyrich.support.files import user_path


def read_toml(name: str, path: str | os.PathLike) -> dict[str, Any]:
    """Return what is in a TOML file, given as the argument ``name``; ``~`` is the home folder.

    Raises ``ValueError`` in one line where there is no such file, where it can't be read, and where
    it is no TOML.

    >>> read_toml("problem", "missing.toml")
    Traceback (most recent call last):
    ...
    ValueError: problem = missing.toml: no such file
    """
    file = user_path(path, name)
    given = f"{name} = {escaped(file)}"
    try:
        if file.is_dir():
            raise ValueError(f"{given}: is a folder; must be a TOML file")
        if not file.is_file():
            raise ValueError(f"{given}: no such file")
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{given}: not a TOML file: {escaped(error)}") from None
    except OSError as error:  # one that names no file would read as one of standard output
        raise ValueError(f"{given}: can't be read: {error.strerror}") from None
