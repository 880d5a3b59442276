"""The store: one file for each finished run, whole or not at all, and checked when it is read.

A run is stored under its address, a hash of its settings and of the code behind it. The file is
netCDF, followed by two lines: the address with the settings, and a checksum. A file that was
damaged, or that belongs to another run, is noticed by them and counts as missing.
"""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray

from lazyrich.simulate.layout import Layouts
from lazyrich.simulate.netcdf import array_of, check_contents, encoded
from lazyrich.support.arguments import escaped
from lazyrich.support.files import (
    check_regular,
    has_checksum,
    make_folder,
    with_checksum,
    write_whole,
)

Arrays = dict[str, np.ndarray]
# How many files are written at a time.
WRITERS = 16


@dataclass(frozen=True)
class Failure:
    """How a run ended that has no history: its ``status``, and the reason in one line.

    ``step`` and ``stable_learning_rate`` say more of a divergence; NaN where they are unknown.
    """

    status: str
    reason: str
    step: float = float("nan")
    stable_learning_rate: float = float("nan")

    def to_bytes(self) -> bytes:
        """Return the content of the file that keeps this."""
        return encoded({}, {"failure": json.dumps(asdict(self))})


def address(settings: Mapping[str, Any], code: str) -> str:
    """Return the name under which a run is stored: 32 hexadecimal digits.

    ``settings`` are of JSON's types; ``code`` is the fingerprint of the code.

    >>> address({"a": 1, "b": 2}, "c") == address({"b": 2, "a": 1}, "c") != address({"a": 1}, "c")
    True
    """
    text = json.dumps({"settings": settings, "code": code}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def sealed(content: bytes, key: str, settings: Mapping[str, Any]) -> bytes:
    """Return the content of a file with its address, settings and checksum added.

    >>> damage(sealed(b"content", "0a", {"P": 5}), "0a")
    >>> damage(sealed(b"content", "0a", {"P": 5}), "0b")
    'holds another run'
    >>> damage(sealed(b"content", "0a", {"P": 5}).replace(b"t", b"T"), "0a")
    'was changed or cut off'
    >>> damage(with_checksum(b"a file of Run.save"), "0a")
    'holds another run'
    """
    line = json.dumps({"address": key, "settings": settings})
    return with_checksum(content + f"\n{line}\n".encode())


def damage(content: bytes, key: str) -> str | None:
    """Return what is wrong with the content of a file; None where it is the run of this address."""
    if not has_checksum(content):
        return "was changed or cut off"
    line = b"".join(content.rsplit(b"\n", 3)[1:2])  # before that of the checksum
    mine = line.startswith(json.dumps({"address": key})[:-1].encode())
    return None if mine else "holds another run"


class Store:
    """The finished runs in a folder. Raises ``OSError`` in one line where it can't be made.

    ``given``: the contents of other runs' files by address; the folder is not asked for these.
    """

    def __init__(self, folder: str | os.PathLike, given: Mapping[str, bytes] | None = None) -> None:
        self.folder, self._layouts = make_folder("folder", folder), Layouts()
        self._given = dict(given or {})

    def path(self, key: str) -> Path:
        """Return the file of a run."""
        # 256 folders: a million files in one would make every look-up slow.
        return self.folder / key[:2] / f"{key}.nc"

    def checkpoint(self, key: str) -> Path:
        """Return the file from which a run that was interrupted goes on."""
        return self.path(key).with_suffix(".pt")

    def has(self, key: str) -> bool:
        """Return whether the run is stored and its file is sound; warn of a file that isn't."""
        if key in self._given:
            return True
        path = self.path(key)
        try:
            check_regular(path)  # a pipe would never end
            wrong = damage(path.read_bytes(), key)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise OSError(f"{escaped(path)}: can't be read: {error.strerror or error}") from None
        if wrong is not None:
            warnings.warn(f"{escaped(path)} {wrong}: this run is done again", stacklevel=2)
        return wrong is None

    def save(self, contents: Mapping[str, bytes]) -> None:
        """Store some runs, given the contents of their files. Raises ``OSError``.

        By threads: most of the time goes into waiting for the disk to hold each file.
        """
        with ThreadPoolExecutor(WRITERS) as threads:
            for _ in threads.map(self._save, contents, contents.values()):
                pass  # raises what a thread raised

    def _save(self, key: str, content: bytes) -> None:
        path = self.path(key)
        make_folder("folder", path.parent)
        write_whole(path, lambda part: part.write_bytes(content))
        path.with_suffix(".pt").unlink(missing_ok=True)

    def read(self, key: str) -> Arrays | Failure:
        """Return the arrays of a run's history by name, or how it failed."""
        content = self._content(key).rsplit(b"\n", 3)[0]  # without what ``sealed`` has added
        found = self._layouts.read(content, "history")
        if found:
            return found
        with h5py.File(io.BytesIO(content)) as file:
            check_contents(file)
            if "failure" in file.attrs:
                return Failure(**json.loads(str(file.attrs["failure"])))
            group = file["history"].id
            return {name.decode(): array_of(h5py.h5d.open(group, name)) for name in group}

    def described(self, key: str) -> xarray.Dataset:
        """Return the history of a finished run with its dimensions, units and attributes."""
        content = io.BytesIO(self._content(key))
        return xarray.load_dataset(content, group="history", engine="h5netcdf")

    def _content(self, key: str) -> bytes:
        given = self._given.get(key)
        return self.path(key).read_bytes() if given is None else given
