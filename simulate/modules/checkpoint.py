"""The file in which a run is kept while it goes on."""

import hashlib
import io
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lazyrich
from lazyrich.support.arguments import escaped, in_a_line
from lazyrich.support.files import (
    check_regular,
    check_writable,
    has_checksum,
    with_checksum,
    without_checksum,
    write_whole,
)

_LAYOUT = 2  # of the file: one more where what it holds changes, so that older ones are refused
_UNHELD = "checkpoint: a file can't hold the state of the run: must be tensors, numbers and text"


class Checkpoint:
    """A file that holds the state of one run, told from others by its ``identity``.

    Raises ``ValueError`` where no file can be written there.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._identity, self._readable = path, "", False
        self._saved = time.monotonic()
        if path.is_dir():
            raise ValueError(f"checkpoint = {escaped(path)}: is a folder; must be a file")
        if not path.parent.is_dir():
            raise ValueError(
                f"checkpoint = {escaped(path)}: the folder {escaped(path.parent)} does not exist"
            )
        try:
            check_regular(path)
            check_writable("folder", path.parent)
        except OSError as error:
            raise ValueError(f"checkpoint = {escaped(path)}: {error}") from None

    def load(self, identity: str, device: torch.device) -> dict[str, Any] | None:
        """Return the state kept in the file, None if there is none.

        Raises ``ValueError`` for the checkpoint of another run, for a file that was changed since
        it was written (it ends with a checksum), and for one that is none.
        """
        self._identity = identity
        if not self.path.exists():
            return None
        content = self.path.read_bytes()
        if not has_checksum(content):
            raise ValueError(f"{escaped(self.path)}: truncated, changed or not a checkpoint")
        try:
            file = io.BytesIO(without_checksum(content))
            state = torch.load(file, map_location=device, weights_only=True)
            found = state.pop("identity")
        except Exception as error:  # as many kinds as there are ways to spoil a zip file
            raise ValueError(f"{escaped(self.path)}: not a checkpoint") from error
        if found != identity:
            raise ValueError(
                f"{escaped(self.path)}: checkpoint of another run, or of another version"
            )
        return state

    def refuse(self, reason: str) -> None:
        """Raise ``ValueError``: what is in the file belongs to another run."""
        raise ValueError(f"{escaped(self.path)}: checkpoint of another run: {reason}")

    def is_older_than(self, seconds: float) -> bool:
        """Return whether the last save, or the start, is longer ago than that."""
        return time.monotonic() - self._saved > seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write the file, whole or not at all. Warns where that fails: the run goes on.

        Raises ``ValueError`` for a state that no file can hold.
        """
        state = {"identity": self._identity, **state}
        if not self._readable:
            reread(state)
            self._readable = True
        content = with_checksum(_written(state))
        try:
            write_whole(self.path, lambda part: part.write_bytes(content))
        except OSError as error:
            warnings.warn(f"{error}; the run is not kept in its checkpoint", stacklevel=3)
        self._saved = time.monotonic()


def reread(state: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a state by way of a file. Raises ``ValueError`` where no file can hold it.

    >>> reread({"step": 1, "w": torch.ones(1)})
    {'step': 1, 'w': tensor([1.])}
    >>> reread({"rule": torch.nn.ReLU()})                              # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: checkpoint: a file can't hold the state of the run: must be tensors, ...
    """
    try:
        return torch.load(io.BytesIO(_written(state)), weights_only=True)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"{_UNHELD} ({in_a_line(error)[:100]})") from error


def _written(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    try:
        torch.save(state, buffer)
    except Exception as error:  # what a state holds may raise any
        raise ValueError(f"{_UNHELD} ({in_a_line(error)[:100]})") from error
    return buffer.getvalue()


def identity(call: object, tensors: Iterable[Tensor]) -> str:
    """Return what tells runs apart: a digest of a call (by its repr), of tensors and versions.

    >>> one, two = torch.tensor([1.0]), torch.tensor([2.0])
    >>> identity("a", [one]) == identity("a", [two]), identity("a", [one]) == identity("b", [one])
    (False, False)
    """
    digest = hashlib.sha256(repr(call).encode())
    versions = f"lazyrich {lazyrich.__version__}, {_LAYOUT}, torch {torch.__version__}"
    digest.update(versions.encode())
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(bits.numpy().tobytes())
    return digest.hexdigest()
