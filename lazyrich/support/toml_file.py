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
            reason = "is a folder; must be a TOML file"
        elif not file.exists():
            reason = "no such file"
        elif not file.is_file():  # a pipe or a device
            reason = "is no file; must be a TOML file"
        else:
            return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = f"not a TOML file: {escaped(error)}"
    except RecursionError:
        reason = "must be nested less deep"
    except ValueError:  # of Python, at thousands of digits
        reason = "must have integers of fewer digits"
    except OSError as error:  # one that names no file would read as one of standard output
        reason = f"can't be read: {error.strerror}"
    raise ValueError(f"{given}: {reason}")
