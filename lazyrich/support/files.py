"""Files that appear whole or not at all."""

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_whole(path: str | os.PathLike, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file, and give it the name ``path`` once it is on the disk.

    Whatever interrupts this, a reader of ``path`` finds the old file or the new one, whole. Raises
    ``OSError`` with one clear line where the folder is missing, not writable, or full.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", lambda part: part.write_text("whole"))
    ...     (Path(folder) / "a.txt").read_text(), len(list(Path(folder).iterdir()))
    ('whole', 1)
    """
    path = Path(path)
    try:
        # Hidden, and with the suffix of the file, by which some writers choose the format. Not by
        # tempfile, whose files are the owner's alone; the umask is of the process, not the thread.
        part = path.parent / f".part-{secrets.token_hex(8)}{path.suffix}"
        part.open("x").close()
        try:
            write(part)
            _sync(part)
            os.replace(part, path)
            _sync(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise type(error)(f"{path}: can't be written: {reason}") from error


def make_folder(name: str, folder: str | os.PathLike) -> None:
    """Make a folder, given as the argument ``name``, if it is missing. Raises ``OSError``."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"{name} = {folder}: can't be made: {reason}") from None


def check_writable(name: str, folder: str | os.PathLike) -> None:
    """Raise ``OSError`` where no file can be made in the folder: by making one.

    Rights don't tell: a disk may be full or mounted to be read only, and root may do anything.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"{name} = {folder}: can't be written to: {reason}") from None


def _sync(path: str | os.PathLike) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
