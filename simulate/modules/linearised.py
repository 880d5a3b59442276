"""The linearised twin of any network: its first-order expansion in the weights [eq. 1]."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import disable_saved_tensors_hooks
from torch.func import functional_call

from lazyrich.simulate.modules.frozen import CheckedOnce, checked_model, copied, frozen, given
from lazyrich.simulate.modules.jacobian import moved
from lazyrich.simulate.modules.scaled import Scaled
from lazyrich.simulate.modules.trees import Around, combined
from lazyrich.simulate.shapes import checks_its_arguments


class Linearised(Around):
    """f(x; w0) + grad f(x; w0).(w - w0), trained in w; made by ``linearise``.

    ``model`` holds the weights w, under the names that they have in the network; ``start`` holds w0
    as buffers. Both are in the ``state_dict``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.start = copied(model), frozen(model)
        self._check = CheckedOnce()

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return the expansion at these inputs, by one Jacobian-vector product."""
        self._check(self.start, given(inputs, named))
        kept = dict(self.start.named_buffers(remove_duplicate=False))
        weights = {n: p for n, p in self.model.named_parameters() if p.is_floating_point()}
        start = {name: kept[name] for name in weights}
        change = {name: weight - start[name] for name, weight in weights.items()}

        # Where f(x; w0) of ``Scaled`` is at hand, its initial network is not called.
        at_hand = isinstance(self.model, Scaled) and self.model.keeps_start(inputs, named)

        def network(values: dict[str, Tensor]) -> Any:
            buffers = {
                name: buffer.clone()
                for name, buffer in self.model.named_buffers()
                if not (at_hand and name.startswith("initial."))
            }
            return functional_call(self.model, {**buffers, **values}, inputs, named)

        with disable_saved_tensors_hooks("switch activation checkpointing off"):
            return combined(torch.add, *moved(self.model, network, start, change))

    def train(self, mode: bool = True) -> "Linearised":
        """Set training or evaluation mode; the next call looks again whether outputs are random."""
        self._check.done = False
        return super().train(mode)


@checks_its_arguments
def linearise(model: nn.Module) -> Linearised:
    """Return the network's linearised twin at its weights now, as a module of its own to train.

    Full-batch gradient descent of the twin on the mean square error is kernel regression with the
    NTK at w0, in the limit. It is the twin of the very predictor given: of
    ``linearise(Scaled(f, alpha))`` the expansion of alpha [f(x; w) - f(x; w0)], to be trained at
    the same learning rate, its own f(x; w0) left out where that of the network is.

    The model is left as it is. Raises ``ValueError`` for what ``checked_model`` refuses, and at the
    first call for a model that is random, mixes samples, or has an operation without forward-mode
    and second derivatives in torch.

    >>> import torch
    >>> network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    >>> twin, x = linearise(network), torch.randn(5, 3)
    >>> torch.allclose(twin(x), network(x))
    True
    >>> _ = nn.init.zeros_(network[2].bias), nn.init.zeros_(twin.model[2].bias)
    >>> torch.allclose(twin(x), network(x), atol=1e-6)                 # linear in the last layer
    True
    """
    return Linearised(checked_model(model))
