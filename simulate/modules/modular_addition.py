"""Modular addition: all pairs (a, b) of residues, labelled a + b mod p [Power et al. 2022]."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lazyrich.simulate.arrays import generator, natural
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import finite, positive_integer, shown


@checks_its_arguments
def modular_pairs(p: int, fraction: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return the pairs (a, b) for training and for testing, integers of shape (n, 2).

    All p^2 pairs, in an order from the seed's stream "split"; the first floor(fraction p^2) are for
    training. Raises ``ValueError`` unless both sets have at least one.

    >>> train, test = modular_pairs(5, fraction=0.5)
    >>> train.shape, test.shape, len({tuple(pair) for pair in torch.cat([train, test]).tolist()})
    (torch.Size([12, 2]), torch.Size([13, 2]), 25)
    """
    positive_integer("p", p)
    count = int(finite("fraction", fraction, positive=True) * p * p)
    if not 0 < count < p * p:
        raise ValueError(f"fraction = {shown(fraction)}: must leave pairs on both sides of {p * p}")
    order = torch.from_numpy(generator(natural("seed", seed), "split").permutation(p * p))
    pairs = torch.stack([order // p, order % p], 1)
    return pairs[:count], pairs[count:]


@checks_its_arguments
def modular_addition(
    p: int, fraction: float = 0.9, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Data:
    """Return the task for perceptrons: inputs (one-hot a, one-hot b), labels one-hot a + b mod p.

    [Kumar et al. 2024, Sec. 8.3]. Inputs are of shape (n, 2p), labels (n, p).

    >>> data = modular_addition(5)
    >>> a, b = (side.argmax(1) for side in data.X_test.split(5, 1))
    >>> data.X.shape, bool((data.y_test.argmax(1) == (a + b) % 5).all())
    (torch.Size([22, 10]), True)
    """
    sides = []
    for pairs in modular_pairs(p, fraction, seed):
        inputs = one_hot(pairs, p).flatten(1)
        sides += [inputs.to(dtype), one_hot(pairs.sum(1) % p, p).to(dtype)]
    return Data(*sides)


def classified(f: Tensor, y: Tensor) -> Tensor:
    """Return the part of the samples whose largest output is at the one of the one-hot label.

    >>> classified(torch.tensor([[0.2, 0.7], [0.9, 0.3]]), torch.tensor([[0, 1], [0, 1]])).item()
    0.5
    """
    return (f.argmax(1) == y.argmax(1)).double().mean()
