"""The file in which a run is kept while it goes on."""

import hashlib
import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lazyrich
from lazyrich.support.files import write_whole


class Checkpoint:
    """A file that holds the state of one run, told from others by its ``identity``."""

    def __init__(self, path: Path, identity: str) -> None:
        self._path, self._identity = path, identity
        self._saved = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state kept in the file, None if there is none.

        Raises ``ValueError`` for the checkpoint of another run, or for a file that is none.
        """
        if not self._path.exists():
            return None
        try:
            state = torch.load(self._path, map_location=device, weights_only=True)
            identity = state.pop("identity")
        except Exception as error:  # as many kinds as there are ways to spoil a zip file
            raise ValueError(f"{self._path}: truncated or not a checkpoint") from error
        if identity != self._identity:
            raise ValueError(f"{self._path}: checkpoint of another run, or of another version")
        return state

    def is_older_than(self, seconds: float) -> bool:
        """Return whether the last save, or the start, is longer ago than that."""
        return time.monotonic() - self._saved > seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write the file, whole or not at all."""
        buffer = io.BytesIO()
        torch.save({"identity": self._identity, **state}, buffer)
        write_whole(self._path, lambda part: part.write_bytes(buffer.getvalue()))
        self._saved = time.monotonic()


def identity(call: object, tensors: Iterable[Tensor]) -> str:
    """Return what tells runs apart: a digest of a call (by its repr), of tensors and versions.

    >>> one, two = torch.tensor([1.0]), torch.tensor([2.0])
    >>> identity("a", [one]) == identity("a", [two]), identity("a", [one]) == identity("b", [one])
    (False, False)
    """
    digest = hashlib.sha256(repr(call).encode())
    digest.update(f"lazyrich {lazyrich.__version__}, torch {torch.__version__}".encode())
    for tensor in tensors:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
