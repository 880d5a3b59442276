"""``diagnose``: is the network lazy or rich, will it grok, when, and why."""

import warnings
from collections.abc import Callable
from typing import Any

from torch import nn

from lazyrich.simulate.diagnosis.answer import Diagnosis
from lazyrich.simulate.diagnosis.asked import asked
from lazyrich.simulate.diagnosis.curve import MEMORY
from lazyrich.simulate.diagnosis.pilots import BUDGET
from lazyrich.simulate.diagnosis.work import Work
from lazyrich.simulate.modules.data import Data
from lazyrich.simulate.modules.losses import Loss
from lazyrich.simulate.modules.trainer import Optimiser
from lazyrich.simulate.run import Run
from lazyrich.simulate.shapes import checks_its_arguments
from lazyrich.support.patience import told


@checks_its_arguments
def diagnose(
    model: nn.Module,
    data: Data,
    *,
    loss: Loss | str = "mse",
    weight_decay: float | int = 0.0,
    optimiser: Optimiser | None = None,
    time: float | int | None = None,
    with_pilots: bool = True,
    run: Run | None = None,
    train: bool = False,
    budget: int = BUDGET,
    memory: int = MEMORY,
    progress: Callable[[float, float], Any] | None = None,
) -> Diagnosis:
    """Say whether a network is lazy or rich, whether it will grok, when, and why.

    Use it on a network at its initial weights, before training or with the ``run`` of training. The
    model itself is left as it is. Times are learning rate times steps of gradient descent at a
    small rate; momentum makes training 1/(1 - momentum) times as fast.

    - ``data`` needs a test set. ``loss``: as for ``fit``.
    - ``optimiser``: as for ``fit``. The answer then gives times in steps of SGD, and says what the
      forecast is worth with this optimiser. Its weight decay counts.
    - ``time``: how long you mean to train; "never" means not within it. None: 100 times as long as
      the linearised twin takes to fit the training set, and at least 10/weight_decay.
    - ``with_pilots``: train copies with an output 1.4 to 64 times smaller, which is cheap, and
      extrapolate. Each takes at most ``budget`` gradients. Without them only a lazy network without
      weight decay gets a forecast.
    - ``run``: the run of ``fit`` or ``fit_flow`` that started from these weights. It is compared
      with the twin: where it left it, why it was late, what to try. ``train=True`` trains a copy by
      gradient flow first, with any ``optimiser``, for ``time`` or 4 ``budget`` gradients.
    - ``memory``: bytes for kernels; where they need more, the twin is followed by Lanczos iteration
      (loss "mse" only), without the spectrum.
    - ``progress`` is called with (work done, work) now and then.

    The answer prints as sentences and a table, and has ``plot()``, ``html(path)``, ``json()``.
    Raises ``ValueError`` for bad input and for what ``ntk`` refuses. After Ctrl-C the answer is
    made from what was finished, warns, and says what is missing; while the kernel is made nothing
    is finished yet, which is said.

    >>> import torch
    >>> from lazyrich.simulate.modules.mlp import mlp
    >>> X = torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None]
    >>> found = diagnose(mlp((1, 64, 1), nn.Tanh), Data(X[::2], X[::2], X[1::2], X[1::2]))
    >>> found.verdict
    'generalises at once'
    """
    given = asked(
        model,
        data,
        loss=loss,
        weight_decay=weight_decay,
        optimiser=optimiser,
        time=time,
        with_pilots=with_pilots,
        run=run,
        train=train,
        budget=budget,
        memory=memory,
    )
    found = Work(given, told(progress, "the diagnosis")).answer()
    if found.interruption.by is not None:
        warnings.warn(found.interruption.sentence, stacklevel=2)
    return found
