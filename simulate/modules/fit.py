"""``fit``: the one training loop for any torch module."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from lazyrich.simulate.arrays import natural
from lazyrich.simulate.modules import generators
from lazyrich.simulate.modules.batches import Batches
from lazyrich.simulate.modules.checkpoint import Checkpoint, identity
from lazyrich.simulate.modules.data import Data, checked_data
from lazyrich.simulate.modules.logits import warn_unless_logits
from lazyrich.simulate.modules.losses import Loss, loss_function
from lazyrich.simulate.modules.probes import check_probes, probes_of
from lazyrich.simulate.modules.recorder import Recorder
from lazyrich.simulate.modules.resuming import fresh_of
from lazyrich.simulate.modules.scaled import constant
from lazyrich.simulate.modules.trainer import Optimiser, Trainer
from lazyrich.simulate.modules.trees import leaves
from lazyrich.simulate.record import checked_grid
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.simulate.stability import CHECK_EVERY, DivergenceError
from lazyrich.support.arguments import not_negative, positive_integer, shown
from lazyrich.support.files import user_path
from lazyrich.support.patience import told
from lazyrich.support.user_code import functions_of_the_user

FitDivergenceError = DivergenceError  # its name before every trainer raised the same


@checks_its_arguments
def fit(
    model: nn.Module,
    data: Data,
    *,
    loss: Loss | str,
    optimiser: Optimiser,
    steps: int,
    record: Iterable[int] | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    schedule: Callable[[int], float] | None = None,
    metrics: Mapping[str, Loss] | None = None,
    measures: Mapping[str, Callable[[nn.Module], float]] | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_seconds: float = 30.0,
    progress: Callable[[int, int], Any] | None = None,
) -> Run:
    """Train the module in place and return the ``Run``: history over ``step``, final weights.

    - ``loss``: "mse" (mean over samples and outputs), "cross_entropy" (labels as class numbers or
      one-hot), or a function ``loss(f, y)`` of outputs and labels that returns their mean loss.
    - ``optimiser``: a ``torch.optim.Optimizer`` of the model's parameters, its class, or a function
      of the list of the parameters that require a gradient. Optimisers that evaluate the loss
      several times a step (LBFGS) work.
    - ``batch_size``: None for the full batch; else mini-batches, every sample once an epoch in an
      order that ``seed`` gives, the last of an epoch smaller if need be. A step is one update. A
      size above the number of samples is the full batch.
    - ``schedule(step)`` multiplies the learning rate of the update after ``step`` others.
    - ``record``: the steps to record, 0 being before the first update; a log-spaced grid if None.
      ``outcome()`` knows the losses at these steps only: a spike between two of them is not seen,
      and a loss that has fallen stays fallen as far as the records say. Record more to see more.
    - Recorded are ``train_loss``, ``test_loss`` (over the whole sets), ``weight_norm`` |w| and
      ``parameter_change`` |w - w0|/|w0| (w0 at step 0); for each of ``metrics``, a function of
      outputs and labels as the loss is, ``train_NAME`` and ``test_NAME``; and for each of
      ``measures``, a function of the model, ``NAME``.
    - ``checkpoint``: a file in which the run is kept, written about every ``checkpoint_seconds``
      and at the end, whole or not at all. If it is there, training goes on from it, and ends with
      the same bits as if it had not been interrupted. More ``steps`` than in the file prolong it.
      Kept are the ``state_dict`` of the model and of the optimiser, the attributes of the model's
      parts that are numbers or text, and the global random numbers of torch, NumPy and Python. An
      optimiser or a loss that is seen to remember more, at the second step, raises ``ValueError``;
      what they, or hooks and lists in the model, count to act on later is not seen.
      A checkpoint of other data, initial weights, model, optimiser, loss, metrics or schedule
      raises ``ValueError``: outputs, the gradient of the loss and the optimiser's step are compared
      on copies of the model and optimiser (of ``measures``, only the names; of a schedule, the
      steps made).
    - ``progress`` is called now and then with (steps done, steps).

    The same call gives the same bits on the same machine, with the same number of threads; on a
    GPU only where torch's operations there are deterministic.

    Raises ``ValueError`` for bad input, and ``DivergenceError`` when the loss grows without
    bound or is no number.

    >>> X = torch.linspace(-1, 1, 20)[:, None]
    >>> run = fit(nn.Linear(1, 1), Data(X, 3 * X, X, 3 * X), loss="mse", steps=200,
    ...           optimiser=lambda weights: torch.optim.SGD(weights, lr=0.5))
    >>> run.outcome().phase
    'generalises at once'
    """
    checked_data(data)
    steps = positive_integer("steps", steps)
    grid = checked_grid(record, steps)
    seconds = not_negative("checkpoint_seconds", checkpoint_seconds)
    kept = None if checkpoint is None else Checkpoint(user_path(checkpoint, "checkpoint"))
    batches = Batches(len(leaves(data.X)[0]), batch_size, natural("seed", seed))
    metrics = functions_of_the_user("metrics", metrics)
    measures = functions_of_the_user("measures", measures)
    if schedule is not None and not callable(schedule):
        raise ValueError(f"schedule = {shown(schedule)}: must be a function of the step, or None")
    trainer = Trainer(model, data, loss_function(loss), optimiser, batches, schedule)
    warn_unless_logits(trainer.loss, model, trainer.data.X, trainer.data.y)
    recorder = Recorder(
        "step", trainer.model, trainer.data, trainer.loss, metrics, measures, trainer.start
    )
    run = _Kept(kept, trainer, recorder, metrics, seconds)
    run.resume(
        [(*metrics, "|", *measures), batches.key, trainer.settings], steps, grid, record is None
    )
    marks, progress = sorted({*grid, steps}), told(progress, "fit")
    with constant(trainer.data.X), torch.enable_grad():
        for mark in marks:
            if mark < trainer.done:
                continue
            while trainer.done < mark:
                trainer.step()
                if trainer.done % CHECK_EVERY == 0:
                    progress(trainer.done, steps)
                if trainer.done < mark:
                    run.save_now_and_then()
            trainer.check_weights()
            if mark not in grid:  # the end, not recorded: it may have diverged all the same
                trainer.check(trainer.train_loss())
            elif not recorder.has(mark):
                trainer.check(recorder.add(mark))
    run.finish()
    progress(steps, steps)
    history = recorder.history(np.int64, units="gradient steps")
    history = history.assign_attrs(steps=steps, optimiser=trainer.settings[-1])
    config = {"trainer": "fit", "optimiser": trainer.settings[-1], "steps": steps}
    config |= {"learning_rate": trainer.rate(), "batch_size": batches.key[0], "seed": seed}
    group = trainer.optimiser.param_groups[0]
    config |= {name: group.get(name) for name in ("momentum", "weight_decay")}
    config["schedule"] = schedule is not None
    return recorder.run(history, config)


class _Kept:
    """A run and its checkpoint, if it has one."""

    def __init__(
        self,
        file: Checkpoint | None,
        trainer: Trainer,
        recorder: Recorder,
        metrics: Mapping[str, Loss],
        seconds: float,
    ) -> None:
        self._file, self._trainer, self._recorder = file, trainer, recorder
        self._seconds = seconds
        functions = {"loss": trainer.loss, **metrics}
        self._probes = {} if file is None else probes_of(trainer, trainer.data, functions)
        # Of the global random numbers: their state when fit was called, and digests of those when
        # the run began, in this process or in an earlier one.
        self._own = {} if file is None else generators.states()
        self._begun = generators.digests(self._own)

    def resume(self, call: list, steps: int, grid: tuple[int, ...], default: bool) -> None:
        """Go on from the file, if it is there. Raises ``ValueError`` if it is another run's."""
        if self._file is None:
            return
        trainer, device = self._trainer, leaves(self._trainer.data.X)[0].device
        state = self._file.load(identity(call, trainer.tensors()), device)
        if state is None:
            trainer.fresh = fresh_of(trainer) if steps > 1 else None
            return
        check_probes(self._file, state, self._probes, trainer.weights[0].dtype)
        if not trainer.has_made(state["schedule"], state["step"]):
            self._file.refuse("schedule gives other values at the steps made")
        if state["step"] > steps:
            raise ValueError(f"steps = {steps}: the checkpoint is at step {state['step']} already")
        rows = state["rows"]
        if not default:
            rows = [row for row in rows if row["step"] in grid]
            missing = {s for s in grid if s <= state["step"]} - {row["step"] for row in rows}
            if missing:
                raise ValueError(
                    f"record = {min(missing)}: the checkpoint is at step {state['step']} and has "
                    "not recorded that step"
                )
        self._recorder.rows = rows
        trainer.restore(state)
        self._begun = state["begun"]
        generators.put(state["generators"])

    def save_now_and_then(self) -> None:
        """Write the file if the last time is long ago."""
        if self._file is not None and self._file.is_older_than(self._seconds):
            self.save()

    def save(self) -> None:
        """Write the file."""
        if self._file is not None:
            kept = {"rows": self._recorder.rows, "begun": self._begun, **self._probes}
            kept["generators"] = generators.states()
            self._file.save({**self._trainer.state(), **kept})

    def finish(self) -> None:
        """Write the file, and put generators back from which nothing was drawn."""
        self.save()
        now = generators.digests(generators.states()) if self._own else {}
        unused = {name for name, digest in now.items() if digest == self._begun.get(name)}
        generators.put({name: state for name, state in self._own.items() if name in unused})
