"""Files that appear whole or not at all."""

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from lazyrich.support.arguments import escaped, one_of, shown

_LONGEST = 255  # bytes of a name, on the file systems in use
_CHECKSUM = 65  # 64 hexadecimal digits of SHA-256, and the end of the line


def with_checksum(content: bytes) -> bytes:
    """Return the content of a file followed by a line with its checksum.

    >>> has_checksum(with_checksum(b"content")), has_checksum(with_checksum(b"content")[:-2])
    (True, False)
    """
    return content + hashlib.sha256(content).hexdigest().encode() + b"\n"


def has_checksum(content: bytes) -> bool:
    """Return whether the content is as ``with_checksum`` made it, to the last bit."""
    return len(content) >= _CHECKSUM and with_checksum(content[:-_CHECKSUM]) == content


def without_checksum(content: bytes) -> bytes:
    """Return what ``with_checksum`` was given.

    >>> without_checksum(with_checksum(b"content"))
    b'content'
    """
    return content[:-_CHECKSUM]


def is_damaged(content: bytes) -> bool:
    """Return whether the content ends with a checksum, which is that of another content.

    >>> is_damaged(with_checksum(b"content").replace(b"t", b"T")), is_damaged(b"content")
    (True, False)
    """
    last = content[-_CHECKSUM:]
    return re.fullmatch(rb"[0-9a-f]{64}\n", last) is not None and not has_checksum(content)


def write_whole(path: str | os.PathLike, write: Callable[[Path], object]) -> None:
    """Call ``write`` on a temporary file, and rename that to ``path`` once it is on the disk.

    A reader of ``path`` finds the old file or the new one, whole, even if this is interrupted.
    Where ``path`` is a link, the file that it points to is replaced. Raises ``OSError`` with one
    clear line where the folder is missing, not writable, or full, and where something other than a
    regular file (a device, a folder) has that name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", lambda part: part.write_text("whole"))
    ...     (Path(folder) / "a.txt").read_text(), len(list(Path(folder).iterdir()))
    ('whole', 1)
    """
    path = user_path(path)
    try:
        check_regular(path)
        target = Path(os.path.realpath(path))
        # Hidden, and with the suffix of the file, by which some writers choose the format. Not by
        # tempfile, whose files are the owner's alone; the umask is of the process, not the thread.
        part = target.parent / f".part-{secrets.token_hex(8)}{path.suffix}"
        part.open("x").close()
        try:
            write(part)
            _sync(part)
            os.replace(part, target)
            _sync(target.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
        raise type(error)(f"{escaped(path)}: can't be written: {reason}") from error


def user_path(path: str | os.PathLike, name: str = "path") -> Path:
    """Return the path, given as the argument ``name``, with ``~`` read as the home folder.

    Raises ``ValueError`` where there is no such folder, and for a name that no file can have.

    >>> user_path("a/~b.txt").as_posix()
    'a/~b.txt'
    >>> user_path("~/a.txt") == Path.home() / "a.txt"
    True
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not text or not isinstance(text, str):
        raise ValueError(f"{name} = {shown(path)}: must be the name of a file or a folder")
    if "\0" in text:
        raise ValueError(f"{name} = {text!r}: has a NUL character: no file has such a name")
    if any(len(os.fsencode(part)) > _LONGEST for part in Path(text).parts):
        raise ValueError(f"{name} = {shown(text)}: no file has a name of over {_LONGEST} bytes")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{name} = {escaped(path)}: there is no such home folder") from None


def path_of_kind(path: str | os.PathLike, suffixes: Iterable[str]) -> Path:
    """Return the path of a file as ``user_path`` does, if it has one of these suffixes.

    >>> path_of_kind("report.doc", [".html", ".md"])
    Traceback (most recent call last):
    ...
    ValueError: suffix = '.doc': Allowed: .html, .md
    """
    file = user_path(path)
    one_of("suffix", file.suffix, suffixes)
    return file


def check_regular(path: Path) -> None:
    """Raise ``OSError`` where something other than a regular file has this name.

    >>> check_regular(Path(os.devnull))
    Traceback (most recent call last):
    ...
    OSError: not a regular file
    """
    if path.exists() and not path.is_file():
        raise OSError("is a folder" if path.is_dir() else "not a regular file")


def make_folder(name: str, folder: str | os.PathLike) -> Path:
    """Make a folder, given as the argument ``name``, if it is missing, and return its path.

    Raises ``OSError`` where it can't be made, and ``ValueError`` for what is no path.
    """
    path = user_path(folder, name)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"{name} = {escaped(folder)}: can't be made: {reason}") from None
    return path


def check_writable(name: str, folder: str | os.PathLike) -> None:
    """Raise ``OSError`` where no file can be made in the folder: by making one.

    Rights don't tell: a disk may be full or mounted to be read only, and root may do anything.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"{name} = {escaped(folder)}: can't be written to: {reason}") from None


def _sync(path: str | os.PathLike) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
