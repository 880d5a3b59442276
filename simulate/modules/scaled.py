"""Laziness for any network: alpha [f(x; w) - f(x; w0)] [Kumar et al. 2024, eq. 7]."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore

from lazyrich.simulate.modules.frozen import CheckedOnce, checked_model, frozen, given
from lazyrich.simulate.modules.trees import Around, Tree, combined, leaves, mapped
from lazyrich.simulate.modules.untouched import without_fast_path
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.arguments import finite, shown

_starts: ContextVar["_Starts | None"] = ContextVar("starts", default=None)


class _Starts:
    """The outputs of initial networks at inputs that are known to stay as they are."""

    def __init__(self, X: Tree) -> None:
        self._X = leaves(X)
        self._kept: dict[nn.Module, tuple[list[tuple[int, int]], list[Tensor], Any]] = {}

    def at(self, initial: nn.Module, inputs: tuple, named: dict[str, Any]) -> Any:
        """Return the outputs: those kept, where inputs and weights are the same."""
        kept = self.kept(initial, inputs, named)
        return initial(*inputs, **named) if kept is None else kept

    def kept(self, initial: nn.Module, inputs: tuple, named: dict[str, Any]) -> Any:
        """Return the outputs that are kept, from now on if they were not; None if they can't be."""
        asked, buffers = leaves((inputs, named)), list(initial.buffers())
        if list(map(id, asked)) != list(map(id, self._X)) or any(map(_changes, asked + buffers)):
            return None
        state = [(id(x), x._version) for x in (*asked, *buffers)]
        state.append((id(initial), int(initial.training)))
        before, _, found = self._kept.get(initial, ([], [], None))
        if state != before:
            found = initial(*inputs, **named)
            if any(map(_changes, leaves(found))):
                return None
            self._kept[initial] = state, buffers, found  # what is held keeps its id
        return found


def _changes(x: Any) -> bool:
    """Whether a part of inputs or outputs is in a derivative, or changes without a trace."""
    plain = isinstance(x, Tensor) and not is_functorch_wrapped_tensor(x)
    return not plain or x.requires_grad or x.is_inference()


@contextmanager
def constant(X: Tree) -> Iterator[None]:
    """Within this, ``Scaled`` computes f(X; w0) at these very inputs once: they must not change.

    It is a third of a step of descent. The outputs have the same bits.

    >>> import torch
    >>> scaled, x = Scaled(nn.Linear(3, 1), alpha=2.0), torch.ones(5, 3)
    >>> calls = []
    >>> _ = scaled.initial.register_forward_hook(lambda *_: calls.append(1))
    >>> with constant(x):
    ...     _ = scaled(x), calls.clear()                               # the first also checks
    ...     _ = scaled(x), scaled(x), scaled(x.clone())
    >>> len(calls)                                                     # that of the other input
    1
    """
    token = _starts.set(_Starts(X))
    try:
        yield
    finally:
        _starts.reset(token)


class Scaled(Around):
    """The predictor alpha [f(x; w) - f(x; w0)] around any module, w0 being its weights now.

    ``centred=False`` leaves f(x; w0) in: alpha f(x; w). The output may have any shape. Large alpha
    makes training lazy, small alpha rich, if the learning rate follows (``learning_rate``).

    w are the parameters of ``model``, which is trained in place; w0 is kept as buffers, under
    ``initial`` in the ``state_dict``, so that a run resumed from it keeps its w0, and not the
    weights that the module was made with. Loading the state of another alpha or centring raises
    ``ValueError``.

    The model's inputs and outputs may be tuples or dicts. Raises ``ValueError`` for an alpha that
    is 0 or not finite, for what ``checked_model`` refuses, and at the first call for a model that
    is random or mixes samples.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> scaled, x = Scaled(model, alpha=10.0), torch.randn(5, 3)
    >>> scaled(x).abs().max().item()
    0.0
    >>> before = model(x)
    >>> _ = nn.init.zeros_(model[2].weight)
    >>> torch.allclose(scaled(x), 10 * (model(x) - before), atol=1e-5)
    True
    """

    @checks_its_arguments
    def __init__(self, model: nn.Module, alpha: float, centred: bool = True) -> None:
        super().__init__()
        self.model = checked_model(model)
        self.alpha = finite("alpha", alpha, nonzero=True)
        if not isinstance(centred, bool):
            raise ValueError(f"centred = {shown(centred)}: must be True or False")
        self.centred = centred
        self.initial = frozen(model) if centred else None
        self._check = CheckedOnce()

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return the predictor at these inputs, in the form of the model's output."""
        self._check(self.model, given(inputs, named))
        if self.initial is None:
            return mapped(lambda f: self.alpha * f, self.model(*inputs, **named))
        with without_fast_path():
            found, known = self.model(*inputs, **named), _starts.get()
            if known is None:
                start = self.initial(*inputs, **named)
            else:
                start = known.at(self.initial, inputs, named)
        return combined(lambda f, f0: self.alpha * (f - f0), found, start)

    def keeps_start(self, inputs: tuple, named: dict[str, Any]) -> bool:
        """Return whether f(x; w0) is at hand; it is computed now where it may be (``constant``)."""
        known = _starts.get()
        if known is None or self.initial is None:
            return False
        with without_fast_path():
            return known.kept(self.initial, inputs, named) is not None

    def train(self, mode: bool = True) -> "Scaled":
        """Set training or evaluation mode; the next call looks again whether outputs are random."""
        self._check.done = False
        return super().train(mode)

    @checks_its_arguments
    def learning_rate(self, eta0: float, *, adaptive: bool = False) -> float:
        """Return the rate at which the predictor starts to move as fast as at alpha = 1 and eta0.

        Gradient descent, with or without momentum: eta0/alpha^2, since the gradient and the
        response of the predictor to a step have a factor alpha each [Sec. 8.1].

        ``adaptive``, for Adam and its like: eta0/|alpha|. Their steps don't depend on the size of
        the gradient, so only the response is left, and eta0/alpha^2 would slow the predictor down
        by 1/alpha. The decay of AdamW multiplies weights by 1 - rate * weight_decay each step:
        scale weight_decay by |alpha| as well if decay per step is to be the same at every alpha.
        A sweep over alpha at any other rate varies laziness and speed of training together.

        >>> scaled = Scaled(nn.Linear(1, 1), alpha=4.0)
        >>> scaled.learning_rate(1.0), scaled.learning_rate(1.0, adaptive=True)
        (0.0625, 0.25)
        """
        rate = finite("eta0", eta0, positive=True)
        return rate / abs(self.alpha) if adaptive else rate / self.alpha**2

    def extra_repr(self) -> str:
        """Return what ``repr`` shows in addition to the parts."""
        return f"alpha={self.alpha:g}, centred={self.centred}"

    def get_extra_state(self) -> dict[str, Any]:
        """Return what the ``state_dict`` keeps in addition to the weights."""
        return {"alpha": self.alpha, "centred": self.centred}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Check that a ``state_dict`` is that of the same predictor. Raises ``ValueError``."""
        for name, value in self.get_extra_state().items():
            if state[name] != value:
                raise ValueError(
                    f"{name} = {value}: the state to load is of {name} = {state[name]}"
                )
