"""How often the forecasts of ``simulate.diagnose`` are right: seven kinds of task, many scales.

    python benchmarks/diagnose.py FILE.jsonl 4               # runs what is missing of set 4
    python benchmarks/diagnose.py FILE.jsonl 4 5 --table     # prints the table of two sets
    python benchmarks/diagnose.py FILE.jsonl 5 --optimisers  # the same with SGD and Adam
    python benchmarks/diagnose.py FILE.jsonl 4 --decay       # the same with weight decay

Sets of different tasks, sizes, seeds and scales, each fixed before it was run once. Sets 1 to 3
came out at 38, 37 and 36 of 42; the rules were changed after each. After the third one, the final
test losses of pilot runs are extrapolated towards that of the lazy twin, times follow from them,
pilot runs go up to 0.71 of the scale, and one that is cut short before it fits no longer says "not
fitted". Sets 4 and 5 were fixed together, then run. These and set 6 are quoted.

For each pair of task and alpha: the forecast, made without running the network at that alpha, then
the network by gradient flow. Sizes, scales, budgets and rules were fixed before the runs. Where the
budget of the true run ends before the horizon of the forecast, the verdicts are compared at the end
of the run. A verdict is right if the phase is. A delay is right if it is within a factor 2.

After set 5 users found networks whose train loss falls well before that of the twin, or, where the
output at the start is larger than the labels, well after it. The rules were changed: pilot runs
count at every distance from the twin. Sets 4 and 5 were run again, and set 6 was fixed and run
once: other tasks, sizes, seeds and scales, and networks that are not centred (alpha f, not
alpha [f - f(w0)]), as users have them. After it, a pilot run that was cut short before its loss
fell counts as not fallen yet; sets 4 to 6 without decay were run again, and no phase changed.

The results are in ``simulate/diagnosis/reliability.jsonl``, from which ``diagnose`` quotes them.

With ``--optimisers``: two scales of each kind, trained for ``STEPS`` steps by full-batch SGD with
momentum 0.9 at half its largest stable rate, by SGD on mini-batches of a quarter of the samples at
a quarter of that rate, and by Adam at its default rate. Of set 4, the first five kinds of task were
run with full-batch SGD and Adam; then set 5 was fixed, and run as a whole.

With ``--decay``: two scales of each kind, with weight decays of ``DECAYS`` over the time at which
the train loss of the linearised twin falls. The first rules for decay were tried on set 4; those
in use were made on sets 3 and 4, fixed, and tried on set 5.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lazyrich import simulate
from lazyrich.simulate import Data, Scaled
from lazyrich.simulate.arrays import generator
from lazyrich.simulate.diagnosis.pilots import watched
from lazyrich.simulate.modules.losses import loss_function
from lazyrich.simulate.modules.mlp import Square, mlp
from lazyrich.simulate.modules.mnist import mnist
from lazyrich.simulate.modules.modular_addition import modular_addition
from lazyrich.simulate.modules.small import Diagonal, Polynomial
from lazyrich.simulate.modules.student_teacher import student_teacher
from lazyrich.simulate.modules.transformer import ModularTransformer, modular_addition_tokens
from lazyrich.simulate.outcome import GROKS, phase_of

# Gradients of the true run, and of each pilot run.
TRUE, PILOT = 6000, 1000
SCALES = {
    1: (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    2: (0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    3: (0.05, 0.2, 0.5, 1.5, 5.0, 15.0),
    4: (0.07, 0.25, 0.7, 2.0, 7.0, 20.0),
    5: (0.04, 0.15, 0.6, 2.5, 8.0, 25.0),
    6: (0.05, 0.2, 0.8, 3.0, 9.0, 30.0),
}
# With other optimisers: the scales of a set that are run, and for how many steps.
CHOSEN, STEPS = (1, 3), 10_000
# Full-batch and mini-batch SGD: momentum, share of the largest stable rate, parts of the samples.
SGD = {"SGD": (0.9, 0.5, 1), "SGD, mini-batches": (0.0, 0.25, 4)}
# Weight decay, times the time that the linearised twin takes to fit.
DECAYS = (1e-3, 3e-2)


def perceptron(part: int) -> tuple[nn.Module, Data, str]:
    p, fraction, width = {
        1: (7, 0.8, 64),
        2: (11, 0.9, 100),
        3: (13, 0.9, 80),
        4: (9, 0.9, 70),
        5: (12, 0.9, 90),
        6: (10, 0.9, 80),
    }[part]
    data, seed = modular_addition(p, fraction, seed=part - 1), part - 1
    net = mlp((2 * p, width, p), Square, bias=False, parametrisation="ntk", seed=seed)
    return net, data, "mse"


def transformer(part: int) -> tuple[nn.Module, Data, str]:
    p, fraction, size = {
        1: (7, 0.6, 16),
        2: (9, 0.8, 24),
        3: (8, 0.7, 20),
        4: (7, 0.8, 16),
        5: (10, 0.8, 20),
        6: (8, 0.8, 16),
    }[part]
    data, seed = modular_addition_tokens(p, fraction, seed=part - 1), part - 1
    kind = {"d_model": size, "heads": 2, "d_mlp": 2 * size, "seed": seed}
    net = ModularTransformer(p, **kind, dtype=torch.float64)
    return net, data, "cross_entropy"


def digits(part: int) -> tuple[nn.Module, Data, str]:
    """All ten, one-hot; then fours against nines, and ones against sevens, one number."""
    first, second = {1: (0, 0), 2: (4, 9), 3: (1, 7), 4: (3, 8), 5: (2, 5), 6: (0, 6)}[part]
    seed = part - 1
    if part == 1:
        data = mnist(100, 300, pool=4, seed=seed, dtype=torch.float64)
        return mlp((49, 48, 10), nn.ReLU, scale=3.0, seed=seed), data, "mse"
    every = mnist(500, 1500, pool=4, seed=seed, dtype=torch.float64)
    sides = []
    for X, y in ((every.X, every.y), (every.X_test, every.y_test)):
        chosen = (y[:, first] + y[:, second]) > 0
        sides += [X[chosen], (y[chosen, first] - y[chosen, second])[:, None]]
    return mlp((49, 64, 1), nn.ReLU, scale=2.0, seed=seed), Data(*sides), "mse"


def teacher(part: int) -> tuple[nn.Module, Data, str]:
    P, widths, scale = {
        1: (60, (5, 32, 32, 2), 2.0),
        2: (80, (8, 32, 32, 1), 4.0),
        3: (90, (6, 40, 2), 2.0),
        4: (70, (5, 32, 24, 1), 3.0),
        5: (100, (7, 50, 2), 2.0),
        6: (75, (6, 32, 24, 1), 3.0),
    }[part]
    net, data = student_teacher(P, 200, widths=widths, scale=scale, seed=part - 1)
    return net, data, "mse"


def parity(part: int) -> tuple[nn.Module, Data, str]:
    d, P = {1: (12, 80), 2: (16, 120), 3: (14, 150), 4: (15, 130), 5: (13, 100), 6: (14, 120)}[part]
    draws = generator(part - 1, "train inputs").standard_normal((P + 300, d))
    X = torch.as_tensor(np.sign(draws))
    y = X[:, :2].prod(1, keepdim=True)
    return mlp((d, 64, 1), nn.ReLU, seed=part - 1), Data(X[:P], y[:P], X[P:], y[P:]), "mse"


def polynomial(part: int) -> tuple[nn.Module, Data, str]:
    D, P, epsilon = {
        1: (10, 40, 0.2),
        2: (12, 60, 0.1),
        3: (8, 30, 0.3),
        4: (9, 35, 0.25),
        5: (11, 50, 0.15),
        6: (10, 45, 0.2),
    }[part]
    task = simulate.PolynomialTask(D=D, P=P, n_test=300, seed=part - 1)
    data = Data(task.X, task.y, task.X_test, task.y_test)
    return Polynomial(D, 50, epsilon, part - 1), data, "mse"


def diagonal(part: int) -> tuple[nn.Module, Data, str]:
    d, P = {1: (40, 20), 2: (60, 30), 3: (50, 30), 4: (45, 22), 5: (70, 40), 6: (55, 28)}[part]
    X = torch.as_tensor(generator(part - 1, "train inputs").standard_normal((P + 200, d)))
    y = X[:, 0] - X[:, 1]
    return Diagonal(d), Data(X[:P], y[:P], X[P:], y[P:]), "mse"


KINDS: dict[str, Callable[[int], tuple[nn.Module, Data, str]]] = {
    "modular addition, perceptron": perceptron,
    "modular addition, transformer": transformer,
    "digits": digits,
    "student and teacher": teacher,
    "sparse parity": parity,
    "polynomial network": polynomial,
    "diagonal network": diagonal,
}


def scaled(net: nn.Module, alpha: float, part: int) -> Scaled:
    """Return the network with its output times alpha; centred up to set 5."""
    return Scaled(net, alpha, centred=part <= 5)


def pair(kind: str, alpha: float, part: int, share: float = 0.0) -> dict:
    """Return forecast and truth of one pair; ``share``: one of ``DECAYS``, or 0 for no decay."""
    net, data, loss = KINDS[kind](part)
    model, begun = scaled(net, alpha, part), time.process_time()
    decay = 0.0
    if share:
        decay = share / simulate.lazy_curve(model, data, loss=loss).outcome().train_fall
    found = simulate.diagnose(model, data, loss=loss, weight_decay=decay, budget=PILOT)
    forecast, cost = found.forecast, time.process_time() - begun
    begun = time.process_time()
    run, ended, used = watched(
        model, data, loss_function(loss), decay=decay, time=forecast.horizon, budget=TRUE
    )
    seen = run.outcome()
    # What the run that was cut short would have shown of the forecast; after "flat" nothing moves.
    end = forecast.horizon if ended == "flat" else min(seen.end, forecast.horizon)
    if ended == "fell":
        end = forecast.horizon
    within = [t.value if t.value <= end else math.inf for t in (forecast.train, forecast.test)]
    said = forecast.phase
    if said != "not decided":
        said = phase_of(within[0], max(within))
    with_decay = {"decay share": share, "decay": decay} if share else {}
    return {
        "kind": kind,
        "alpha": alpha,
        "set": part,
        **with_decay,
        "departure": found.laziness.departure,
        "said": said,
        "seen": seen.phase,
        "said delay": forecast.delay[0],
        "range": list(forecast.delay[1:]),
        "seen delay": seen.delay if math.isfinite(seen.delay) else None,
        "said train": [forecast.train.value, forecast.train.low, forecast.train.high],
        "seen train": seen.train_fall,
        "at least": seen.at_least,
        "ended": ended,
        "gradients": [found.cost["gradients of pilots"], used],
        "seconds": [cost, time.process_time() - begun],
    }


def with_optimiser(kind: str, alpha: float, part: int, name: str) -> dict:
    """Return forecast and truth of one pair, trained by an optimiser."""
    net, data, loss = KINDS[kind](part)
    model, size = scaled(net, alpha, part), None
    rate, momentum = 1e-3, 0.0
    if name in SGD:
        momentum, share, parts = SGD[name]
        rate = share * simulate.stable_rate(model, data, loss, momentum=momentum)
        size = None if parts == 1 else math.ceil(len(data.y) / parts)

    def optimiser(weights: list) -> torch.optim.Optimizer:
        if name in SGD:
            return torch.optim.SGD(weights, lr=rate, momentum=momentum)
        return torch.optim.Adam(weights, lr=rate)

    found = simulate.diagnose(model, data, loss=loss, optimiser=optimiser, budget=PILOT)
    forecast, unit = found.forecast, found.steps.per_step if found.steps else None
    row = {"kind": kind, "alpha": alpha, "set": part, "optimiser": name, "rate": rate}
    try:
        run = simulate.fit(
            model, data, loss=loss, optimiser=optimiser, steps=STEPS, batch_size=size
        )
    except simulate.DivergenceError:
        return row | {"said": forecast.phase, "seen": "diverges"}
    seen, said = run.outcome(), forecast.phase
    if unit is not None:  # what would have been seen of the forecast within these steps
        times = (forecast.train.value, forecast.test.value)
        within = [t if t <= min(STEPS * unit, forecast.horizon) else math.inf for t in times]
        said = phase_of(within[0], max(within))
        row["said delay"] = forecast.delay[0] / unit
    row["seen delay"] = seen.delay if math.isfinite(seen.delay) else None
    return row | {"said": said, "seen": seen.phase}


def table(rows: list[dict]) -> str:
    """Return the pairs as a table in Markdown, with the totals."""
    lines = [
        "| task | alpha | departure from the twin | forecast | seen | delay: forecast | seen |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        right = "" if row["said"] == row["seen"] else "**"
        delay = "" if row["seen"] != GROKS else f"{row['seen delay']:.3g}"
        said = f"{row['said delay']:.3g}" if row["said"] == GROKS else ""
        cells = [row["kind"], f"{row['alpha']:g}", f"{row['departure']:.2g}"]
        cells += [f"{right}{row['said']}{right}", row["seen"], said, delay]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", words(rows)])


def words(rows: list[dict]) -> str:
    """Return the totals in words."""
    right = [row["said"] == row["seen"] for row in rows]
    both = [row for row in rows if row["said"] == row["seen"] == GROKS]
    factors = [abs(math.log(row["said delay"] / row["seen delay"])) for row in both]
    near = sum(f <= math.log(2) for f in factors)
    median = f"{math.exp(float(np.median(factors))):.2f}" if factors else "none"
    groks = sum(row["seen"] == GROKS for row in rows)
    return (
        f"the phase was right in {sum(right)} of {len(rows)} pairs of task and scale; of {groks} "
        f"that grokked, {len(both)} were forecast to, {near} with a delay within a factor 2 "
        f"(median factor {median})"
    )


def _rows(file: Path) -> list[dict]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line]


def main() -> None:
    """Run what is missing of a set, or print the table of some."""
    file = Path(sys.argv[1])
    parts = [int(argument) for argument in sys.argv[2:] if argument.isdigit()]
    rows = [row for row in _rows(file) if row["set"] in parts]
    if "--table" in sys.argv:
        flow = [row for row in rows if "optimiser" not in row and "decay" not in row]
        order = list(KINDS)
        print(table(sorted(flow, key=lambda r: (order.index(r["kind"]), r["alpha"]))))
        return
    variants: tuple = (0.0,)
    if "--optimisers" in sys.argv:
        variants = (*SGD, "Adam")
    elif "--decay" in sys.argv:
        variants = DECAYS
    done = {
        (row["kind"], row["alpha"], row["set"], row.get("optimiser", row.get("decay share", 0.0)))
        for row in rows
    }
    for part in parts:
        scales = [SCALES[part][i] for i in CHOSEN] if len(variants) > 1 else SCALES[part]
        for kind in KINDS:
            for scale in scales:
                # In the first set all scales of the diagonal network were too lazy to generalise.
                alpha = scale / 100 if kind == "diagonal network" and part > 1 else scale
                for variant in variants:
                    if (kind, alpha, part, variant) in done:
                        continue
                    if isinstance(variant, str):
                        row = with_optimiser(kind, alpha, part, variant)
                    else:
                        row = pair(kind, alpha, part, variant)
                    with file.open("a") as out:
                        out.write(json.dumps(row) + "\n")
                    print(kind, alpha, variant, row["said"], "|", row["seen"], flush=True)


if __name__ == "__main__":
    main()
