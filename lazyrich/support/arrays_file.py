"""Reading the arrays that a user gives in a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lazyrich.support.arguments import escaped, one_of
from lazyrich.support.output import given_path


def read_arrays(
    option: str, path: str | Path, allowed: Sequence[str], needed: Sequence[str]
) -> dict[str, Any]:
    """Return the arrays by name of an .npz file; ``~`` is the home folder.

    Raises ``ValueError`` in one line where there is no such file, where it is of another kind, and
    where it holds an array that is not ``allowed`` or lacks one that is ``needed``.

    >>> read_arrays("--data", "missing.npz", ("X", "y"), ("X",))
    Traceback (most recent call last):
    ...
    ValueError: --data missing.npz: no such file
    """
    import numpy as np

    file = given_path(option, str(path))
    if not file.is_file():
        found = "no file, must be an .npz file" if file.exists() else "no such file"
        raise ValueError(f"{option} {escaped(path)}: {found}")
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except Exception:  # zipfile, numpy and pickle have a dozen between them
        raise ValueError(
            f"{option} {escaped(path)}: not an .npz file of arrays of numbers"
        ) from None
    for name in arrays:
        one_of(f"{option} {escaped(path)}: array", name, allowed)
    for name in needed:
        if name not in arrays:
            raise ValueError(
                f"{option} {escaped(path)}: has no {name}: must hold {', '.join(needed)}"
            )
    return arrays
