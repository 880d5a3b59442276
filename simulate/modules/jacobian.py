"""Gradients of a module's outputs, one row for each sample and output.

By torch.func where it can, which takes many rows at a time; by plain autograd, one row at a time,
where it can't: recurrent layers, ``.item()`` or one-hot inside ``forward``, activation
checkpointing, custom functions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, grad, jacrev, jvp, vjp, vmap

from lazyrich.simulate.modules.frozen import (
    ROUNDING,
    called,
    checked_function,
    checked_model,
    checked_output,
    differ,
)
from lazyrich.simulate.modules.inference import check_no_inference
from lazyrich.simulate.modules.trees import (
    Tree,
    backward,
    call,
    flat,
    gradients_of,
    mapped,
    taken,
    tensors,
)
from lazyrich.simulate.modules.untouched import plain_kernels

Weights = dict[str, Tensor]
# What torch raises where a transform or a derivative is missing.
MISSING = (RuntimeError, NotImplementedError, TypeError, AttributeError)
# Samples that go through a network at a time whose activations cannot be counted.
UNWATCHED = 128


class Network:
    """A module at its weights now, as a function of weights and inputs, and its gradients.

    ``out``: the shape of one sample's output; ``C``: how many numbers that is.
    Use it inside ``differentiable(model)``.
    """

    def __init__(self, model: nn.Module, X: Tree) -> None:
        self.model = checked_model(model)
        self.weights = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
        self.X = self.inputs(X)
        checked_function(model, self.X)
        one = taken(self.X, slice(0, 1))
        first, self._kept = _with_what_it_keeps(model, one)
        checked_output(first)
        check_no_inference(model, one, first)
        self.out = tuple(first.shape[1:])
        self.C, self.count = math.prod(self.out), sum(v.numel() for v in self.weights.values())
        # Sums over many weights in half precision would lose what they add up.
        self.output_dtype = first.dtype
        half = first.dtype in (torch.float16, torch.bfloat16)
        self.dtype = torch.float32 if half else first.dtype
        self._transforms, self._sizes = True, set[int]()

    @property
    def like(self) -> Tensor:
        """Return one of the weights, for dtype and device."""
        return next(iter(self.weights.values()))

    def inputs(self, X: Tree) -> Tree:
        """Return inputs as tensors."""
        return tensors(X, self.like)

    def others(self, X2: Tree) -> Tree:
        """Return other inputs as tensors. Raises ``ValueError`` where the module can't take them.

        >>> X = torch.ones(2, 3)
        >>> Network(nn.Linear(3, 1), X).others(X[:, :2])               # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        lazyrich.simulate.modules.frozen.NotSamplesError: the model can't be called on X2: ...
        """
        X2 = self.inputs(X2)
        with torch.no_grad():
            out = tuple(flat(called(self.model, taken(X2, slice(0, 1)), "X2")).shape[1:])
        if out != self.out:
            raise ValueError(
                f"the model returns shape {out} for a sample of X2 and {self.out} for one of X: "
                "must be the same"
            )
        return X2

    def __call__(self, weights: Weights, x: Tree) -> Tensor:
        """Return the outputs at these weights, (n, *out)."""
        return flat(at(self.model, weights, x))

    def batch(self, memory: int) -> int:
        """Return how many samples at a time have activations that fit in this many bytes.

        Counted is what one sample keeps for its gradient, for each output and for the values.
        ``UNWATCHED`` for a model that does not show what it keeps.
        """
        if self._kept is None:
            return UNWATCHED
        return max(1, memory // ((1 + self.C) * max(1, self._kept)))

    def rows(self, X: Tree, outputs: Sequence[int], most: int) -> Iterator[Tensor]:
        """Yield the rows of all samples and these outputs, sample by sample, ``most`` at a time."""
        for part in self.parts(X, outputs, most):
            yield torch.cat([v.reshape(len(v), -1).to(self.dtype) for v in part.values()], 1)

    def parts(self, X: Tree, outputs: Sequence[int], most: int) -> Iterator[Weights]:
        """Yield the same by parameters, each with the rows along its first axis."""
        n, done = len(_first(X)), 0
        if self._transforms:
            try:
                for part in self._transformed(X, outputs, most):
                    size = len(next(iter(part.values())))
                    if not self._is_right(X, outputs, part, done, size):
                        raise NotImplementedError("torch.func is wrong for this size of a batch")
                    yield part
                    done += size
                    del part  # before the next are made
                return
            except MISSING:  # of some torch.func, one size of a batch fails and another does not
                self._transforms = False
        pairs = [(i, a) for i in range(n) for a in outputs][done:]
        for start in range(0, len(pairs), most):
            yield self._plain(X, pairs[start : start + most])

    def _is_right(
        self, X: Tree, outputs: Sequence[int], part: Weights, done: int, size: int
    ) -> bool:
        """Return whether the rows of the last sample, added up, are those of plain autograd.

        They are looked at once for each size: in torch.func, PReLU of as many samples as there are
        outputs is wrong in silence.
        """
        if size in self._sizes:
            return True
        self._sizes.add(size)
        sample, last = divmod(done + size - 1, len(outputs))
        first = max(last + 1 - size, 0)  # of its outputs, these are in the part
        signs = torch.arange(1, last - first + 2, device=self.like.device).to(self.like).cos()
        named = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        with torch.enable_grad():
            f = flat(call(self.model, taken(X, slice(sample, sample + 1)))).flatten()
            chosen = list(outputs[first : last + 1])
            plain = gradients((f[chosen] * signs.to(f)).sum(), named)
        one, other = [], []
        for (name, _), gradient in zip(named.items(), plain, strict=True):
            rows = part[name][size - len(chosen) :].to(self.dtype)
            one.append((signs.to(rows) @ rows.reshape(len(chosen), -1)).flatten())
            other.append(torch.zeros_like(one[-1]) if gradient is None else gradient.flatten())
        return not differ(torch.cat(one), torch.cat(other).to(self.dtype), ROUNDING)

    def _transformed(self, X: Tree, outputs: Sequence[int], most: int) -> Iterator[Weights]:
        n = len(_first(X))
        if len(outputs) == self.C and most >= self.C:  # each sample once, with all its outputs
            whole = vmap(jacrev(lambda w, x: self(w, _one(x)).flatten()), (None, 0))
            for start in range(0, n, most // self.C):
                found = whole(self.weights, taken(X, slice(start, start + most // self.C)))
                yield {name: value.flatten(0, 1) for name, value in found.items()}
                del found  # before the next are made
            return
        wanted = torch.tensor(list(outputs), device=self.like.device)
        sample = torch.arange(n, device=self.like.device).repeat_interleave(len(wanted))

        def chosen(weights: Weights, x: Tree, a: Tensor) -> Tensor:
            # vmap can't index by a: a sum over the outputs, with 1 at a.
            f = self(weights, _one(x)).flatten()
            return torch.where(torch.arange(len(f), device=f.device) == a, f, 0).sum()

        several = vmap(grad(chosen), (None, 0, 0))
        for i, a in zip(sample.split(most), wanted.repeat(n).split(most), strict=True):
            yield several(self.weights, taken(X, i), a)

    def _plain(self, X: Tree, pairs: list[tuple[int, int]]) -> Weights:
        """Return rows by plain autograd, at the weights that the module has."""
        named = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        found = {n: p.new_zeros((len(pairs), *p.shape)).detach() for n, p in named.items()}
        last, f = -1, None
        for number, (i, a) in enumerate(pairs):
            if i != last:
                with torch.enable_grad():
                    f = flat(call(self.model, taken(X, slice(i, i + 1)))).flatten()
                last = i
            assert f is not None
            for (name, _), part in zip(named.items(), gradients(f[a], named), strict=True):
                if part is not None:
                    found[name][number] = part
        return found

    def moved(self, direction: Weights, X: Tree) -> Tensor:
        """Return the derivative of the outputs at X along a direction in the weights."""
        return moved(self.model, lambda w: self(w, X), self.weights, direction)[1]

    def moved_by_rows(self, direction: Weights, X: Tree) -> Tensor:
        """Return the same from the rows, one sample at a time: no forward mode is needed."""
        found = []
        for row in self.parts(X, range(self.C), self.C):
            each = (row[n].reshape(len(row[n]), -1) @ direction[n].flatten() for n in row)
            found.append(sum(part.to(self.dtype) for part in each))
        return torch.cat(found).reshape(-1, *self.out)  # pyright: ignore

    def pulled(self, X: Tree, v: Tensor) -> Weights:
        """Return the gradient of sum(v f(X)) in the weights."""
        try:
            return vjp(lambda w: self(w, X), self.weights)[1](v)[0]
        except MISSING:
            named = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
            with torch.enable_grad():
                value = (flat(call(self.model, X)) * v).sum()
            parts = zip(named.items(), gradients(value, named), strict=True)
            return {n: torch.zeros_like(p) if g is None else g for (n, p), g in parts}


def _with_what_it_keeps(model: nn.Module, x: Tree) -> tuple[Tensor, int | None]:
    """Return outputs and the bytes that they keep for their gradients, besides the weights.

    None for a model that refuses to be watched, as the linearised twin does.
    """
    fixed = {part.untyped_storage().data_ptr() for part in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def packed(x: Tensor) -> Tensor:
        at = x.untyped_storage().data_ptr()
        if at not in fixed:
            kept[at] = max(kept.get(at, 0), x.numel() * x.element_size())
        return x

    with torch.enable_grad():
        try:
            with saved_tensors_hooks(packed, lambda x: x):
                return flat(call(model, x)), sum(kept.values())
        except RuntimeError:
            return flat(call(model, x)), None


def moved(
    model: nn.Module, network: Callable[[Weights], Any], start: Weights, change: Weights
) -> tuple[Any, Any]:
    """Return a network at ``start`` and its derivative along ``change``.

    In forward mode, or by reverse mode twice where an operation has no forward mode. Raises
    ``ValueError`` where an operation has neither.

    >>> at_two = moved(nn.Module(), lambda w: w["a"] ** 2, {"a": torch.tensor(2.0)},
    ...                {"a": torch.tensor(1.0)})
    >>> [float(value) for value in at_two]
    [4.0, 4.0]
    """
    with plain_kernels(model):
        try:
            return jvp(network, (start,), (change,))  # pyright: ignore
        except MISSING as error:
            try:
                f, pull = vjp(network, start)  # pyright: ignore
                zeros = mapped(torch.zeros_like, f)
                return f, vjp(lambda v: pull(v)[0], zeros)[1](change)[0]
            except MISSING:
                line = " ".join(str(error).split()).split(". ")[0][:200]
                if not _can_be_called(network, start):
                    raise ValueError(f"the model can't be called on X: {line}") from error
                raise ValueError(
                    "the model has an operation without forward-mode and second derivatives in "
                    f"torch, so it can't be linearised: {line}"
                ) from error


def _can_be_called(network: Callable[[Weights], Any], start: Weights) -> bool:
    try:
        with torch.no_grad():
            network(start)
    except MISSING:
        return False
    return True


def at(model: nn.Module, weights: Weights, X: Tree) -> Any:
    """Return what the module gives at other weights. Its buffers are left as they are.

    Inside a derivative, what ``forward`` does to its buffers must happen to copies made there.
    """
    state = {f"inner.{name}": weight for name, weight in weights.items()}
    state |= {f"inner.{name}": buffer.clone() for name, buffer in model.named_buffers()}
    return functional_call(_Caller(model), state, (X,))


class _Caller(nn.Module):
    """Calls a module with inputs of any form."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, X: Tree) -> Any:
        return call(self.inner, X)


def gradients(value: Tensor, named: dict[str, nn.Parameter]) -> list[Tensor | None]:
    """Return the gradient of a number in each of the parameters, by plain autograd."""
    weights = list(named.values())
    try:
        return list(gradients_of(value, weights, retain_graph=True, allow_unused=True))
    except RuntimeError:  # activation checkpointing, in its reentrant form, wants backward()
        for weight in weights:
            weight.grad = None
        backward(value, retain_graph=True)
        found = [weight.grad for weight in weights]
        for weight in weights:
            weight.grad = None
        return found


def _first(X: Tree) -> Tensor:
    while not isinstance(X, Tensor):
        X = next(iter(X.values() if isinstance(X, dict) else X))
    return X


def _one(x: Tree) -> Tree:
    return mapped(lambda leaf: leaf[None], x)
