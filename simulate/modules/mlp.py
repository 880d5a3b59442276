"""Multi-layer perceptrons, drawn from a seed."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lazyrich.simulate.arrays import generator, natural
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import finite, one_of, positive_integer, shown

PARAMETRISATIONS = ("standard", "ntk")


class Square(nn.Module):
    """The activation h^2."""

    def forward(self, h: Tensor) -> Tensor:
        """Return the square of each entry."""
        return h.square()


class NTKLinear(nn.Linear):
    """A linear layer in the NTK parametrisation: W x/sqrt(fan-in) + b, W of order 1.

    >>> layer = NTKLinear(4, 1, bias=False)
    >>> with torch.no_grad():
    ...     _ = layer.weight.fill_(1.0)
    >>> layer(torch.ones(1, 4)).item()
    2.0
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs, (..., out_features)."""
        bias = self.bias
        return nn.functional.linear(input / math.sqrt(self.in_features), self.weight, bias)


@checks_its_arguments
def mlp(
    widths: Sequence[int],
    activation: Callable[[], nn.Module] = nn.ReLU,
    *,
    bias: bool = True,
    parametrisation: str = "standard",
    scale: float = 1.0,
    seed: int = 0,
    name: str = "weights",
    dtype: torch.dtype = torch.float64,
) -> nn.Sequential:
    """Return the perceptron with these widths, input to output, no activation after the last.

    ``parametrisation="standard"``: weights and biases uniform in +-1/sqrt(fan-in), the default of
    torch; "ntk": weights N(0, 1), divided by sqrt(fan-in) in the forward pass, biases 0. All
    parameters are multiplied by ``scale``. They are drawn from the stream ``name`` of the seed, one
    stream a layer ("teacher" is the other one made for weights).

    >>> network = mlp((5, 100, 5), nn.Tanh, scale=2.0)
    >>> network
    Sequential(
      (0): Linear(in_features=5, out_features=100, bias=True)
      (1): Tanh()
      (2): Linear(in_features=100, out_features=5, bias=True)
    )
    >>> network(torch.zeros(3, 5, dtype=torch.float64)).shape
    torch.Size([3, 5])
    >>> bool(0.19 < network[2].weight.max() < 0.2)
    True
    """
    sizes = [positive_integer("widths", width) for width in widths]
    if len(sizes) < 2:
        raise ValueError(f"widths = {shown(widths)}: must be at least input and output")
    one_of("parametrisation", parametrisation, PARAMETRISATIONS)
    finite("scale", scale)
    natural("seed", seed)
    layers: list[nn.Module] = []
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        draws = generator(seed, name, number + 1)
        kind = NTKLinear if parametrisation == "ntk" else nn.Linear
        with torch.random.fork_rng(devices=[]):  # torch's own draw is replaced: leave no trace
            layer = kind(fan_in, fan_out, bias=bias, dtype=dtype)
        with torch.no_grad():
            if parametrisation == "ntk":
                weight, offset = draws.standard_normal((fan_out, fan_in)), 0.0
            else:
                side = 1 / math.sqrt(fan_in)
                weight = draws.uniform(-side, side, (fan_out, fan_in))
                offset = draws.uniform(-side, side, fan_out)
            layer.weight.copy_(torch.as_tensor(scale * weight))
            if bias:
                layer.bias.copy_(torch.as_tensor(scale * offset))
        layers += [layer] if number == 0 else [activation(), layer]
    return nn.Sequential(*layers)
