"""The one-layer transformer is the full causal one read at its last position."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lazyrich.simulate.modules.transformer import (
    ModularTransformer,
    cross_entropy,
    modular_addition_tokens,
)


def textbook(network, pairs):
    """All three positions, by torch's own attention with a causal mask."""
    n, p = len(pairs), network.p
    tokens = torch.cat([pairs, torch.full((n, 1), p)], 1)
    x = network.embedding[tokens] + network.positions

    def split(y):
        return y.unflatten(-1, (network.heads, -1)).transpose(1, 2)

    q, k, v = (split(x @ w.T) for w in (network.query, network.key, network.value))
    z = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + z.transpose(1, 2).flatten(2) @ network.output.T
    hidden = torch.relu(x @ network.into.T + network.into_bias)
    x = x + hidden @ network.out_of.T + network.out_of_bias
    return (x @ network.unembedding.T)[:, -1]


@given(st.integers(2, 9), st.sampled_from([1, 2, 4]), st.integers(1, 4), st.integers(0, 99))
def test_only_the_last_position_matters(p, heads, size, seed):
    network = ModularTransformer(
        p, d_model=heads * size, heads=heads, d_mlp=5, seed=seed, dtype=torch.float64
    )
    with torch.no_grad():
        network.into_bias.add_(0.1)
    pairs = modular_addition_tokens(p, 0.5, seed=seed).X
    torch.testing.assert_close(network(pairs), textbook(network, pairs), rtol=1e-11, atol=1e-11)
    weights = list(network.parameters())
    fast, slow = (
        torch.autograd.grad(f(pairs).square().sum(), weights)
        for f in (network, lambda x: textbook(network, x))
    )
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_weights_have_the_published_scales():
    network = ModularTransformer(113)
    for name, weights in network.named_parameters():
        size = 114 if name == "unembedding" else 128
        expected = 0.0 if name.endswith("bias") else 1 / math.sqrt(size)
        # The relative standard error of a standard deviation of n normal numbers is 1/sqrt(2 n).
        margin = 5 * expected / math.sqrt(2 * weights.numel())
        assert abs(float(weights.detach().square().mean().sqrt()) - expected) <= margin, name


def test_a_planted_swap_of_positions_changes_the_logits():
    network = ModularTransformer(5, d_model=8, heads=2, d_mlp=6, dtype=torch.float64)
    pairs = torch.tensor([[1, 3]])
    before = network(pairs)
    with torch.no_grad():
        network.positions.copy_(network.positions[[1, 0, 2]])
    assert (network(pairs) - before).abs().max() > 1e-3


def test_the_loss_keeps_its_digits_where_single_precision_has_none():
    f, y = torch.tensor([[30.0, 0.0]]), torch.tensor([0])
    assert float(torch.nn.functional.cross_entropy(f, y)) == 0
    assert float(cross_entropy(f, y)) == pytest.approx(math.log1p(math.exp(-30)), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 0}, "p = 0: must be a positive integer"),
        ({"d_model": 6, "heads": 4}, "heads = 4: must divide d_model = 6"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        ModularTransformer(**options)
