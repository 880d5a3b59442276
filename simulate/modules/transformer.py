"""The one-layer transformer that learns modular addition [Nanda et al. 2023; Kumar et al., Sec. 6].

It reads the three tokens a, b, "=" and answers at the last; no layer normalisation, ReLU.
"""

import math

import torch
from torch import Tensor, nn

from lazyrich.simulate.arrays import generator, natural
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.modular_addition import modular_pairs
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import positive_integer


class ModularTransformer(nn.Module):
    """Logits over the vocabulary for pairs (a, b) of residues mod p, of shape (n, 2), integers.

    The vocabulary is 0, ..., p - 1 and "=", which is token p. Weights are N(0, 1)/sqrt(d_model),
    those of the unembedding N(0, 1)/sqrt(p + 1), biases 0, all from the seed's stream "weights".
    The heads share d_model among them. There is nothing after the one layer, so that only what
    attention and perceptron do at the last position matters, and only that is computed; keys and
    values are functions of token and position, and computed once for each of these.

    >>> network = ModularTransformer(p=5, d_model=8, heads=2, d_mlp=16)
    >>> network(torch.tensor([[0, 1], [1, 0], [4, 4]])).shape
    torch.Size([3, 6])
    """

    embedding: nn.Parameter
    positions: nn.Parameter
    query: nn.Parameter
    key: nn.Parameter
    value: nn.Parameter
    output: nn.Parameter
    into: nn.Parameter
    out_of: nn.Parameter
    unembedding: nn.Parameter

    @checks_its_arguments
    def __init__(
        self,
        p: int = 113,
        *,
        d_model: int = 128,
        heads: int = 4,
        d_mlp: int = 512,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        for name, value in (("p", p), ("d_model", d_model), ("heads", heads), ("d_mlp", d_mlp)):
            positive_integer(name, value)
        if d_model % heads:
            raise ValueError(f"heads = {heads}: must divide d_model = {d_model}")
        self.p, self.heads, vocabulary = p, heads, p + 1
        shapes = {
            "embedding": (vocabulary, d_model),
            "positions": (3, d_model),
            "query": (d_model, d_model),
            "key": (d_model, d_model),
            "value": (d_model, d_model),
            "output": (d_model, d_model),
            "into": (d_mlp, d_model),
            "out_of": (d_model, d_mlp),
            "unembedding": (vocabulary, d_model),
        }
        natural("seed", seed)
        for number, (name, shape) in enumerate(shapes.items(), start=1):
            size = vocabulary if name == "unembedding" else d_model
            draw = generator(seed, "weights", number).standard_normal(shape) / math.sqrt(size)
            setattr(self, name, nn.Parameter(torch.as_tensor(draw, dtype=dtype)))
        self.into_bias = nn.Parameter(torch.zeros(d_mlp, dtype=dtype))
        self.out_of_bias = nn.Parameter(torch.zeros(d_model, dtype=dtype))

    def forward(self, pairs: Tensor) -> Tensor:
        """Return the logits at the last position, (n, p + 1)."""
        x = self.embedding + self.positions[:, None]  # (3, vocabulary, d_model)
        last = x[2, self.p]
        x = last + self._attention(pairs, x, last)
        hidden = torch.relu(x @ self.into.T + self.into_bias)
        return (x + hidden @ self.out_of.T + self.out_of_bias) @ self.unembedding.T

    def _attention(self, pairs: Tensor, x: Tensor, last: Tensor) -> Tensor:
        """Return what the last position reads from all three, (n, d_model)."""
        size = x.shape[-1] // self.heads

        def by_head(y: Tensor) -> Tensor:  # (..., d_model) -> (..., heads, size)
            return y.unflatten(-1, (self.heads, size))

        query = by_head(last @ self.query.T)
        scores = (by_head(x @ self.key.T) * query).sum(-1) / math.sqrt(size)
        values = by_head(x @ self.value.T)
        equals = torch.full_like(pairs[:, 0], self.p)
        places = list(enumerate((pairs[:, 0], pairs[:, 1], equals)))
        weights = torch.stack([scores[i, tokens] for i, tokens in places]).softmax(0)
        read = torch.stack([values[i, tokens] for i, tokens in places])
        return (weights[..., None] * read).sum(0).flatten(1) @ self.output.T


@checks_its_arguments
def modular_addition_tokens(p: int = 113, fraction: float = 0.4, *, seed: int = 0) -> Data:
    """Return the task for transformers: inputs (a, b), integers (n, 2), labels a + b mod p, (n,).

    >>> data = modular_addition_tokens(5, fraction=0.4)
    >>> data.X.shape, bool((data.y == data.X.sum(1) % 5).all())
    (torch.Size([10, 2]), True)
    """
    X, X_test = modular_pairs(p, fraction, seed)
    return Data(X, X.sum(1) % p, X_test, X_test.sum(1) % p)


def cross_entropy(f: Tensor, y: Tensor) -> Tensor:
    """Return the mean of -log softmax(f)[y], in float64: in float32 it stalls near 1e-7.

    >>> cross_entropy(torch.tensor([[30.0, 0.0]]), torch.tensor([0])).item() > 9e-14
    True
    """
    return nn.functional.cross_entropy(f.double(), y)


def classified(f: Tensor, y: Tensor) -> Tensor:
    """Return the part of the samples whose largest logit is that of the label.

    >>> classified(torch.tensor([[0.2, 0.7], [0.9, 0.3]]), torch.tensor([1, 1])).item()
    0.5
    """
    return (f.argmax(1) == y).double().mean()
